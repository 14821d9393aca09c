// Goal: whoever knocks at a port all day does not fill the disk with lines that say so, and is told of all the same.
#include "runtime/daemon/line_quota.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace std::chrono_literals;

TEST_CASE("a hundred lines come at once, then one in ten seconds, which says how many were left out") {
  daemon::line_quota quota;
  const token_bucket::time_point begin{1h};
  for (int i = 0; i < 100; ++i)
    CHECK(quota.take(begin) == 0u);
  for (int i = 0; i < 7; ++i)
    CHECK_FALSE(quota.take(begin + 5s));
  CHECK(quota.take(begin + 11s) == 7u);
  CHECK_FALSE(quota.take(begin + 12s));
  std::uint64_t told = 0;
  for (int i = 0; i < 86'400; ++i)
    told += quota.take(begin + 12s + std::chrono::seconds{i}) ? 1 : 0;
  CHECK(told < 86'400 / 10 + 2);
}
