// Goal: a quantile is right to a quarter, over any span between two looks.
#include "actors/ingress/latency_histogram.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using sluice::ingress::latency_histogram;

TEST_CASE("a quantile is right to a quarter, whatever the size") {
  for (auto taken : {3us, 10us, 47us, 130us, 999us, 25'000us, 1'700'000us}) {
    latency_histogram all;
    all.add(taken);
    const auto told = all.quantile(0.5);
    INFO(taken.count() << " told as " << told.count());
    CHECK(std::abs(told.count() - taken.count()) <= taken.count() / 4 + 1);
  }
}

TEST_CASE("quantiles tell the many from the few") {
  latency_histogram all;
  for (int i = 0; i < 98; ++i)
    all.add(100us);
  all.add(1s);
  all.add(1s);
  CHECK(all.quantile(0.5) < 150us);
  CHECK(all.quantile(0.97) < 150us);
  CHECK(all.quantile(0.99) > 800ms);
  CHECK(latency_histogram{}.quantile(0.99) == 0us);
}

TEST_CASE("extremes have a step, too") {
  latency_histogram all;
  all.add(-1s);
  all.add(0ns);
  all.add(std::chrono::hours{100});
  CHECK(all.counts.front() == 2);
  CHECK(all.counts.back() == 1);
}

TEST_CASE("the difference of two tells of the time between, and after a new start all of it") {
  latency_histogram all;
  all.add(1s);
  const auto then = all;
  all.add(1ms);
  CHECK(all.since(then).quantile(0.5) < 2ms);
  latency_histogram anew;
  anew.add(1ms);
  CHECK(anew.since(all) == anew);
}
