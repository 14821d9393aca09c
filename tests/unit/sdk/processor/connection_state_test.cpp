// Goal: whatever order things happen in, user code hears open, messages as they came, close, one at a time.
#include <sluice/processor/connection_state.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice::processor;
using kind = connection_event::kind;

namespace {

/// All that is ready, each done at once.
std::vector<std::string> run(connection_state& state) {
  std::vector<std::string> out;
  while (state.is_ready()) {
    auto event = state.next();
    out.push_back(event.what == kind::open ? "open" : event.what == kind::message ? event.payload : "close");
    state.done();
  }
  return out;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("events come in their order, one at a time") {
  connection_state state;
  CHECK_FALSE(state.is_ready());
  state.open();
  CHECK(state.message("a", true));
  CHECK(state.message("b", false));
  REQUIRE(state.is_ready());
  CHECK(state.next().what == kind::open);
  CHECK_FALSE(state.is_ready()); // user code is busy
  state.done();
  auto first = state.next();
  CHECK(first.payload == "a");
  CHECK(first.is_text);
  state.end();
  state.done();
  CHECK(run(state) == texts{"b", "close"});
  CHECK(state.is_over());
}

TEST_CASE("what has come before the client went is handled, what comes after is not") {
  connection_state state;
  state.open();
  CHECK(state.message("a", true));
  state.end();
  state.end(); // told twice
  CHECK_FALSE(state.message("b", true));
  CHECK(run(state) == texts{"open", "a", "close"});
}

TEST_CASE("a connection that never opened is over without a word") {
  connection_state state;
  CHECK_FALSE(state.message("a", true));
  state.end();
  CHECK(run(state).empty());
  CHECK(state.is_over());
  state.open(); // too late
  CHECK(run(state).empty());
}

TEST_CASE("when this side closes, messages that wait are dropped, and close is still told") {
  connection_state state;
  state.open();
  state.message("12345", true);
  state.message("123", true);
  CHECK(state.next().what == kind::open);
  CHECK(state.close() == sluice::websocket_message_cost(5) + sluice::websocket_message_cost(3));
  CHECK_FALSE(state.message("late", true));
  state.done();
  CHECK(run(state).empty());
  CHECK_FALSE(state.is_over());
  state.end();
  CHECK(run(state) == texts{"close"});
  CHECK(state.is_over());
}

TEST_CASE("a drain lets end what has come in, says good-bye once, and takes no more") {
  connection_state state;
  state.open();
  CHECK(run(state) == texts{"open"});
  state.message("a", true);
  state.drain();
  CHECK_FALSE(state.message("b", true));
  CHECK_FALSE(state.take_goodbye()); // a is not done
  auto first = state.next();
  CHECK_FALSE(state.take_goodbye());
  state.done();
  CHECK(state.take_goodbye());
  CHECK_FALSE(state.take_goodbye());
  state.end();
  CHECK(run(state) == texts{"close"});
}

TEST_CASE("a connection that opens during a drain is sent away without user code") {
  connection_state state;
  state.drain();
  state.open();
  CHECK(state.take_goodbye());
  state.end();
  CHECK(run(state).empty());
  CHECK(state.is_over());
}

TEST_CASE("messages wait for room, open and the end do not") {
  connection_state state;
  state.open();
  CHECK(state.is_ready_without_room());
  state.next();
  state.done();
  state.message("a", true);
  CHECK(state.is_ready());
  CHECK_FALSE(state.is_ready_without_room());
  state.end(); // nobody will read: there is nothing to wait for
  CHECK(state.is_ready_without_room());
}
