// Goal: user code gets the messages of each connection, in order, as what it takes, and what it returns or sends goes
// back; what fails ends its own connection with a code that says why.
#include "tests/unit/sdk/processor/websocket_fixture.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

namespace {

struct ask {
  int number;
};
struct told {
  int twice;
};

told twice(const ask& in) { return {2 * in.number}; }
std::optional<std::string> maybe(std::string in) { return in.empty() ? std::nullopt : std::optional{in}; }
std::vector<told> count(const ask& in) {
  std::vector<told> all;
  for (int i = 1; i <= in.number; ++i)
    all.push_back({i});
  return all;
}
generator<told> count_lazily(ask in) {
  for (int i = 1; i <= in.number; ++i) {
    told next{i};
    co_yield next;
  }
}
bytes reversed(const bytes& in) { return {{in.data.rbegin(), in.data.rend()}}; }
void fails(const std::string& in) {
  if (in == "code")
    throw websocket_error{4001, "not like this"};
  throw std::runtime_error{"broken by " + in};
}
std::uint16_t code_of(const std::string& text) { return static_cast<std::uint16_t>(std::stoul(text)); }
void throws_code(const std::string& in) { throw websocket_error{code_of(in), "as asked"}; }
void closes_with_code(connection<std::string>& to, const std::string& in) {
  to.close(code_of(in), "as asked");
}
void relays(connection<std::string>& to, const std::string& in) { to.broadcast_others("all", in); }
async<told> twice_later(ask in) {
  co_await sleep(std::chrono::milliseconds{10 * in.number});
  told out{2 * in.number};
  co_return out;
}

struct session_log {
  texts heard;
  int alive = 0;
};

/// Counts its own messages; says what it hears.
class counter {
public:
  explicit counter(session_log& log) : log_(log) { ++log_.alive; }
  ~counter() { --log_.alive; }
  counter(const counter&) = delete;
  counter& operator=(const counter&) = delete;

  void open(connection<told>& to) {
    name_ = to.request().param("name");
    if (name_ == "nobody")
      throw websocket_error{websocket_code::policy, "a name is needed"};
    to.join("all");
    log_.heard.push_back(name_ + " opens");
  }
  void process(connection<told>& to, const ask& in) { to.send({in.number + ++count_}); }
  void close(connection<told>& to) {
    to.broadcast("all", {count_});
    log_.heard.push_back(name_ + " closes");
  }

private:
  session_log& log_;
  std::string name_;
  int count_ = 0;
};

/// What a function sends back for one text.
template <auto Function>
texts talk(std::string text, bool is_text = true) {
  replica<Function> there;
  auto client = there.connect();
  client.session->on_message(std::move(text), is_text);
  there.run();
  auto got = client.way->take();
  client.go();
  there.run();
  return got;
}

} // namespace

TEST_CASE("what a function returns is sent back") {
  CHECK(talk<twice>(R"({"number":21})") == texts{R"(text {"twice":42})"});
  CHECK(talk<maybe>("hello") == texts{"text hello"});
  CHECK(talk<maybe>("").empty());
  CHECK(talk<count>(R"({"number":2})") == texts{R"(text {"twice":1})", R"(text {"twice":2})"});
  CHECK(talk<count_lazily>(R"({"number":2})") == texts{R"(text {"twice":1})", R"(text {"twice":2})"});
  CHECK(talk<reversed>("abc", false) == texts{"binary cba"});
  CHECK(talk<relays>("hi") == texts{"cast to others all hi"});
}

TEST_CASE("a message that does not fit closes the connection and says where") {
  CHECK(talk<twice>(R"({"number":"x"})").at(0).starts_with("close 1007 ask.number: expected "));
  CHECK(talk<twice>("{").at(0).starts_with("close 1007 "));
  CHECK(talk<twice>(R"({"number":1})", false).at(0).starts_with("close 1003 "));
  CHECK(talk<reversed>("text").at(0).starts_with("close 1003 "));
}

