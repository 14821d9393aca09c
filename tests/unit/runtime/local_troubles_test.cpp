// Goal: who runs a flow by hand hears what does not work, when it begins, while it lasts, and when it is over.
#include "runtime/local_troubles.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;
using namespace std::chrono_literals;

namespace {

struct fixture {
  trouble_teller teller;
  std::chrono::steady_clock::time_point now{1h};
  std::vector<processor_progress> all{2};

  fixture() {
    all[0].name = processor_name{"read"};
    all[1].name = processor_name{"write"};
  }
  std::vector<std::string> after(std::chrono::milliseconds passed, const std::string& trouble) {
    now += passed;
    all[1].trouble = trouble;
    return teller.next(all, now);
  }
};

using lines = std::vector<std::string>;
const lines nothing;
const lines full{"write: no space; it is tried again until it works"};

} // namespace

TEST_CASE_FIXTURE(fixture, "a trouble is said at once, again every half minute, and when it is over") {
  CHECK(after(0ms, "") == nothing);
  CHECK(after(200ms, "no space") == full);
  for (int i = 0; i < 149; ++i)
    CHECK(after(200ms, "no space") == nothing);
  CHECK(after(200ms, "no space") == full);
  CHECK(after(1s, "") == nothing);
  CHECK(after(1s, "") == lines{"write: goes on"});
  CHECK(after(1h, "") == nothing);
  CHECK(after(1s, "no space") == full);
}

TEST_CASE_FIXTURE(fixture, "another text is said at once, but two that take turns are not said each time") {
  CHECK(after(0ms, "no space") == full);
  CHECK(after(1s, "no rights") == lines{"write: no rights; it is tried again until it works"});
  for (int i = 0; i < 10; ++i) {
    CHECK(after(1s, "no space") == nothing);
    CHECK(after(1s, "no rights") == nothing);
  }
}

TEST_CASE_FIXTURE(fixture, "what works at every other try says nothing new") {
  CHECK(after(0ms, "no space") == full);
  for (int i = 0; i < 14; ++i) {
    CHECK(after(1s, "") == nothing);
    CHECK(after(900ms, "no space") == nothing);
  }
  CHECK(after(5s, "no space") == full);
}
