// Goal: clients of a drain are sent away at an even rate, at moments that nobody shares, within its time.
#include <sluice/processor/goodbye_policy.hpp>

#include <doctest/doctest.h>

using namespace sluice::processor;
using namespace std::chrono_literals;

TEST_CASE("few clients are told at once, many within the bound") {
  CHECK(goodbye_span(0) == 0ms);
  CHECK(goodbye_span(1) == 10ms);
  CHECK(goodbye_span(100) == 1s);
  CHECK(goodbye_span(1000) == 10s);
  CHECK(goodbye_span(1'000'000) == 10s);
}

TEST_CASE(
  "each client has a part of the span, and a moment in it that follows from its number and the seed") {
  constexpr std::size_t count = 1000;
  int same = 0;
  for (std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xfedc'ba98'7654'3210}}) {
    CAPTURE(seed);
    std::chrono::nanoseconds offsets{0};
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = goodbye_after(i, count, seed, 10s);
      CHECK(at >= 10ms * i);
      CHECK(at <= 10ms * (i + 1));
      CHECK(at == goodbye_after(i, count, seed, 10s));
      same += at == goodbye_after(i, count, seed + 7, 10s) ? 1 : 0;
      offsets += at - 10ms * i;
    }
    CHECK(offsets / count > 4ms); // spread over the parts
    CHECK(offsets / count < 6ms);
  }
  CHECK(same == 0);
}

TEST_CASE("no time at all is all at once") { CHECK(goodbye_after(5, 10, 1, 0ns) == 0ns); }