TEST_CASE("a failure closes its own connection, with a code of its own or an id that the log has") {
  CHECK(talk<fails>("code") == texts{"close 4001 not like this"});
  captured_log log;
  auto got = talk<fails>("x");
  REQUIRE(got.size() == 1);
  CHECK(got[0].starts_with("close 1011 internal error, id req-1."));
  CHECK(log.text().find("broken by x") != std::string::npos);
  CHECK(log.text().find(got[0].substr(got[0].find("req-1."))) != std::string::npos);
  CHECK(log.text().find("chat") != std::string::npos);
}

TEST_CASE(
  "a code that no endpoint may send is a failure of the program: 1011, and the log has code and text") {
  for (auto code : {"0", "999", "1004", "1005", "1006", "1015", "1016", "2999", "5000", "65535"}) {
    for (auto got : {talk<throws_code>, talk<closes_with_code>}) {
      captured_log log;
      const auto told = got(code, true);
      REQUIRE(told.size() == 1);
      CHECK(told[0].starts_with("close 1011 internal error, id req-1."));
      CHECK(log.text().find(told[0].substr(told[0].find("req-1."))) != std::string::npos);
      CHECK(log.text().find(": closed with " + std::string{code} + ", a code that may not be sent: as asked")
            != std::string::npos);
    }
  }
  captured_log log;
  for (auto code : {"1000", "1003", "1007", "1014", "3000", "4999"}) {
    CHECK(talk<throws_code>(code) == texts{"close " + std::string{code} + " as asked"});
    CHECK(talk<closes_with_code>(code) == texts{"close " + std::string{code} + " as asked"});
  }
  CHECK(log.text().empty());
}

TEST_CASE("each connection has an object of its own, with its state") {
  session_log log;
  {
    replica_of<processor::connection_object<counter>> there{{.connections_max = 10, .num_concurrency = 10},
                                                            &log};
    auto ada = there.connect("ada");
    auto bob = there.connect("bob");
    ada.say(R"({"number":10})");
    ada.say(R"({"number":10})");
    bob.say(R"({"number":10})");
    there.run();
    CHECK(log.alive == 2);
    CHECK(ada.way->take() == texts{"join all", R"(text {"twice":11})", R"(text {"twice":12})"});
    CHECK(bob.way->take() == texts{"join all", R"(text {"twice":11})"});
    ada.go();
    there.run();
    CHECK(log.alive == 1);
    CHECK(ada.way->take() == texts{R"(cast all {"twice":2})"}); // its way is there until close is done
    CHECK(ada.way.use_count() == 1);
    CHECK(there.body->connections()->load().open == 1); // although the transport still has the session
    ada.session.reset();
    CHECK(there.body->connections()->load().open == 1);
    CHECK(there.body->connections()->load().handled_total == 3);
    bob.go();
    there.run();
  }
  CHECK(log.heard == texts{"ada opens", "bob opens", "ada closes", "bob closes"});
}

TEST_CASE("an open that throws refuses the client, and close is not called") {
  session_log log;
  replica_of<processor::connection_object<counter>> there{{.connections_max = 10, .num_concurrency = 10},
                                                          &log};
  auto nobody = there.connect("nobody");
  nobody.say(R"({"number":1})");
  there.run();
  CHECK(nobody.way->take() == texts{"close 1008 a name is needed"});
  CHECK(nobody.way->taken_bytes() == websocket_message_cost(12));
  nobody.go();
  there.run();
  CHECK(log.heard.empty());
  CHECK(log.alive == 0);
}

TEST_CASE("connections above the bound are refused, and none is taken while it drains") {
  replica<twice> there{{.connections_max = 2, .num_concurrency = 10}};
  auto one = there.connect();
  auto two = there.connect();
  talker three;
  CHECK(there.ask(three)->refused() == errc::overloaded);
  CHECK_FALSE(three.session);
  one.session->on_close(1000, {});
  one.session.reset();
  there.run();
  CHECK(there.ask(three)->refused() == std::nullopt);
  there.body->connections()->drain([] {});
  talker four;
  CHECK(there.ask(four)->refused() == errc::shutting_down);
}

TEST_CASE("a guard keeps others out before there is a connection") {
  setenv("CHAT_TOKEN", "abc", 1);
  auto factories = std::make_shared<processor::value_factories>();
  auto body = processor::websocket_factory<processor::connection_function<twice>>(
    {{{"chat", false}, false, bearer_token_from_env("CHAT_TOKEN"), factories}, {{"chat", false}}})();
  REQUIRE(body->setup());
  auto call = std::make_shared<fake_exchange>(get("/chat"));
  call->asks_for_upgrade = true;
  encoded_results results;
  body->handle(call, results);
  CHECK(call->seen->status() == 401);
  CHECK_FALSE(call->session);
  CHECK(body->connections()->load().open == 0);
}

