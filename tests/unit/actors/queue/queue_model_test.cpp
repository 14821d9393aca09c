#include "tests/support/queue_model.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::testing;

TEST_CASE("every accepted record comes out exactly once, whatever fails in between") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    auto store = std::make_shared<fake_queue_store>();
    queue_model model{seed, [&] { return store; }};
    model.fail_next_write = [&] {
      store->write_failures_for_test.push_back({errc::overloaded, "disk full"});
    };
    model.run_steps(600);
  }
}
