// Goal: a writer is told of what was collected whenever it can do something with it, and never of what it cannot.
#include "actors/collect/collect_inbox.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

using namespace sluice;
using namespace sluice::collect;

namespace {

collected_call made(std::size_t size_bytes = 1) {
  record_block_builder records;
  records.add(std::string(size_bytes, 'x'));
  return {nullptr, records.finish()};
}

} // namespace

TEST_CASE("a writer that rests is told once, however much comes before it looks") {
  collect_inbox inbox;
  CHECK(inbox.add(made()));
  CHECK_FALSE(inbox.add(made()));
  CHECK(inbox.count() == 2);
  CHECK(inbox.take().size() == 2);
  REQUIRE(inbox.rest(false));
  CHECK(inbox.add(made()));
}

TEST_CASE("one whose write is out is not told; what has come it finds when one is back") {
  collect_inbox inbox;
  REQUIRE(inbox.rest(true));
  CHECK_FALSE(inbox.add(made()));
  CHECK_FALSE(inbox.rest(false)); // there is more that it can do
  CHECK(inbox.take().size() == 1);
  CHECK(inbox.rest(false));
}

TEST_CASE("one whose write is out is told of much, so that it can hold back what comes") {
  collect_inbox inbox;
  REQUIRE(inbox.rest(true));
  CHECK_FALSE(inbox.add(made(1u << 19)));
  CHECK(inbox.add(made(1u << 19)));
  CHECK(inbox.take().size() == 2);
  REQUIRE(inbox.rest(true));
  CHECK_FALSE(inbox.add(made(1u << 19)));
}

TEST_CASE("between many threads and a writer that only looks when it is told nothing is left lying") {
  constexpr int threads = 3;
  constexpr int each = 20000;
  collect_inbox inbox;
  std::atomic<int> told{0};
  std::vector<std::thread> adders;
  for (int t = 0; t < threads; ++t)
    adders.emplace_back([&] {
      for (int i = 0; i < each; ++i)
        if (inbox.add(made())) {
          told.fetch_add(1);
          told.notify_one();
        }
    });
  std::size_t got = 0;
  for (int looks = 0; got < threads * each; ++looks) {
    told.wait(looks); // a hint that was forgotten hangs here
    do
      got += inbox.take().size();
    while (!inbox.rest(false));
  }
  for (auto& thread : adders)
    thread.join();
  CHECK(got == threads * each);
}