TEST_CASE("one message of a connection is in user code at a time, and so many of all") {
  replica<twice> there{{.connections_max = 10, .num_concurrency = 2}};
  auto ada = there.connect();
  auto bob = there.connect();
  auto eve = there.connect();
  CHECK(there.turns.size() == 2); // the third waits for its turn
  there.run();
  ada.say(R"({"number":1})");
  ada.say(R"({"number":2})");
  CHECK(there.turns.size() == 1);
  there.run();
  CHECK(ada.way->take() == texts{R"(text {"twice":2})", R"(text {"twice":4})"});
  CHECK(ada.way->taken_bytes() == 2 * websocket_message_cost(12));
}

TEST_CASE("a client that does not read is not read either") {
  replica<maybe> there;
  auto ada = there.connect();
  ada.way->holds = true;
  const std::string big(200u << 10, 'x');
  ada.say(big);
  ada.say("second");
  there.run();
  CHECK(ada.way->take().size() == 2);
  ada.say(big);
  ada.say("third");
  there.run();
  CHECK(ada.way->take().size() == 1); // the third has no turn yet
  ada.way->read();
  there.run();
  CHECK(ada.way->take() == texts{"text third"});
}

TEST_CASE("a client that goes with much unread is waited for no longer") {
  replica<maybe> there;
  auto ada = there.connect();
  ada.way->holds = true;
  ada.say(std::string(300u << 10, 'x'));
  ada.say("second");
  ada.say("third");
  there.run();
  CHECK(ada.way->take().size() == 1); // the others wait for room
  ada.way->vanish();                  // before the session hears of it
  CHECK(ada.way->waiting_bytes() > fake_websocket::window_bytes);
  there.run();
  ada.go(websocket_code::lost);
  there.run();
  CHECK(there.body->connections()->load().open == 0);
  CHECK(there.body->connections()->load().handled_total == 3);
}

TEST_CASE("user code that sends a slow client far too much in one turn waits for it") {
  replica<maybe> there;
  auto ada = there.connect();
  there.run();
  ada.way->holds = true;
  ada.say(std::string(limits::websocket_unsent_bytes_max + 1, 'x'));
  std::thread working{[&] { there.run(); }};
  ada.way->wait_until_sender_waits(); // in user code's place
  ada.way->read();
  working.join();
  CHECK(ada.way->take().size() == 1);
}

TEST_CASE("user code waits for a client that takes nothing no longer than it may") {
  replica<maybe> there{{.connections_max = 10, .num_concurrency = 1, .send_timeout = 10ms}};
  auto ada = there.connect();
  auto bob = there.connect();
  there.run();
  ada.way->holds = true;
  ada.say(std::string(limits::websocket_unsent_bytes_max + 1, 'x'));
  bob.say("hello");
  there.run();
  CHECK(ada.way->take().back() == "close 1013 it does not read what is sent");
  CHECK(bob.way->take() == texts{"text hello"});
}

TEST_CASE("a connection that has ended is not counted, though user code keeps it") {
  replica<maybe> there;
  auto ada = there.connect();
  there.run();
  auto kept = std::static_pointer_cast<processor::connection_core>(ada.session);
  CHECK(there.body->connections()->load().open == 1);
  ada.go();
  there.run();
  CHECK(there.body->connections()->load().open == 0);
  bool is_idle = false;
  there.body->connections()->drain([&] { is_idle = true; });
  CHECK(is_idle);
}

