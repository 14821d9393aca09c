// Goal: what is refused leaves nothing behind, and takes nothing from the others.
#include "tests/support/queue_fixture.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::queue;
using namespace sluice::testing;
using namespace std::chrono_literals;

namespace {

struct three_queues : queue_fixture {
  three_queues() : queue_fixture(bounds{.queue_count = 3}) {}
};

} // namespace

TEST_CASE_FIXTURE(queue_fixture, "an append that is refused leaves no queue behind") {
  auto request = append_of("q", block({"a"}));
  request.producer = "put-1";
  for (std::uint64_t seq : {1, 2}) {
    request.producer_seq = seq;
    request.fingerprint = 10 + seq;
    REQUIRE(ask<append_reply>(queues, request));
  }
  request.queue = queue_name{"other"};
  CHECK(ask<append_reply>(queues, request)->count == 1); // as for a repeat
  CHECK(stat("other").name.value.empty());
  request.producer_seq = 1;
  CHECK(ask<append_reply>(queues, request).error().code == errc::conflict);
  CHECK(stat("other").name.value.empty());
  store->write_failures_for_test.push_back({errc::overloaded, "disk full"});
  CHECK(put("other", {"x"}).error().code == errc::overloaded);
  CHECK(stat("other").name.value.empty());
  CHECK(put("other", {std::string(limits::record_size_bytes_max + 1, 'x')}).error().code
        == errc::invalid_argument);
  CHECK(stat("other").name.value.empty());
  CHECK(ask<count_reply>(queues, purge_request{queue_name{"other"}}).error().code == errc::not_found);

  runner->is_held = true; // somebody else comes for the queue before the refusal
  auto before = ask_later<append_reply>(queues, append_of("q", block({"x"})));
  run();
  auto refused = ask_later<append_reply>(queues, request);
  run();
  auto waits = ask_later<lease_reply>(queues, lease_of("other", 1, 5s));
  run();
  runner->release();
  run();
  runner->is_held = false;
  runner->release();
  run();
  CHECK((*refused)->error().code == errc::conflict);
  CHECK(stat("other").name.value == "other");
  REQUIRE(put("other", {"x"}));
  REQUIRE(waits->has_value());
  CHECK((*waits)->value().records.count() == 1);
}

TEST_CASE_FIXTURE(three_queues, "a queue that moves to a place left free still has its retries") {
  REQUIRE(put("a", {"1"}));
  REQUIRE(put("b", {"2"}));
  REQUIRE(put("c", {"3"}));
  commit(commit_of("a", seqs(take("a").records)));
  REQUIRE(take("c").records.count() == 1);
  auto failed = commit_of("c", {});
  failed.nacks.push_back({1, "later", true});
  REQUIRE(commit(failed));
  store->write_failures_for_test.push_back({errc::overloaded, "full"});
  CHECK_FALSE(put("d", {"x"})); // was in the place of `a`
  auto again = ask_later<lease_reply>(queues, lease_of("c", 1, 50s));
  advance(30s);
  REQUIRE(again->has_value());
  CHECK(payloads((*again)->value().records) == std::vector<std::string>{"3"});
  CHECK(take("b").records.count() == 1);
}
