#pragma once

#include "actors/batch/batch_state.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sluice::batch::testing {

using namespace std::chrono_literals;

/// What replicas share: the stored job and the queue of splits. As the real ones behave.
struct shared_store {
  std::string stored;
  struct record {
    std::uint64_t seq;
    std::string text;
    std::uint32_t attempts = 0;
    int owner = 0; ///< 0 = none
  };
  std::vector<record> splits;
  std::vector<record> source; ///< records of a queue
  std::uint64_t seq_last = 0;
  std::uint64_t epoch = 1;
  std::vector<std::string> sink;  ///< results, as a queue
  std::optional<failure> refuses; ///< why it stores nothing
  std::size_t commits = 0;        ///< that were tried

  /// The head ends and starts again: nobody has a lease.
  void restart() {
    ++epoch;
    for (auto* each : {&splits, &source})
      for (auto& record : *each)
        record.owner = 0;
  }

  result<void> commit(const store_job& what, int owner) {
    ++commits;
    if (refuses)
      return tl::unexpected{*refuses};
    const auto is_taken = [&](const record& each) {
      return std::find(what.taken.begin(), what.taken.end(), each.seq) != what.taken.end();
    };
    const auto held = std::count_if(source.begin(), source.end(), [&](const record& each) {
      return each.owner == owner && is_taken(each);
    });
    if (static_cast<std::size_t>(held) != what.taken.size())
      return fail(errc::conflict, "no longer leased");
    if (stored != what.expected)
      return fail(errc::stale, "moved");
    std::erase_if(source, is_taken);
    stored = to_text(what.next);
    for (const auto& each : what.splits)
      splits.push_back({++seq_last, to_text(each)});
    for (const auto& block : what.results)
      for (auto record : block)
        sink.emplace_back(record.payload);
    return {};
  }
  record_block pull(int owner, std::uint32_t count) {
    record_block_builder out;
    for (auto& each : source)
      if (each.owner == 0 && out.count() < count) {
        each.owner = owner;
        out.add(each.seq, each.attempts, each.text);
      }
    return out.finish();
  }
  std::vector<leased_split> lease(int owner, std::uint32_t count) {
    std::vector<leased_split> out;
    for (auto& each : splits)
      if (each.owner == 0 && out.size() < count) {
        each.owner = owner;
        out.push_back({each.seq, each.attempts, each.text, epoch});
      }
    return out;
  }
  bool settle(int owner, const settle_splits& what) {
    std::size_t gone = 0;
    for (auto seq : what.acks)
      gone +=
        std::erase_if(splits, [&](const record& each) { return each.seq == seq && each.owner == owner; });
    for (const auto& nack : what.nacks)
      for (auto& each : splits)
        if (each.seq == nack.first && each.owner == owner) {
          each.owner = 0;
          ++each.attempts;
        }
    return gone == what.acks.size();
  }
  void give_back(int owner) {
    for (auto& each : source)
      if (each.owner == owner)
        each.owner = 0;
  }
  void release(int owner) {
    give_back(owner);
    for (auto& each : splits)
      if (each.owner == owner)
        each.owner = 0;
  }
};

struct world;

/// One replica and what was asked of the outside and is not answered yet.
struct replica_under_test {
  replica_under_test(world& where, int id, const state_options& opts);
  void take(actions todo) {
    for (auto& each : todo)
      asked.push_back(std::move(each));
  }
  /// Answers one request. `is_lost`: it was carried out, and the answer says that nobody knows.
  void answer(std::size_t index, bool is_lost);
  void tick();
  void drain();

  world& where;
  int id;
  state machine;
  std::deque<action> asked;
  bool ended = false;
  bool stopped = false;
  std::size_t cleaned = 0;
  std::vector<std::uint64_t> runs_cleaned;
};

inline const state_options of_file{.run = 1, .threads = 2, .attempts_max = 5};