TEST_CASE("who is sent too much from elsewhere is closed") {
  replica<maybe> there;
  auto ada = there.connect();
  there.run();
  ada.way->holds = true;
  auto core = std::static_pointer_cast<processor::connection_core>(ada.session);
  connection<std::string> to{core};
  int sent = 0;
  while (to.send(std::string(100'000, 'x')) && sent < 100)
    ++sent;
  CHECK(sent == 10);
  CHECK(ada.way->take().back().starts_with("close 1013 "));
  CHECK_FALSE(to.send("more"));
}

constexpr std::chrono::steady_clock::time_point drain_begins{std::chrono::hours{1}};

TEST_CASE(
  "a drain sends its clients away one after the other, and goes on with those whose moment has not come") {
  replica<twice> there{{.connections_max = 10, .num_concurrency = 10}};
  std::vector<talker> clients;
  for (int i = 0; i < 10; ++i)
    clients.push_back(there.connect());
  there.run();
  std::vector<bool> are_told(10, false);
  auto told = [&] { return std::count(are_told.begin(), are_told.end(), true); };
  auto look = [&] {
    there.run();
    for (std::size_t i = 0; i < clients.size(); ++i)
      for (const auto& each : clients[i].way->take())
        are_told[i] = are_told[i] || each.starts_with("close 1001 ");
  };
  bool is_idle = false;
  auto& keeper = *there.body->connections();
  keeper.dismiss(drain_begins, 1); // not yet asked for
  keeper.drain([&] { is_idle = true; });
  look();
  CHECK(told() == 0);
  keeper.dismiss(drain_begins, 1);
  keeper.dismiss(drain_begins + 50ms, 1);
  look();
  CHECK(told() == 5);
  for (std::size_t i = 0; i < clients.size(); ++i)
    clients[i].say(R"({"number":2})");
  there.run();
  for (std::size_t i = 0; i < clients.size(); ++i)
    CHECK(clients[i].way->take().size() == (are_told[i] ? 0 : 1));
  keeper.dismiss(drain_begins + 100ms, 1);
  look();
  CHECK(told() == 10);
  for (auto& each : clients)
    each.go(websocket_code::going_away);
  there.run();
  CHECK(is_idle);
}

TEST_CASE("a drain lets user code end, tells clients to go and says when all have") {
  replica<twice> there;
  auto ada = there.connect();
  there.run();
  ada.say(R"({"number":1})");
  bool is_idle = false;
  there.body->connections()->drain([&] { is_idle = true; });
  there.body->connections()->dismiss(drain_begins, 1);
  there.body->connections()->dismiss(drain_begins + 1s, 1);
  CHECK(ada.way->take().empty());
  ada.say(R"({"number":2})"); // comes too late
  there.run();
  CHECK(ada.way->take() == texts{R"(text {"twice":2})", "close 1001 the server moves on: connect again"});
  CHECK_FALSE(is_idle);
  ada.go(websocket_code::going_away);
  there.run();
  ada.session.reset();
  CHECK(is_idle);
}

TEST_CASE("a replica that ends tells its clients to connect again") {
  auto there = std::make_unique<replica<twice>>();
  auto ada = there->connect();
  there->run();
  there->body.reset();
  CHECK(ada.way->take() == texts{"close 1012 the replica has ended"});
  ada.go();
}

TEST_CASE("coroutines of several connections interleave, those of one do not") {
  replica<twice_later> there;
  auto ada = there.connect();
  auto bob = there.connect();
  there.run();
  ada.say(R"({"number":3})");
  ada.say(R"({"number":1})");
  bob.say(R"({"number":2})");
  there.run();
  there.where->advance(std::chrono::milliseconds{20});
  CHECK(ada.way->take().empty());
  CHECK(bob.way->take() == texts{R"(text {"twice":4})"});
  there.where->advance(std::chrono::milliseconds{10});
  CHECK(ada.way->take() == texts{R"(text {"twice":6})"});
  there.where->advance(std::chrono::milliseconds{10});
  CHECK(ada.way->take() == texts{R"(text {"twice":2})"});
}

TEST_CASE("a coroutine ends with its client") {
  replica<twice_later> there{{.connections_max = 10, .num_concurrency = 1}};
  auto ada = there.connect();
  auto bob = there.connect();
  there.run();
  ada.say(R"({"number":1000})");
  there.run();
  bob.say(R"({"number":1})"); // waits: one at a time
  ada.go(websocket_code::lost);
  there.run();
  there.where->advance(std::chrono::milliseconds{10});
  CHECK(bob.way->take() == texts{R"(text {"twice":2})"});
  CHECK(ada.way.use_count() == 1);
}
