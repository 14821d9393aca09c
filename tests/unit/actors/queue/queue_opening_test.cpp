// Goal: a queue actor whose store is not open yet says nothing that is not so.
#include "tests/support/queue_fixture.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::queue;
using sluice::testing::queue_fixture;

TEST_CASE_FIXTURE(queue_fixture,
                  "who asks for the queues while the store opens is told of all that are in it") {
  put("orders", {"a", "b"});
  runner->is_held = true;
  open();
  auto asked = ask_later<stats_reply>(queues, stats_request{});
  run();
  CHECK_FALSE(asked->has_value());
  while (runner->release() > 0)
    run();
  REQUIRE(asked->has_value());
  REQUIRE((*asked)->has_value());
  REQUIRE((*asked)->value().queues.size() == 1);
  CHECK((*asked)->value().queues[0].depth_count == 2);
}