struct world {
  shared_store store;
  std::vector<std::unique_ptr<replica_under_test>> replicas;
  int id_last = 0;
  time_point now{};
  std::uint32_t split_count = 10;
  source_identity source{1000, 1};
  std::optional<failure> source_fails;
  std::optional<failure> work_fails;
  std::size_t finishes = 0; ///< published
  std::size_t dropped = 0;  ///< put together in vain

  moment at() const {
    return {now,
            1000 + std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count()};
  }

  replica_under_test& add(const state_options& opts = of_file) {
    replicas.push_back(std::make_unique<replica_under_test>(*this, ++id_last, opts));
    return *replicas.back();
  }
  void kill(std::size_t index) {
    store.release(replicas[index]->id);
    replicas.erase(replicas.begin() + static_cast<std::ptrdiff_t>(index));
  }
  job stored() const { return job_from_text(store.stored).value(); }

  /// Answers what `who` asks, one by one, and ticks where it asks nothing, until `goes_on` is false or for too long.
  template <class GoesOn>
  void step_while(replica_under_test& who, GoesOn goes_on) {
    for (int i = 0; i < 1000 && goes_on(); ++i) {
      now += 100ms;
      if (who.asked.empty())
        who.tick();
      else
        who.answer(0, false);
    }
  }

  /// One thing happens to one of the replicas, now and then something bad. Whoever has ended is followed by one with `next`.
  void disturb(std::mt19937& random, const state_options& next) {
    now += std::chrono::milliseconds{random() % 150};
    auto& each = *replicas[random() % replicas.size()];
    if (random() % 4 == 0)
      each.tick();
    else if (!each.asked.empty())
      each.answer(random() % each.asked.size(), random() % 20 == 0);
    if (random() % 100 == 0) {
      kill(random() % replicas.size());
      add(next);
    }
    if (random() % 100 == 0)
      replicas[random() % replicas.size()]->drain();
    for (std::size_t i = 0; i < replicas.size(); ++i)
      if (replicas[i]->ended) {
        kill(i);
        add(next);
      }
  }

  /// Drains all replicas, whose batch has ended.
  void drain_all() {
    for (auto& each : replicas) {
      each->drain();
      while (!each->asked.empty())
        each->answer(0, false);
      CHECK(each->ended);
    }
  }

  /// Answers and ticks until all replicas say that the batch has ended.
  void run_to_end() {
    for (int step = 0; step < 10000; ++step) {
      if (std::all_of(replicas.begin(), replicas.end(),
                      [](const auto& each) { return each->machine.exhausted(); }))
        return;
      now += 100ms;
      for (auto& each : replicas) {
        while (!each->asked.empty())
          each->answer(0, false);
        each->tick();
      }
    }
    std::string waiting;
    for (const auto& each : store.splits)
      waiting += each.text.substr(0, each.text.find('\n')) + " attempts=" + std::to_string(each.attempts)
                 + " owner=" + std::to_string(each.owner) + "; ";
    FAIL("the batch does not end: " << store.stored << " splits: " << waiting
                                    << " last: " << replicas.back()->machine.last_error());
  }
};

inline replica_under_test::replica_under_test(world& in, int number, const state_options& opts)
  : where(in), id(number), machine(opts) {
  take(machine.on_spawned(where.at()));
}

inline void replica_under_test::tick() { take(machine.on_tick(where.at())); }
inline void replica_under_test::drain() { take(machine.on_drain(where.at())); }

