// Goal: a node has one link to each node whose replicas it needs, as long as it needs them, and a
// request that cannot go there is refused, not lost.

#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_target.hpp"
#include "transport/link/memory_link.hpp"
#include "transport/peer/request_links.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace std::chrono_literals;
using sluice::test::fake_exchange;
using sluice::test::fake_target;

namespace {

using clock = peer::request_links::clock;

link::hello hello_of(std::string name) {
  link::hello it;
  it.name = std::move(name);
  it.started = {{7, 9}};
  return it;
}

/// Attempts to connect, which the test settles.
struct fake_connector final : link::connector {
  std::vector<std::function<void(result<link::connection_ptr>)>> attempts;
  void connect(std::function<void(result<link::connection_ptr>)> done) override {
    attempts.push_back(std::move(done));
  }
};

/// Node "a", which has clients, and node "b", which has replica 1.
struct two_nodes {
  std::shared_ptr<fake_target> replica = std::make_shared<fake_target>();
  std::map<std::string, std::shared_ptr<fake_connector>> connectors;
  clock::time_point now{1h};
  std::vector<std::string> lost; ///< messages to rooms, by processor
  std::unique_ptr<peer::request_door> door = std::make_unique<peer::request_door>(
    [this](replica_id id) { return id == replica_id{1} ? replica : nullptr; });
  std::unique_ptr<peer::request_links> links = std::make_unique<peer::request_links>(options());
  std::vector<link::connection_ptr> there; ///< b's ends

  peer::request_links::options options() {
    peer::request_links::options made;
    made.connector = [this](const node_id& node, const std::string& address) {
      auto& one = connectors[node.value + "@" + address];
      one = std::make_shared<fake_connector>();
      return address == "bad" ? nullptr : one;
    };
    made.now = [this] { return now; };
    made.on_room_message_lost = [this](const flow_name& flow, const processor_name& processor) {
      lost.push_back(flow.value + "/" + processor.value);
    };
    return made;
  }

  static ingress::route_target where(std::uint64_t replica = 1, std::string address = "b:1") {
    return {replica_id{replica}, flow_version{1}, node_id{"b"}, std::move(address)};
  }

  std::size_t attempts(const std::string& of = "b@b:1") {
    auto found = connectors.find(of);
    return found == connectors.end() ? 0 : found->second->attempts.size();
  }

  /// The newest attempt comes to a link.
  void connects() {
    auto [mine, theirs] = link::make_memory_link_pair(hello_of("a"), hello_of("b"));
    there.push_back(theirs);
    door->serve(theirs);
    connectors.at("b@b:1")->attempts.back()(mine);
  }
  void fails() { connectors.at("b@b:1")->attempts.back()(fail(errc::timeout, "nobody answers")); }

  void publish(std::string text, std::string address = "b:1") {
    links->publish({flow_name{"f"}, processor_name{"chat"}, "lobby", std::move(text), true},
                   {{node_id{"b"}, std::move(address)}});
  }

  std::shared_ptr<test::fake_answer> send(const ingress::target_ptr& to, method by = method::get) {
    auto call = fake_exchange::make(by, "/x", clock::now() + 1h, "body");
    to->submit(call);
    return call->seen;
  }
};

} // namespace

TEST_CASE_FIXTURE(two_nodes, "the first request makes the link and goes over it, as do those after it") {
  auto target = links->reach(where());
  CHECK(attempts() == 0);
  auto one = send(target);
  auto two = send(target);
  CHECK(attempts() == 1);
  CHECK(one->ends() == 0);
  connects();
  REQUIRE(replica->held.size() == 2);
  CHECK(replica->held[0]->in.body == "body");
  replica->answer(201, "one");
  replica->answer(202, "two");
  CHECK(one->status() == 201);
  CHECK(one->body() == "one");
  CHECK(two->status() == 202);
  auto three = send(target);
  replica->answer();
  CHECK(three->status() == 200);
  CHECK(attempts() == 1);
  CHECK(links->open_count() == 1);
  CHECK(door->open_count() == 1);
}

TEST_CASE_FIXTURE(two_nodes, "replicas of one node share a link, other nodes and addresses have their own") {
  send(links->reach(where(1)));
  send(links->reach(where(2)));
  CHECK(attempts() == 1);
  auto other = where(3);
  other.node = node_id{"c"};
  other.address = "c:1";
  send(links->reach(other));
  send(links->reach(where(1, "b:2")));
  CHECK(attempts("c@c:1") == 1);
  CHECK(attempts("b@b:2") == 1);
}

