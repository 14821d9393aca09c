#pragma once

#include "actors/collect/collect_inbox.hpp"
#include "actors/collect/collect_state.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::collect {

/// A write whose answer takes longer is repeated, if the sink knows repeats.
constexpr std::chrono::seconds write_timeout{15};

/// Calls of collectors that wait for their sink: does what `collect_state` decides, and answers their clients.
///
/// Owned by the actor that writes to the sink, and used on its thread; other threads have the `inbox`.
class collect_calls {
public:
  struct options {
    /// The sink recognises a write that comes again, by its number or by the key of a client: one that is not answered may be
    /// repeated.
    bool knows_repeats = false;
    std::uint64_t seed = 1;
    std::shared_ptr<collect_inbox> inbox = std::make_shared<collect_inbox>();
    /// Begins the write of `group(id)`. Its outcome comes to `on_stored`, perhaps before this returns.
    std::function<void(std::uint64_t id)> write;
    /// Runs what answers many clients; may let it leave together. Empty = as it is.
    std::function<void(const std::function<void()>&)> answer_together = {};
  };

  explicit collect_calls(options how);

  /// Where calls come in. Whoever is told to must see to it that the actor calls `turn`. Outlives this.
  const std::shared_ptr<collect_inbox>& inbox() const noexcept { return options_.inbox; }

  /// Takes what has come in, and begins the writes that can be begun.
  void turn(time_point now);
  const collect_group& group(std::uint64_t id) const { return state_.group(id); }
  /// A write ended.
  void on_stored(std::uint64_t id, const result<void>& outcome, time_point now);
  /// To be called every 100 ms while it is not empty, before `turn`.
  void on_tick(time_point now);

  bool empty() const noexcept { return state_.empty() && options_.inbox->count() == 0; }
  /// Whether the client of any call waits still.
  bool is_wanted(time_point now) const;
  /// Calls that are not answered.
  std::size_t count() const { return calls_.size() + options_.inbox->count(); }
  std::size_t size_bytes() const noexcept { return state_.size_bytes(); }
  bool is_retrying() const noexcept { return state_.is_retrying(); }
  /// Since the beginning: calls whose results the sink will never take.
  std::uint64_t refused_total() const noexcept { return refused_total_; }
  /// Whether the last write that ended has failed, other than by a client's mistake; `last_error` says why.
  bool is_failing() const noexcept { return is_failing_; }
  const std::string& last_error() const noexcept { return last_error_; }

private:
  void take_in();
  void answer(const std::vector<std::uint64_t>& calls, response with);
  void answer_late(time_point now);

  const options options_;
  collect_state state_;
  std::unordered_map<std::uint64_t, exchange_ptr> calls_; ///< by number
  std::uint64_t call_last_ = 0;
  std::uint64_t refused_total_ = 0;
  std::string last_error_;
  bool is_failing_ = false;
};

} // namespace sluice::collect
