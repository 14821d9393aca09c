#include "actors/queue/ready_state.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;

namespace {

const wall_time early{1h};
const wall_time late{2h};

record_block block(std::uint64_t first, std::size_t count, std::size_t size = 4) {
  record_block_builder builder;
  for (std::size_t i = 0; i < count; ++i)
    builder.add(first + i, 0, std::string(size, 'x'));
  return builder.finish();
}

} // namespace

TEST_CASE("records come out in order, with their runs") {
  ready_state ready;
  ready.add(block(1, 3), 3, early);
  ready.add(block(4, 3), 6, early);
  ready.add(block(7, 1), 7, late);
  CHECK(ready.count() == 7);
  auto first = ready.take(2, 1000);
  CHECK(first.runs == std::vector<run>{{{1, 2}, 0, early}});
  CHECK(ready.taken_to() == 2);
  auto rest = ready.take(100, 1000);
  CHECK(rest.runs == std::vector<run>{{{3, 6}, 0, early}, {{7, 7}, 0, late}});
  CHECK(rest.records.count() == 5);
  CHECK(ready.count() == 0);
  CHECK(ready.size_bytes() == 0);
  CHECK(ready.taken_to() == 7);
  CHECK(ready.take(1, 1).records.empty());
  CHECK_FALSE(ready.oldest_at());
}

TEST_CASE("a block that fits is handed on without a copy") {
  ready_state ready;
  auto whole = block(1, 5);
  ready.add(whole, 5, early);
  CHECK(ready.take(5, 1000).records.bytes().data() == whole.bytes().data());
}

TEST_CASE("bytes bound what is taken, but one record always fits") {
  ready_state ready;
  ready.add(block(1, 10, 100), 10, early);
  CHECK(ready.take(10, 250).records.count() == 2);
  CHECK(ready.take(10, 1).records.count() == 1);
  CHECK(ready.take(10, 0).records.count() == 1);
  CHECK(ready.take(10, 10'000).records.count() == 6);
}

TEST_CASE("what is forgotten from the far end is known no more") {
  ready_state ready;
  ready.add(block(1, 10), 10, early);
  ready.add(block(11, 10), 20, early);
  ready.shrink(250);
  CHECK(ready.count() == 10);
  CHECK(ready.known_to() == 10);
  ready.take(4, 1000);
  ready.shrink(0);
  CHECK(ready.known_to() == 4);
  CHECK(ready.count() == 0);
  CHECK(ready.size_bytes() == 0);
  ready.add(block(5, 2), 6, early);
  CHECK(ready.take(9, 1000).runs == std::vector<run>{{{5, 6}, 0, early}});
}

TEST_CASE("holes and attempts split runs, and the position passes holes at the end") {
  ready_state ready;
  record_block_builder builder;
  builder.add(2, 0, "a");
  builder.add(3, 1, "b");
  builder.add(7, 1, "c");
  ready.add(builder.finish(), 0, early);
  ready.add({}, 9, early);
  CHECK(ready.known_to() == 9);
  auto all = ready.take(10, 100);
  CHECK(all.runs == std::vector<run>{{{2, 2}, 0, early}, {{3, 3}, 1, early}, {{7, 7}, 1, early}});
  CHECK(ready.taken_to() == 9);
  ready.reset(40);
  CHECK(ready.taken_to() == 40);
  CHECK(ready.known_to() == 40);
}

TEST_CASE("any mix of adding, taking and forgetting loses and doubles nothing") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    ready_state ready;
    std::uint64_t expected = 1;
    for (int step = 0; step < 200; ++step) {
      switch (random() % 4) {
      case 0:
      case 1: {
        auto count = 1 + random() % 20;
        auto first = ready.known_to() + 1;
        ready.add(block(first, count, random() % 50), first + count - 1, early);
        break;
      }
      case 2:
        for (auto record : ready.take(1 + random() % 30, random() % 500).records)
          REQUIRE(record.seq == expected++);
        break;
      default:
        ready.shrink(random() % 2000);
      }
      REQUIRE(ready.taken_to() == expected - 1);
      REQUIRE(ready.count() == ready.known_to() - ready.taken_to());
    }
  }
}