TEST_CASE_FIXTURE(two_nodes, "without an address nothing is reached, and a bad one refuses") {
  CHECK_FALSE(links->reach(where(1, "")));
  CHECK(send(links->reach(where(1, "bad")))->refused() == errc::unavailable);
}

TEST_CASE_FIXTURE(two_nodes, "a replica that is not there refuses") {
  auto seen = send(links->reach(where(9)));
  connects();
  CHECK(seen->refused() == errc::unavailable);
}

TEST_CASE_FIXTURE(two_nodes,
                  "requests that wait for a link that does not come are refused, as are those right after") {
  auto target = links->reach(where());
  auto one = send(target, method::post);
  fails();
  CHECK(one->refused() == errc::unavailable);
  CHECK(one->refusal()->message == "no link to b: nobody answers");
  CHECK(send(target)->refused() == errc::unavailable);
  CHECK(attempts() == 1);
  now += limits::reconnect_delay_max;
  auto late = send(target);
  CHECK(attempts() == 2);
  connects();
  replica->answer();
  CHECK(late->status() == 200);
}

TEST_CASE_FIXTURE(two_nodes, "a link that breaks drops what it had and is made again") {
  auto target = links->reach(where());
  auto call = fake_exchange::make(method::get, "/x", clock::now() + 1h);
  auto seen = call->seen;
  target->submit(std::move(call));
  connects();
  there.back()->close({errc::unavailable, "cut"});
  CHECK(seen->is_cut());
  CHECK(links->open_count() == 0);
  CHECK(door->open_count() == 0);
  now += limits::reconnect_delay_max;
  auto again = send(target);
  CHECK(attempts() == 2);
  connects();
  replica->held.pop_front(); // of the first one
  replica->answer();
  CHECK(again->status() == 200);
}

TEST_CASE_FIXTURE(two_nodes, "a link that breaks as it is made refuses what waited") {
  auto target = links->reach(where());
  auto seen = send(target);
  auto [mine, theirs] = link::make_memory_link_pair(hello_of("a"), hello_of("b"));
  theirs->start({[](std::vector<link::frame>) {}, [](const failure&) {}});
  theirs->close({errc::conflict, "no"});
  connectors.at("b@b:1")->attempts.back()(mine);
  CHECK(seen->refused() == errc::unavailable);
  CHECK(links->open_count() == 0);
}

TEST_CASE_FIXTURE(two_nodes, "a link that nobody uses is closed, one that has a request is not") {
  auto target = links->reach(where());
  auto seen = send(target);
  connects();
  now += 10min;
  links->tick();
  CHECK(links->open_count() == 1);
  replica->answer();
  CHECK(seen->status() == 200);
  links->tick();
  CHECK(links->open_count() == 0);
  CHECK(door->open_count() == 0);
  auto again = send(target); // no pause: it did not fail
  CHECK(attempts() == 2);
  connects();
  replica->answer();
  CHECK(again->status() == 200);
  links->tick();
  CHECK(links->open_count() == 1); // used just now
}

TEST_CASE_FIXTURE(two_nodes, "messages to rooms that a node does not get are told, one by one") {
  publish("one");
  publish("two");
  CHECK(attempts() == 1);
  CHECK(lost.empty()); // they wait
  fails();
  CHECK(lost == std::vector<std::string>{"f/chat", "f/chat"});
  publish("three"); // in the pause after it
  CHECK(lost.size() == 3);
  publish("four", "bad");
  CHECK(lost.size() == 4);
  now += limits::reconnect_delay_max;
  publish(std::string(peer::room_bytes_waiting_max, 'x')); // with its names more than may wait
  CHECK(lost.size() == 5);
  CHECK(attempts() == 1);
  publish("five");
  connects();
  publish("six");
  CHECK(attempts() == 2);
  CHECK(lost.size() == 5);
  there.back()->close({errc::unavailable, "cut"});
  publish("seven");
  CHECK(lost.size() == 6);
}

TEST_CASE_FIXTURE(two_nodes, "a client that goes tells the replica") {
  auto call = fake_exchange::make(method::get, "/x", clock::now() + 1h);
  links->reach(where())->submit(call);
  connects();
  bool stopped = false;
  replica->held[0]->when_cancelled([&] { stopped = true; });
  call->cancel();
  CHECK(stopped);
}

TEST_CASE_FIXTURE(two_nodes, "both sides close their links when they go") {
  auto target = links->reach(where());
  send(target);
  connects();
  SUBCASE("the clients' side") {
    links.reset();
    CHECK(door->open_count() == 0);
    CHECK(send(target)->refused() == errc::unavailable);
  }
  SUBCASE("the replicas' side") {
    door.reset();
    CHECK(links->open_count() == 0);
  }
}
