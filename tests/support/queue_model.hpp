#pragma once

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_queue_store.hpp"
#include "actors/queue/queue.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// Drives a queue actor at random: appends with repeats, leases, commits with
/// results and failures, releases, expiry, failed writes, and crashes between a
/// request, its write and its answer. Whatever happens, every record whose append was
/// answered comes out exactly once: as a result, or as a dead letter.
class queue_model : public deterministic_system {
public:
  /// `reopen` gives the store as it is after a crash.
  queue_model(unsigned seed, std::function<std::shared_ptr<queue::store_port>()> reopen)
    : random_(seed), reopen_(std::move(reopen)) {
    start();
  }

  /// A fake store whose writes may fail.
  std::function<void()> fail_next_write;

  void run_steps(int count) {
    for (int i = 0; i < count; ++i)
      step();
    drain();
    check();
  }

private:
  static constexpr std::uint32_t attempts_max = 3;
  static constexpr std::chrono::seconds long_wait{20};

  struct client {
    queue::owner_id owner;
    std::uint64_t epoch = 0;
    std::map<std::uint64_t, std::string> held;
    answer<queue::lease_reply> leasing;
    std::vector<std::pair<answer<queue::commit_reply>, queue::commit_request>> committing;
  };

  struct producer {
    std::string name;
    std::uint64_t seq = 0;
    queue::append_request request;
    answer<queue::append_reply> appending;
  };

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  void start() {
    runner_.reset();
    runner_ = std::make_shared<fake_store_runner>(reopen_());
    runner_->is_held = true;
    queue::options opts;
    opts.store = runner_;
    opts.limits.memory_bytes = 4096; // most of the backlog is read back from the store
    opts.limits.window_bytes = 1024;
    opts.limits.read_bytes = 1024;
    opts.limits.outstanding_count = 60;
    opts.wall_clock = [this] { return queue::wall_time{std::chrono::nanoseconds{now().time_since_epoch()}}; };
    opts.jitter = [this] { return static_cast<double>(pick(1000)) / 1000.0; };
    opts.report = [](const std::string& text) { FAIL(text); };
    queues_ = own(queue::spawn(sys, opts));
  }

  void crash() {
    auto written = pick(3);
    for (std::uint64_t i = 0; i < written; ++i)
      runner_->release_one(); // on disk, but the answer is lost
    end_owned();
    runner_->drop();
    for (auto& one : clients_) {
      one.leasing.reset();
      one.committing.clear();
    }
    for (auto& one : producers_)
      one.appending.reset();
    start();
  }

  void append(producer& by) {
    if (by.appending) {
      if (!by.appending->has_value())
        return;
      if ((*by.appending)->has_value())
        for (auto record : by.request.records)
          promised_.insert(std::string{record.payload});
      auto repeat = !(*by.appending)->has_value() || pick(4) == 0;
      by.appending.reset();
      if (repeat) {
        by.appending = ask_later<queue::append_reply>(queues_, by.request);
        return;
      }
    } else if (by.seq > 0) { // a crash took the answer
      by.appending = ask_later<queue::append_reply>(queues_, by.request);
      return;
    }
    if (made_ >= made_max_)
      return;
    record_block_builder records;
    auto count = 1 + pick(15);
    for (std::uint64_t i = 0; i < count; ++i)
      records.add("r" + std::to_string(++made_));
    by.request = {};
    by.request.queue = queue_name{"in"};
    by.request.records = records.finish();
    by.request.producer = by.name;
    by.request.producer_seq = ++by.seq;
    by.appending = ask_later<queue::append_reply>(queues_, by.request);
  }

  void lease(client& by) {
    if (by.leasing)
      return;
    queue::lease_request request;
    request.queue = queue_name{"in"};
    request.owner = by.owner;
    request.consumer = {flow_name{"f"}, processor_name{"p"}};
    request.attempts_max = attempts_max;
    request.count_max = static_cast<std::uint32_t>(1 + pick(20));
    request.wait_max = std::chrono::seconds{pick(5)};
    by.leasing = ask_later<queue::lease_reply>(queues_, request);
  }

  void collect(client& by) {
    if (by.leasing && by.leasing->has_value()) {
      auto reply = std::move(**by.leasing);
      by.leasing.reset();
      if (reply) {
        by.epoch = reply->epoch;
        for (auto record : reply->records)
          by.held[record.seq] = std::string{record.payload};
      }
    }
    std::erase_if(by.committing, [&](auto& one) {
      auto& [answer, request] = one;
      if (!answer->has_value())
        return false;
      if (!(*answer)->has_value()) { // not stored: it is tried again, or not
        if (pick(2) == 0) {
          answer = ask_later<queue::commit_reply>(queues_, request);
          return false;
        }
      }
      return true;
    });
  }