inline void replica_under_test::answer(std::size_t index, bool is_lost) {
  auto one = std::move(asked[index]);
  asked.erase(asked.begin() + static_cast<std::ptrdiff_t>(index));
  const auto at = where.at();
  const auto lost = fail(errc::timeout, "no answer");
  if (std::get_if<make_body>(&one))
    take(machine.on_body({}, at));
  else if (std::get_if<read_job>(&one))
    take(machine.on_job(is_lost ? result<std::string>{lost} : where.store.stored, at));
  else if (auto* look = std::get_if<look_at_source>(&one)) {
    source_plan plan{where.source, look->split_bytes.value_or(100), {}};
    for (std::uint32_t i = 0; i <= where.split_count; ++i)
      plan.borders.push_back(i * 100);
    take(machine.on_source(where.source_fails ? result<source_plan>{tl::unexpect, *where.source_fails} : plan,
                           at));
  } else if (auto* store = std::get_if<store_job>(&one)) {
    const auto outcome = where.store.commit(*store, id);
    take(machine.on_stored(is_lost ? result<void>{lost} : outcome, at));
  } else if (auto* pull = std::get_if<take_records>(&one)) {
    auto some = where.store.pull(id, pull->count_max); // leased also if nobody hears of it
    const bool more_may_come = some.empty() && !where.store.source.empty();
    take(machine.on_records(
      is_lost ? result<pulled_records>{lost} : pulled_records{some, more_may_come, where.store.epoch}, at));
  } else if (std::get_if<give_back_records>(&one)) {
    if (!is_lost)
      where.store.give_back(id);
    take(machine.on_given_back(is_lost ? result<void>{lost} : result<void>{}, at));
  } else if (auto* lease = std::get_if<take_splits>(&one)) {
    auto some = where.store.lease(id, lease->count_max);
    take(machine.on_taken(is_lost ? result<std::vector<leased_split>>{lost} : some, at));
  } else if (auto* work = std::get_if<work_on>(&one)) {
    if (where.work_fails)
      return take(machine.on_worked(work->seq, tl::unexpected{*where.work_fails}, at));
    if (stopped)
      return take(machine.on_worked(work->seq, fail(errc::shutting_down, "stopped"), at));
    record_block_builder results;
    for (auto record : work->which.records)
      results.add(record.payload);
    const auto count = results.count();
    if (count == 0)
      results.add(std::to_string(work->which.index));
    take(machine.on_worked(
      work->seq, split_result{{count == 0 ? 10 : count, count == 0 ? 1 : count, 0}, {results.finish()}}, at));
  } else if (auto* join = std::get_if<put_together>(&one)) {
    take(machine.on_joined(join->seq, {}, at));
  } else if (std::get_if<drop_joined>(&one)) {
    ++where.dropped;
  } else if (auto* last = std::get_if<publish>(&one)) {
    ++where.finishes;
    take(machine.on_published(last->seq, finish_outcome{where.split_count, {}}, at));
  } else if (auto* settle = std::get_if<settle_splits>(&one)) {
    const bool ok = where.store.settle(id, *settle);
    take(machine.on_settled(is_lost ? result<std::size_t>{lost} : result<std::size_t>{ok ? 0 : 1}, at));
  } else if (std::get_if<release_leases>(&one)) {
    if (!is_lost)
      where.store.release(id);
    take(machine.on_released(is_lost ? result<void>{lost} : result<void>{}, at));
  } else if (std::get_if<stop_work>(&one))
    stopped = true;
  else if (auto* clean = std::get_if<clean_up>(&one)) {
    ++cleaned;
    runs_cleaned.push_back(clean->run);
    take(machine.on_cleaned(at));
  } else if (std::get_if<tear_down>(&one))
    take(machine.on_torn_down({}, at));
  else if (std::get_if<finish>(&one))
    ended = true;
}

inline void check_complete(const world& in) {
  const auto job = in.stored();
  CHECK(job.phase == job_phase::done);
  CHECK(job.totals.records_in == 10 * in.split_count);
  CHECK(job.totals.bytes_in == 100 * in.split_count);
  auto sink = in.store.sink;
  std::sort(sink.begin(), sink.end());
  CHECK(std::adjacent_find(sink.begin(), sink.end()) == sink.end());
  CHECK(sink.size() == in.split_count);
}

} // namespace sluice::batch::testing
