#include "tests/support/queue_model.hpp"
#include "tests/support/queue_store_fixture.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace sluice;
using namespace sluice::testing;

// Goal: the store keeps whole segments, the model single records; both must say the same.
TEST_CASE_FIXTURE(queue_store_fixture, "any mix of writes leaves what a map of records would hold") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    fresh();
    std::mt19937 random{seed};
    auto model = std::make_unique<fake_queue_store>();
    std::map<std::string, std::uint64_t> last;
    auto pick = [&](std::uint64_t below) { return random() % below; };
    for (int step = 0; step < 60; ++step) {
      queue::write_batch batch;
      batch.now = wall + std::chrono::seconds{step};
      const bool only_appends = pick(3) == 0; // such are noted otherwise
      for (auto* each : {"a", "b"}) {
        auto top = last[each];
        auto alive = [&] { return model->queues_for_test[name(each)].records; };
        if (pick(2) == 0) {
          auto count = 1 + pick(80);
          batch.appends.push_back(segment_of(each, top + 1, numbered(top + 1, count)));
          last[each] = top + count;
        }
        if (top == 0 || only_appends)
          continue;
        std::vector<queue::seq_range> ranges;
        for (std::uint64_t at = 1 + pick(30); at <= top && pick(6) != 0;) {
          auto length = pick(3) == 0 ? pick(200) : pick(5);
          ranges.push_back({at, std::min(top, at + length)});
          at += length + 2 + pick(40);
        }
        if (!ranges.empty())
          batch.settled.push_back({name(each), ranges});
        auto gone = [&](std::uint64_t seq) {
          return std::any_of(ranges.begin(), ranges.end(),
                             [&](auto range) { return range.first <= seq && seq <= range.last; });
        };
        for (const auto& [seq, record] : alive()) {
          if (gone(seq))
            continue;
          if (pick(40) == 0)
            batch.attempts.push_back({name(each), {seq, seq}, static_cast<std::uint32_t>(1 + pick(4))});
          else if (pick(60) == 0)
            batch.graves.push_back({name(each), seq, {}, 5, "e", {}});
        }
      }
      REQUIRE(store->write(batch).has_value());
      REQUIRE(model->write(batch).has_value());
      if (pick(6) == 0)
        reopen();
      for (auto* each : {"a", "b"}) {
        REQUIRE(all(each) == texts(*model->read(name(each), 0, 1'000'000, 1u << 30)));
        std::vector<std::uint64_t> some;
        for (std::uint64_t seq = 1; seq <= last[each]; seq += 1 + pick(9))
          some.push_back(seq);
        auto mine = *store->read(name(each), some, 1u << 30);
        auto theirs = *model->read(name(each), some, 1u << 30);
        REQUIRE(texts(mine) == texts(theirs));
        REQUIRE(mine.seq_last == theirs.seq_last);
        for (const auto& part : mine.parts)
          for (auto record : part.records)
            REQUIRE(record.attempts == model->queues_for_test[name(each)].records.at(record.seq).attempts);
      }
      const auto counted = *store->load();
      for (const auto& one : counted.queues)
        REQUIRE(one.count == model->queues_for_test[one.name].records.size());
      for (const auto& one : counted.queues)
        REQUIRE(one.seq_last == last[one.name.value]);
    }
    REQUIRE(store->dead_letters({}, 0, 100'000, 1u << 30)->letters.size() == model->letters_for_test.size());
    REQUIRE(damage.empty());
  }
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "every accepted record comes out exactly once from disk, whatever fails") {
  for (unsigned seed = 101; seed <= 106; ++seed) {
    CAPTURE(seed);
    fresh();
    std::weak_ptr<queue::store_port> open;
    store.reset();
    queue_model model{seed, [&] {
                        REQUIRE(open.expired()); // only one at a time may have the file
                        auto opened = store::open_queue_store(options());
                        REQUIRE(opened.has_value());
                        std::shared_ptr<queue::store_port> now = std::move(*opened);
                        open = now;
                        return now;
                      }};
    model.run_steps(400);
  }
}