  void commit(client& by, bool all) {
    queue::commit_request request;
    request.queue = queue_name{"in"};
    request.owner = by.owner;
    request.consumer = {flow_name{"f"}, processor_name{"p"}};
    request.attempts_max = attempts_max;
    request.epoch = by.epoch;
    record_block_builder results;
    std::vector<std::uint64_t> done;
    for (const auto& [seq, payload] : by.held) {
      auto dice = all ? 0 : pick(6);
      if (dice < 3) {
        request.acks.push_back(seq);
        results.add(seq, 0, payload);
      } else if (dice == 3) {
        request.nacks.push_back({seq, "no", pick(8) != 0});
        results.add(seq, 0, "of a failed record");
      } else {
        continue;
      }
      if (pick(10) != 0)
        done.push_back(seq); // else it is settled again by mistake
    }
    for (auto seq : done)
      by.held.erase(seq);
    request.results.push_back({queue_name{"out"}, results.finish()});
    by.committing.emplace_back(ask_later<queue::commit_reply>(queues_, request), request);
  }

  void release(client& by) {
    queue::release_request request;
    request.owner = by.owner;
    request.failed = pick(2) == 0;
    if (pick(3) == 0 && !by.held.empty()) {
      request.queue = queue_name{"in"};
      request.seqs = {by.held.begin()->first};
    }
    ask_later<queue::count_reply>(queues_, request);
  }

  void step() {
    auto& one = clients_[pick(clients_.size())];
    switch (pick(16)) {
    case 0:
    case 1:
      append(producers_[pick(producers_.size())]);
      break;
    case 2:
    case 3:
    case 4:
      lease(one);
      break;
    case 5:
    case 6:
      commit(one, false);
      break;
    case 7:
      if (pick(4) == 0)
        release(one);
      break;
    case 8:
      advance(std::chrono::milliseconds{pick(pick(8) == 0 ? 40'000 : 800)});
      break;
    case 9:
      if (pick(6) == 0)
        crash();
      break;
    case 10:
      if (fail_next_write && pick(3) == 0)
        fail_next_write();
      break;
    default:
      runner_->release_one();
    }
    run();
    for (auto& each : clients_)
      collect(each);
  }

  void settle_down() {
    do {
      run();
    } while (runner_->release() > 0);
    for (auto& each : clients_)
      collect(each);
  }

  void drain() {
    for (int i = 0; i < 5; ++i) { // let every producer finish what it began
      made_max_ = made_;
      for (auto& each : producers_)
        append(each);
      settle_down();
    }
    auto& last = clients_.front();
    for (int idle = 0; idle < 3;) {
      lease(last);
      settle_down();
      advance(std::chrono::seconds{5});
      settle_down();
      idle = last.held.empty() ? idle + 1 : 0;
      commit(last, true);
      settle_down();
      last.held.clear();
      advance(std::chrono::seconds{31});
    }
    settle_down();
  }

  template <class Reply, class Request>
  Reply get(Request request) {
    auto cell = ask_later<Reply>(queues_, request);
    settle_down();
    REQUIRE(cell->has_value());
    REQUIRE((*cell)->has_value());
    return std::move(***cell);
  }

  void check() {
    std::map<std::string, int> seen;
    for (std::uint64_t after = 0;;) {
      auto some = get<queue::peek_reply>(queue::peek_request{queue_name{"out"}, after, 4000});
      if (some.records.empty())
        break;
      for (auto record : some.records) {
        ++seen[std::string{record.payload}];
        after = record.seq;
      }
    }
    auto letters = get<queue::dead_letters_reply>(queue::dead_letters_request{{}, 0, 4000}).letters;
    for (const auto& letter : letters)
      ++seen[letter.payload];
    for (const auto& [payload, count] : seen) {
      CAPTURE(payload);
      REQUIRE(count == 1);
      REQUIRE(payload != "of a failed record");
    }
    for (const auto& payload : promised_) {
      CAPTURE(payload);
      REQUIRE(seen.contains(payload));
    }
    const auto stats = get<queue::stats_reply>(queue::stats_request{});
    for (const auto& one : stats.queues) {
      REQUIRE(one.leased_count == 0);
      REQUIRE(one.delayed_count == 0);
      if (one.name.value == "in")
        REQUIRE(one.depth_count == 0);
      if (one.name.value == "out")
        REQUIRE(one.depth_count + letters.size() == seen.size());
    }
  }

  std::mt19937 random_;
  std::function<std::shared_ptr<queue::store_port>()> reopen_;
  std::shared_ptr<fake_store_runner> runner_;
  queue::admin_handle queues_;
  std::vector<client> clients_{
    {{node_id{"a"}, host_id{1}, replica_id{1}}, 0, {}, {}, {}},
    {{node_id{"a"}, host_id{1}, replica_id{2}}, 0, {}, {}, {}},
    {{node_id{"b"}, host_id{2}, replica_id{3}}, 0, {}, {}, {}},
  };
  std::vector<producer> producers_{{"p1", 0, {}, {}}, {"p2", 0, {}, {}}};
  std::set<std::string> promised_; ///< appends that were answered
  std::uint64_t made_ = 0;
  std::uint64_t made_max_ = 400;
};

} // namespace sluice::testing
