#include "actors/replica/replica_policy.hpp"

#include <doctest/doctest.h>

using namespace sluice::replica;
using namespace std::chrono_literals;

TEST_CASE("the first block has one record per concurrent call") {
  CHECK(records_next(0, 0ns, 1, 500) == 1);
  CHECK(records_next(0, 1ns, 16, 500) == 16);
  CHECK(records_next(0, 0ns, 16, 8) == 8);
}

TEST_CASE("while nothing is known of the cost of a record, blocks do not grow") {
  CHECK(records_next(4, 0ns, 4, 500) == 4);
}

TEST_CASE("a block grows at most eightfold and fits its duration and the batch size") {
  CHECK(records_next(1, 1us, 1, 500) == 8);
  CHECK(records_next(8, 1us, 1, 500) == 64);
  CHECK(records_next(64, 1us, 1, 500) == 500);
  CHECK(records_next(500, 10ms, 1, 500) == 20);
  CHECK(records_next(500, 10ms, 4, 500) == 80);
  CHECK(records_next(20, 1h, 4, 500) == 4);
  CHECK(records_next(20, 1h, 1, 1) == 1);
}

TEST_CASE("back-off doubles up to its bound, between half of it and the whole") {
  CHECK(backoff_delay(1, 0, 100ms, 5s) == 50ms);
  CHECK(backoff_delay(1, 0xffffffff, 100ms, 5s) == 99ms);
  CHECK(backoff_delay(3, 0, 100ms, 5s) == 200ms);
  CHECK(backoff_delay(50, 0, 100ms, 5s) == 2500ms);
  CHECK(backoff_delay(0, 0, 100ms, 5s) == 50ms);
}

TEST_CASE("a position is stored with its mark, and without one as it always was") {
  CHECK(position_text({17}) == "17");
  CHECK(position_text({17, "1:20:ab"}) == "17 1:20:ab");
  for (const char* text : {"0", "17", "18446744073709551615", "17 1:20:ab"}) {
    auto read = read_position(text);
    REQUIRE(read);
    CHECK(position_text(*read) == text);
  }
  CHECK(read_position("")->seq == 0);
  for (const char* text : {"12x", "x", " 1", "-1", "18446744073709551616"})
    CHECK_FALSE(read_position(text));
}

TEST_CASE("a stream of numbers depends only on its seed") {
  std::uint64_t one = 7;
  std::uint64_t same = 7;
  std::uint64_t other = 8;
  const auto first = next_random(one);
  CHECK(first == next_random(same));
  CHECK(first != next_random(other));
  CHECK(next_random(one) != first);
}
