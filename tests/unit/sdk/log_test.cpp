// Goal: a line says who speaks, and what is below a processor's level is neither written nor formatted.

#include "tests/support/written_by.hpp"

#include <sluice/log.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace {

using namespace sluice;
using sluice::testing::written_by;

TEST_CASE("a line names level, processor and replica") {
  const log::speaker who{processor_name{"price"}, replica_id{7}, "info"};
  CHECK(written_by([&] {
          log::speaking me{who};
          log::info("took {} ms", 3);
          log::error("gone");
        })
        == "info  price/7: took 3 ms\nerror price/7: gone\n");
}

TEST_CASE("every line of a text has its front, a last line break makes none") {
  const log::speaker who{processor_name{"price"}, replica_id{7}, "info"};
  CHECK(written_by([&] {
          log::speaking me{who};
          log::warn("one\ntwo\n");
        })
        == "warn  price/7: one\nwarn  price/7: two\n");
}

TEST_CASE("what is below the processor's level is not written and not formatted") {
  struct row {
    const char* level;
    int lines;
  };
  for (auto [level, lines] :
       {row{"trace", 5}, row{"debug", 4}, row{"info", 3}, row{"warn", 2}, row{"error", 1}}) {
    const log::speaker who{processor_name{"p"}, replica_id{1}, level};
    auto text = written_by([&] {
      log::speaking me{who};
      log::trace("x");
      log::debug("x");
      log::info("x");
      log::warn("x");
      log::error("x");
    });
    CHECK(std::count(text.begin(), text.end(), '\n') == lines);
  }
}

TEST_CASE("a thread that speaks for nobody writes from info on, and a processor's turn ends with its scope") {
  const log::speaker loud{processor_name{"p"}, replica_id{1}, "trace"};
  const log::speaker quiet{processor_name{"q"}, replica_id{2}, "error"};
  CHECK(written_by([&] {
          log::debug("nobody");
          {
            log::speaking me{loud};
            {
              log::speaking inner{quiet};
              log::info("inner");
            }
            log::trace("outer");
          }
          log::info("nobody");
        })
        == "trace p/1: outer\ninfo  nobody\n");
}

} // namespace
