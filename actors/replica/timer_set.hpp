#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace sluice::replica {

/// What is to run later, by when. Pure; time is an argument. One thread.
///
/// What is cancelled goes at once: a deadline around quick work must not be kept until it would have passed. The end of a piece
/// of work may set and cancel others.
class timer_set {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using work = std::function<void()>;

  timer_set() = default;
  timer_set(const timer_set&) = delete;
  timer_set& operator=(const timer_set&) = delete;
  ~timer_set() { clear(); }

  /// @param id never used before
  void add(std::uint64_t id, time_point at, work what) {
    place_of_.emplace(id, due_.emplace(key{at, id}, std::move(what)).first);
  }

  /// Nothing if it has been taken.
  void cancel(std::uint64_t id) noexcept {
    const auto found = place_of_.find(id);
    if (found == place_of_.end())
      return;
    const auto gone = due_.extract(found->second); // ends last, as its end may cancel others
    place_of_.erase(found);
  }

  std::optional<time_point> next() const noexcept {
    return due_.empty() ? std::nullopt : std::optional{due_.begin()->first.first};
  }

  /// The first that is due, of those due at one time the one that was added first; empty if none is.
  work take_due(time_point now) {
    if (due_.empty() || due_.begin()->first.first > now)
      return {};
    auto taken = due_.extract(due_.begin());
    place_of_.erase(taken.key().second);
    return std::move(taken.mapped());
  }

  void clear() {
    place_of_.clear();
    const auto gone = std::exchange(due_, {});
  }

  std::size_t size() const noexcept { return due_.size(); }

private:
  using key = std::pair<time_point, std::uint64_t>;

  std::map<key, work> due_;
  std::unordered_map<std::uint64_t, std::map<key, work>::iterator> place_of_;
};

} // namespace sluice::replica
