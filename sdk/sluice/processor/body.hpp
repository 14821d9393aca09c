#pragma once

#include <sluice/core/executor.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>
#include <sluice/processor/reduction.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The encoded results of one record. Reused from call to call so that its memory
/// is allocated once per thread.
class encoded_results {
public:
  void clear() noexcept {
    bytes_.clear();
    ends_.clear();
  }

  /// Append an encoded result to the returned string, then call `finish_one`.
  std::string& bytes() noexcept { return bytes_; }
  void finish_one() { ends_.push_back(bytes_.size()); }

  std::size_t count() const noexcept { return ends_.size(); }
  std::string_view operator[](std::size_t i) const noexcept {
    auto begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view{bytes_}.substr(begin, ends_[i] - begin);
  }

  /// All of them as records.
  record_block block() const {
    record_block_builder out;
    out.reserve(bytes_.size() + count() * record_overhead_bytes);
    for (std::size_t i = 0; i < count(); ++i)
      out.add((*this)[i]);
    return out.finish();
  }

private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

/// User code behind one processor with the types rubbed off: payload in, payloads out.
///
/// One instance per replica, made, set up, used and torn down by that replica. A
/// sync body is called from up to `num_concurrency` threads at once; an async body
/// only from its executor. User exceptions come out as failures, never as exceptions:
/// `invalid_argument` = the record can never succeed (it does not decode), `internal`
/// = try again.
class processor_body {
public:
  virtual ~processor_body() = default;

  virtual result<void> setup() { return {}; }
  virtual result<void> teardown() { return {}; }

  virtual bool is_async() const noexcept { return false; }

  /// Decodes, calls the user's function, encodes into `out` (empty on entry).
  virtual result<void> process(std::string_view payload, encoded_results& out) = 0;

  /// The same for a coroutine. Called on `where`; `done` is called exactly once, on
  /// `where`; `payload` and `out` outlive it.
  virtual void process_async(std::string_view payload, encoded_results& out, executor& where,
                             std::function<void(result<void>)> done) = 0;

  /// A new one for a batch with a reduce step, otherwise null. Goes before the body.
  virtual std::unique_ptr<reduction> make_reduction() { return nullptr; }
};

using body_factory = std::function<std::unique_ptr<processor_body>()>;

} // namespace sluice
