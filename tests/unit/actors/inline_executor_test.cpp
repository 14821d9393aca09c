// Goal: a message to an actor that rests is handled on the thread that sends it, with all that follows from it, but neither
// for ever nor while that thread has work of its own.
#include "tests/support/deterministic_system.hpp"
#include "actors/inline_executor.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;

namespace {

struct note {
  using actor_message = void;
  int number = 0;
};

using handle = caf::typed_actor<caf::reacts_to<note>>;

struct always {
  static inline const char* name = "always";
};

/// Until its first message.
struct at_first {
  static inline const char* name = "at_first";
  bool is_first = true;
  bool may_run_inline() const noexcept { return is_first; }
};

/// Only the message that woke it.
struct once {
  static inline const char* name = "once";
  bool may_go_on_inline() const noexcept { return false; }
};

using once_pointer = inline_actor<handle::stateful_base<once>>*;
using always_pointer = inline_actor<handle::stateful_base<always>>*;
using at_first_pointer = inline_actor<handle::stateful_base<at_first>>*;

struct world : testing::deterministic_system {
  std::vector<std::string> seen;

  ~world() { end_owned(); } // they note what they get to the last

  /// Notes what it gets and passes one less to `next`; with 0 it ends.
  handle spawn(std::string name, handle next = {}) {
    return own(sys.spawn([this, name, next](always_pointer self) -> handle::behavior_type {
      return {[this, self, name, next](const note& what) {
        seen.push_back(name + std::to_string(what.number));
        if (what.number == 0)
          return self->quit();
        if (next)
          self->send(next, note{what.number - 1});
      }};
    }));
  }

  handle spawn_at_first() {
    return own(sys.spawn([this](at_first_pointer self) -> handle::behavior_type {
      return {[this, self](const note& what) {
        seen.push_back("f" + std::to_string(what.number));
        self->state.is_first = false;
      }};
    }));
  }

  /// Sends itself one less.
  handle spawn_once() {
    return own(sys.spawn([this](once_pointer self) -> handle::behavior_type {
      return {[this, self](const note& what) {
        seen.push_back("o" + std::to_string(what.number));
        if (what.number > 0)
          self->send(self, note{what.number - 1});
      }};
    }));
  }

  /// As any actor is.
  handle spawn_plain() {
    return own(sys.spawn([this](handle::pointer) -> handle::behavior_type {
      return {[this](const note& what) { seen.push_back("p" + std::to_string(what.number)); }};
    }));
  }

  /// Sends itself the next number for ever.
  handle spawn_restless() {
    return own(sys.spawn([this](always_pointer self) -> handle::behavior_type {
      return {[this, self](const note& what) {
        seen.push_back("r" + std::to_string(what.number));
        self->send(self, note{what.number + 1});
      }};
    }));
  }
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(
  world, "an actor that rests handles the message before the call returns, and so does who it wakes") {
  const auto b = spawn("b");
  const auto a = spawn("a", b);
  run(); // both have begun
  send_inline(a, note{2});
  CHECK(seen == texts{"a2", "b1"});
}

TEST_CASE_FIXTURE(world, "an actor that may not is left to the scheduler, whoever wakes it") {
  const auto plain = spawn_plain();
  const auto a = spawn("a", plain);
  run();
  send_inline(plain, note{7});
  send_inline(a, note{2});
  CHECK(seen == texts{"a2"});
  run();
  CHECK(seen == texts{"a2", "p7", "p1"});
}

TEST_CASE_FIXTURE(world, "an actor may leave all but the message that woke it to the scheduler") {
  const auto o = spawn_once();
  run();
  send_inline(o, note{2});
  CHECK(seen == texts{"o2"});
  run();
  CHECK(seen == texts{"o2", "o1", "o0"});
}

TEST_CASE_FIXTURE(world, "whether an actor may is asked each time") {
  const auto f = spawn_at_first();
  run();
  send_inline(f, note{1});
  send_inline(f, note{2});
  CHECK(seen == texts{"f1"});
  run();
  CHECK(seen == texts{"f1", "f2"});
}

TEST_CASE_FIXTURE(world, "what a thread holds back is handled at the end, in its order") {
  const auto b = spawn("b");
  const auto a = spawn("a", b);
  run();
  {
    const inline_hold outer;
    send_inline(a, note{2});
    {
      const inline_hold inner;
      send_inline(b, note{9});
    }
    CHECK(seen.empty());
  }
  CHECK(seen == texts{"a2", "b1", "b9"});
  send_inline(b, note{8});
  CHECK(seen.back() == "b8");
}

TEST_CASE_FIXTURE(world, "an actor that the scheduler has at hand is left to it") {
  const auto a = spawn("a");
  run();
  caf::anon_send(a, note{1});
  send_inline(a, note{2});
  CHECK(seen.empty());
  run();
  CHECK(seen == texts{"a1", "a2"});
}

TEST_CASE_FIXTURE(world, "an actor may end there, and takes no more") {
  const auto a = spawn("a");
  run();
  send_inline(a, note{0});
  send_inline(a, note{1});
  run();
  CHECK(seen == texts{"a0"});
}

TEST_CASE_FIXTURE(world, "what is left when the thread has work of its own again goes to the scheduler") {
  const auto c = spawn("c");
  const auto b = spawn("b", c);
  const auto a = spawn("a", b);
  run();
  send_inline(a, note{3}, [&] { return seen.size() == 2; });
  CHECK(seen == texts{"a3", "b2"});
  run();
  CHECK(seen == texts{"a3", "b2", "c1"});
}

TEST_CASE_FIXTURE(world, "a thread that has work from the beginning runs nothing") {
  const auto a = spawn("a");
  run();
  send_inline(a, note{1}, [] { return true; });
  CHECK(seen.empty());
  run();
  CHECK(seen == texts{"a1"});
}

TEST_CASE_FIXTURE(world, "actors that never rest give the thread back, and lose nothing") {
  const auto a = spawn_restless();
  run();
  send_inline(a, note{1});
  const auto count = seen.size();
  CHECK(count > 1);
  CHECK(count < 100);
  sched.run_once();
  CHECK(seen.back() == "r" + std::to_string(seen.size()));
  CHECK(seen.size() > count);
}
