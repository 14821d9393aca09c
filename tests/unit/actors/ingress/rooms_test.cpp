// Goal: a message to a room reaches everybody who is in it now, once, whichever ingress they are connected to, and
// nobody else.
#include "tests/support/fake_websocket.hpp"
#include "actors/ingress/rooms.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace sluice::ingress;
using sluice::testing::fake_session;
using sluice::testing::fake_websocket;
using texts = std::vector<std::string>;

namespace {

/// One WebSocket: the client's end, the transport's session, and what the replica has.
struct connected {
  std::shared_ptr<fake_websocket> client = std::make_shared<fake_websocket>();
  std::shared_ptr<rooms::member> transport;
  std::shared_ptr<fake_session> replica = std::make_shared<fake_session>();

  websocket& way() { return *replica->way(); }
  void go() { transport->on_close(websocket_code::normal, {}); }
};

struct ingress_fixture {
  std::vector<room_message> published;
  std::shared_ptr<rooms> all =
    std::make_shared<rooms>([this](const room_message& what) { published.push_back(what); });
  int ended = 0;

  connected connect(const char* processor = "chat") {
    connected out;
    out.transport = all->enter(flow_name{"f"}, processor_name{processor}, out.replica, [this] { ++ended; });
    out.transport->on_open(out.client);
    return out;
  }
};

} // namespace

TEST_CASE_FIXTURE(ingress_fixture, "everybody in the room gets it, and other ingresses once") {
  auto ada = connect();
  auto bob = connect();
  auto eve = connect();
  ada.way().join("lobby");
  bob.way().join("lobby");
  bob.way().join("lobby"); // twice is once
  eve.way().join("attic");
  ada.way().broadcast({"lobby", "hello", true, true});
  CHECK(ada.client->take() == texts{"text hello"});
  CHECK(bob.client->take() == texts{"text hello"});
  CHECK(eve.client->take().empty());
  REQUIRE(published.size() == 1);
  CHECK(published[0].room == "lobby");
  CHECK(published[0].payload == "hello");

  ada.way().broadcast({"lobby", "\x01\x02", false, false});
  CHECK(ada.client->take().empty());
  CHECK(bob.client->take() == texts{"binary \x01\x02"});
  eve.way().broadcast({"lobby", "from outside", true, false}); // who tells a room need not be in it
  CHECK(ada.client->take() == texts{"text from outside"});
}

TEST_CASE_FIXTURE(ingress_fixture, "what comes from another ingress goes to the members and no further") {
  auto ada = connect();
  ada.way().join("lobby");
  all->deliver({flow_name{"f"}, processor_name{"chat"}, "lobby", "hello", true});
  all->deliver({flow_name{"f"}, processor_name{"other"}, "lobby", "not for us", true});
  all->deliver({flow_name{"g"}, processor_name{"chat"}, "lobby", "not for us", true});
  CHECK(ada.client->take() == texts{"text hello"});
  CHECK(published.empty());
}

TEST_CASE_FIXTURE(ingress_fixture, "rooms of one name belong to their processors") {
  auto ada = connect("chat");
  auto bob = connect("game");
  ada.way().join("lobby");
  bob.way().join("lobby");
  ada.way().broadcast({"lobby", "hello", true, true});
  CHECK(bob.client->take().empty());
}

TEST_CASE_FIXTURE(ingress_fixture, "who has left or gone gets nothing more, but may tell others") {
  auto ada = connect();
  auto bob = connect();
  ada.way().join("lobby");
  bob.way().join("lobby");
  bob.way().leave("lobby");
  bob.way().leave("nowhere");
  ada.way().broadcast({"lobby", "one", true, true});
  CHECK(bob.client->take().empty());
  bob.way().join("lobby");
  ada.client->take();
  ada.go();
  CHECK(ada.replica->take() == texts{"open", "close 1000 "});
  ada.way().broadcast({"lobby", "ada has gone", true, true});
  ada.way().join("lobby"); // too late
  CHECK(bob.client->take() == texts{"text ada has gone"});
  CHECK(ada.client->take().empty());
  CHECK(all->connection_count() == 1);
  CHECK(ended == 1);
  ada.transport.reset();
  CHECK(ended == 1);
}

TEST_CASE_FIXTURE(ingress_fixture, "a replica that drops its way lets the connection go") {
  auto ada = connect();
  ada.way().join("lobby");
  CHECK(ada.client.use_count() > 1);
  ada.replica->drop();
  CHECK(ada.client.use_count() == 1);
  CHECK(all->connection_count() == 0);
  ada.transport.reset();
  CHECK(ended == 1);
}

TEST_CASE_FIXTURE(ingress_fixture, "a member that does not read is closed, the others go on") {
  auto slow = connect();
  auto fast = connect();
  slow.client->holds = true;
  slow.way().join("lobby");
  fast.way().join("lobby");
  const std::string big(300'000, 'x');
  for (int i = 0; i < 5; ++i)
    fast.way().broadcast({"lobby", big, true, true});
  CHECK(fast.client->take().size() == 5);
  auto got = slow.client->take();
  REQUIRE(got.size() == 5);
  CHECK(got.back().starts_with("close 1013 "));
}

TEST_CASE_FIXTURE(ingress_fixture, "names and numbers of rooms are bounded") {
  auto ada = connect();
  ada.way().join("");
  ada.way().join(std::string(limits::room_name_bytes_max + 1, 'x'));
  ada.way().broadcast({"", "nowhere", true, true});
  ada.way().broadcast({std::string(limits::room_name_bytes_max + 1, 'x'), "nowhere", true, true});
  CHECK(published.empty());
  for (std::size_t i = 0; i <= limits::rooms_per_connection_max; ++i)
    ada.way().join("room " + std::to_string(i));
  for (std::size_t i = 0; i <= limits::rooms_per_connection_max; ++i)
    ada.way().broadcast({"room " + std::to_string(i), std::to_string(i), true, true});
  CHECK(ada.client->take().size() == limits::rooms_per_connection_max);
}

TEST_CASE_FIXTURE(ingress_fixture, "text that is none is mended once, for all") {
  auto ada = connect();
  ada.way().join("lobby");
  ada.way().broadcast({"lobby", "a\xff", true, true});
  CHECK(ada.client->take() == texts{"text a\xef\xbf\xbd"});
  CHECK(published[0].payload == "a\xef\xbf\xbd");
}

TEST_CASE("a list of members is made once per change") {
  room_state<int> state;
  const room_key lobby{flow_name{"f"}, processor_name{"p"}, "lobby"};
  CHECK_FALSE(state.join(member_id{1}, lobby)); // no such member
  state.add(member_id{1}, 10);
  state.add(member_id{2}, 20);
  CHECK(state.join(member_id{1}, lobby));
  CHECK(state.join(member_id{2}, lobby));
  auto list = state.members(lobby);
  REQUIRE(list);
  CHECK(list->size() == 2);
  CHECK(state.members(lobby) == list);
  CHECK(state.remove(member_id{1}) == 10);
  CHECK(list->size() == 2); // of who goes through it right now
  CHECK(state.members(lobby)->size() == 1);
  state.leave(member_id{2}, lobby);
  CHECK(state.members(lobby) == nullptr);
  CHECK(state.room_count() == 0);
  CHECK_FALSE(state.remove(member_id{1}));
}
