#pragma once

#include "actors/queue/queue_store_port.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A queue store in memory that does what the port says, record by record, in the
/// simplest way. `reopen_for_test` is a restart: what was stored stays. One thread.
class fake_queue_store : public queue::store_port {
public:
  struct record {
    std::string payload;
    std::uint32_t attempts = 0;
    queue::wall_time appended_at;
  };
  struct one_queue {
    std::map<std::uint64_t, record> records;
    std::uint64_t seq_last = 0;
  };

  result<queue::contents> load() override;
  result<queue::write_outcome> write(const queue::write_batch& batch) override;
  result<queue::read_outcome> read(const queue_name& name, std::uint64_t after_seq, std::size_t count_max,
                                   std::size_t size_bytes_max) override;
  result<queue::read_outcome> read(const queue_name& name, const std::vector<std::uint64_t>& seqs,
                                   std::size_t size_bytes_max) override;
  result<queue::letters_outcome> dead_letters(const queue_name& name, std::uint64_t after_id,
                                              std::size_t count_max, std::size_t size_bytes_max) override;
  result<queue::requeue_outcome> requeue(const queue::requeue_step& what) override;
  result<std::uint64_t> purge_dead_letters(const queue_name& name) override;
  std::optional<failure> broken() const override { return broken_; }

  // What tests set and look at.
  std::deque<failure> write_failures_for_test; ///< the next writes fail so
  std::deque<failure> read_failures_for_test;
  void break_for_test(failure why) { broken_ = std::move(why); }
  void reopen_for_test() { broken_.reset(); }
  std::map<queue_name, one_queue> queues_for_test;
  std::map<std::uint64_t, queue::dead_letter> letters_for_test;
  std::map<std::string, std::string> cursors_for_test;
  std::size_t writes_for_test = 0;
  std::uint64_t bytes_max_for_test = 0; ///< told as its bound; nothing is refused here
  std::size_t reads_for_test = 0;

private:
  queue::store_room room() const;

  std::map<std::string, queue::producer_mark> producers_;
  std::vector<std::string> producer_use_;
  std::uint64_t epoch_ = 0;
  std::uint64_t letter_last_ = 0;
  std::optional<failure> broken_;
};

/// Does store work at once, or, while `is_held`, when the test says so.
class fake_store_runner final : public queue::store_runner_port {
public:
  explicit fake_store_runner(std::shared_ptr<queue::store_port> store) : store_(std::move(store)) {}

  void run(std::function<void(queue::store_port&)> work) override {
    held_.push_back(std::move(work));
    if (!is_held)
      release();
  }

  bool has_work() const override { return !held_.empty(); }

  /// Does everything that waits now, not what comes of it; returns how much it was.
  std::size_t release() {
    const auto count = held_.size();
    for (std::size_t i = 0; i < count; ++i)
      release_one();
    return count;
  }

  bool release_one() {
    if (held_.empty())
      return false;
    auto next = std::move(held_.front());
    held_.pop_front();
    next(*store_);
    return true;
  }

  /// Forgets what waits, as a crash does.
  void drop() { held_.clear(); }

  std::size_t held_count() const noexcept { return held_.size(); }

  bool is_held = false;

private:
  std::shared_ptr<queue::store_port> store_;
  std::deque<std::function<void(queue::store_port&)>> held_;
};

} // namespace sluice::testing
