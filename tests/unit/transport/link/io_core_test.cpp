// Goal: what a turn's handlers hold back is let out at its end, with what that makes; and a turn ends, whatever goes on being ready.
#include "transport/link/io_core.hpp"
#include "transport/link/send_cork.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <vector>

using namespace sluice::link;
using namespace std::chrono_literals;

namespace {

struct held final : corked {
  explicit held(std::function<void()> what) : what(std::move(what)) {}
  void pull() override { what(); }
  const std::function<void()> what;
};

struct waiter final : late_waiter {
  explicit waiter(std::function<void()> what) : what(std::move(what)) {}
  void begin_wait() override { what(); }
  const std::function<void()> what;
};

void hold(std::function<void()> what) {
  REQUIRE(send_cork::current() != nullptr);
  send_cork::current()->hold(std::make_shared<held>(std::move(what)));
}

/// What was done on a core's thread, in order.
struct record {
  std::vector<std::string> steps;
  std::promise<void> done;

  void wait() { REQUIRE(done.get_future().wait_for(30s) == std::future_status::ready); }
};

} // namespace

TEST_CASE(
  "handlers that are ready together let out at the end of their turn what they hold, and what that makes") {
  io_core core;
  record seen;
  core.post([&] {
    core.post([&] {
      seen.steps.emplace_back("second");
      core.post([&] { seen.done.set_value(); });
    });
    seen.steps.emplace_back("first");
    hold([&] {
      seen.steps.emplace_back("let out");
      hold([&] { seen.steps.emplace_back("made by that"); });
    });
  });
  seen.wait();
  core.stop();
  CHECK(seen.steps.front() == "first");
  const auto at = [&](const char* what) {
    return std::find(seen.steps.begin(), seen.steps.end(), what) - seen.steps.begin();
  };
  CHECK(seen.steps.size() == 4);
  CHECK(at("made by that") == at("let out") + 1);
}

TEST_CASE("who waits later does so when all of the turn has been let out, and before the next one") {
  io_core core;
  record seen;
  core.post([&] {
    core.wait_later(std::make_shared<waiter>([&] { seen.steps.emplace_back("waits"); }));
    hold([&] {
      seen.steps.emplace_back("let out");
      core.post([&] {
        seen.steps.emplace_back("next turn");
        seen.done.set_value();
      });
    });
  });
  seen.wait();
  core.stop();
  CHECK(seen.steps == std::vector<std::string>{"let out", "waits", "next turn"});
}

TEST_CASE("what goes on being ready does not keep back what is held") {
  io_core core;
  record seen;
  int rounds = 0;
  std::function<void()> again = [&] {
    seen.steps.emplace_back("handler");
    if (++rounds == 8)
      seen.done.set_value();
    else
      core.post([&] { again(); });
  };
  core.post([&] {
    hold([&] { seen.steps.emplace_back("let out"); });
    again();
  });
  seen.wait();
  core.stop();
  REQUIRE(seen.steps.size() == 9);
  const auto before = std::find(seen.steps.begin(), seen.steps.end(), "let out") - seen.steps.begin();
  CHECK(before >= 1);
  CHECK(before <= 2);
}

TEST_CASE("what is let out for ever does not keep the loop from its other work") {
  io_core core;
  record seen;
  bool is_over = false;
  std::function<void()> for_ever = [&] {
    if (is_over)
      return;
    if (send_cork::current() != nullptr)
      hold(for_ever);
    else // the turn has had enough
      core.post([&] { hold(for_ever); });
  };
  core.post([&] {
    for_ever();
    core.post([&] {
      is_over = true;
      seen.done.set_value();
    });
  });
  seen.wait();
  core.stop();
}
