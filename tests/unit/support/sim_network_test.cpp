#include "tests/support/sim_network.hpp"

#include <doctest/doctest.h>

#include <numeric>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;
using link::connection_ptr;
using link::frame;

link::hello make_hello(std::string name, link::peer_role role = link::peer_role::node) {
  link::hello h;
  h.role = role;
  h.cluster_id = "c1";
  h.name = std::move(name);
  h.started.bits = {1, 1};
  return h;
}

/// A process's end of a link and all that it saw.
struct end_point {
  connection_ptr link;
  std::vector<std::uint64_t> ids;
  std::vector<failure> closed;

  void take(connection_ptr made) {
    link = std::move(made);
    link->start({[this](std::vector<frame> frames) {
                   for (const auto& f : frames)
                     ids.push_back(f.id);
                 },
                 [this](failure why) { closed.push_back(std::move(why)); }});
  }
  result<void> send(std::uint64_t first, std::size_t count = 1) {
    std::vector<frame> frames(count);
    for (auto& f : frames)
      f.id = first++;
    return link->send(std::move(frames));
  }
};

/// A head and one node, whose links are kept as they come.
struct two_places {
  sim_network net;
  std::vector<std::unique_ptr<end_point>> at_head;
  std::unique_ptr<link::connector> connector;
  std::vector<failure> failed;

  explicit two_places(std::uint64_t seed = 1) : net(seed) {
    listen();
    connector = net.make_connector("node", make_hello("node-1"), "head");
  }
  void listen() {
    net.listen("head", make_hello("head", link::peer_role::head), [this](connection_ptr made) {
      at_head.push_back(std::make_unique<end_point>());
      at_head.back()->take(std::move(made));
    });
  }
  void run(sim_time length) { net.run_until(net.now() + length); }
  std::unique_ptr<end_point> connect(sim_time within = 10ms) {
    auto end = std::make_unique<end_point>();
    connector->connect([&, to = end.get()](result<connection_ptr> made) {
      if (made)
        to->take(*made);
      else
        failed.push_back(made.error());
    });
    run(within);
    return end;
  }
};

std::vector<std::uint64_t> range(std::uint64_t count) {
  std::vector<std::uint64_t> ids(count);
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  return ids;
}

TEST_CASE("frames on a simulated link arrive in order, each once, after their delay") {
  two_places world;
  world.net.set_delay("node", "head", 5ms, 50ms);
  auto node = world.connect(1s);
  REQUIRE(node->link);
  CHECK(node->link->peer().name == "head");
  REQUIRE(world.at_head.size() == 1);
  CHECK(world.at_head[0]->link->peer().name == "node-1");
  for (std::uint64_t i = 0; i < 300; i += 3)
    CHECK(node->send(i, 3));
  world.run(4ms);
  CHECK(world.at_head[0]->ids.empty());
  world.run(1s);
  CHECK(world.at_head[0]->ids == range(300));
  CHECK(world.net.counts().frames_delivered == 300);
  CHECK(world.net.now() == 2004ms);
}

TEST_CASE("the same seed gives the same trace and another seed another") {
  auto run = [](std::uint64_t seed) {
    two_places world{seed};
    auto node = world.connect();
    for (std::uint64_t i = 0; i < 100; ++i)
      static_cast<void>(node->send(i * 10, 10));
    world.run(1ms);
    world.net.cut("node", "head");
    world.run(1s);
    return world.net.trace();
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

TEST_CASE("nobody listening, another cluster, and silence are told apart") {
  two_places world;
  world.net.stop_listening("head");
  world.connect();
  CHECK(world.failed.back().code == errc::unavailable);
  world.listen();
  auto foreign = make_hello("node-1");
  foreign.cluster_id = "c2";
  world.connector = world.net.make_connector("node", foreign, "head");
  world.connect();
  CHECK(world.failed.back().code == errc::permission_denied);
  world.connector = world.net.make_connector("node", make_hello("node-1"), "head");
  world.net.block_both("node", "head");
  world.connect(6s);
  CHECK(world.failed.back().code == errc::timeout);
  CHECK(world.at_head.empty());
}

TEST_CASE("a block that heals in time loses nothing and one that lasts ends the link on both sides") {
  two_places world;
  auto node = world.connect();
  world.net.block_both("node", "head");
  CHECK(node->send(0, 2));
  world.run(limits::silence_timeout - 1s);
  CHECK(world.at_head[0]->ids.empty());
  world.net.heal("node", "head");
  CHECK(node->send(2));
  world.run(10s);
  CHECK(world.at_head[0]->ids == range(3));
  CHECK(node->closed.empty());
  world.net.block_both("node", "head");
  CHECK(node->send(3));
  world.run(limits::silence_timeout + 1s);
  REQUIRE(node->closed.size() == 1);
  CHECK(node->closed[0].code == errc::unavailable);
  CHECK(world.at_head[0]->closed.size() == 1);
  world.net.heal("node", "head");
  world.run(10s);
  CHECK(world.at_head[0]->ids == range(3));
  CHECK(node->closed.size() == 1);
}

TEST_CASE("a half-open link is noticed by the side that hears nothing, which tells the other") {
  two_places world;
  auto node = world.connect();
  world.net.block("node", "head");
  world.run(limits::silence_timeout - 100ms);
  CHECK(world.at_head[0]->closed.empty());
  world.run(200ms);
  CHECK(world.at_head[0]->closed.size() == 1);
  CHECK(node->closed.size() == 1);
}

TEST_CASE("a cut is told to both ends, and what was on its way arrives as a prefix or not at all") {
  int whole = 0, part = 0, none = 0, late = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    two_places world{seed};
    auto node = world.connect();
    for (std::uint64_t i = 0; i < 20; ++i)
      CHECK(node->send(i));
    world.run(300us);
    world.net.cut("node", "head");
    auto again = world.connect(1s);
    REQUIRE(again->link);
    CHECK(node->closed.size() == 1);
    CHECK(node->send(99).error().code == errc::unavailable);
    const auto& ids = world.at_head[0]->ids;
    CHECK(ids == range(ids.size()));
    CHECK(world.at_head[0]->closed.size() == 1);
    whole += ids.size() == 20;
    none += ids.empty();
    part += !ids.empty() && ids.size() < 20;
    late += world.net.counts().frames_lost > 0;
  }
  CHECK(whole > 0);
  CHECK(part > 0);
  CHECK(none > 0);
  CHECK(late > 0);
}

TEST_CASE("close hands over what was sent, then its reason") {
  two_places world;
  auto node = world.connect();
  CHECK(node->send(0, 5));
  node->link->close({errc::shutting_down, "done"});
  CHECK(node->send(5).error().code == errc::unavailable);
  world.run(1s);
  CHECK(world.at_head[0]->ids == range(5));
  CHECK(world.at_head[0]->closed == std::vector<failure>{{errc::shutting_down, "done"}});
  CHECK(node->closed == std::vector<failure>{{errc::shutting_down, "done"}});
}

TEST_CASE("a crashed process hears nothing more and its peer sees the link break soon") {
  two_places world;
  auto node = world.connect();
  CHECK(world.at_head[0]->send(1));
  world.net.crash("node");
  world.run(1s);
  CHECK(node->ids.empty());
  CHECK(node->closed.empty());
  REQUIRE(world.at_head[0]->closed.size() == 1);
  auto again = world.connect();
  CHECK(again->link);
}

TEST_CASE("a vanished machine is noticed by its silence only") {
  two_places world;
  auto node = world.connect();
  world.net.vanish("head");
  world.run(limits::silence_timeout - 100ms);
  CHECK(node->closed.empty());
  world.run(200ms);
  REQUIRE(node->closed.size() == 1);
  world.connect(6s);
  CHECK(world.failed.back().code == errc::timeout);
  world.listen();
  CHECK(world.connect()->link);
}

TEST_CASE("single frames can be lost or doubled on request") {
  two_places world;
  auto node = world.connect();
  world.net.set_fate([](const std::string& from, const std::string&, const frame& f) {
    if (from != "node")
      return sim_network::fate::deliver;
    return f.id == 1   ? sim_network::fate::lose
           : f.id == 2 ? sim_network::fate::twice
                       : sim_network::fate::deliver;
  });
  CHECK(node->send(0, 4));
  world.run(1s);
  CHECK(world.at_head[0]->ids == std::vector<std::uint64_t>{0, 2, 2, 3});
}

TEST_CASE("frames to an end that does not listen yet wait, up to the window") {
  sim_network net{3};
  connection_ptr accepted, made;
  net.listen("b", make_hello("b"), [&](connection_ptr link) { accepted = std::move(link); });
  auto connector = net.make_connector("a", make_hello("a"), "b");
  connector->connect([&](result<connection_ptr> outcome) { made = outcome.value(); });
  net.run_until(1s);
  int writable = 0;
  made->start({[](std::vector<frame>) {}, [](failure) {}, [&] { ++writable; }});
  std::vector<frame> big(1);
  big[0].body.resize(20u << 20);
  int sent = 0;
  while (made->send(big))
    ++sent;
  CHECK(sent == 3); // of 64 MiB
  end_point b;
  b.take(accepted);
  net.run_until(2s);
  CHECK(b.ids.size() == 3);
  CHECK(writable == 1);
  CHECK(made->send(big));
}

TEST_CASE("time goes on to what is due next and stays where it was told to") {
  sim_network net{1};
  CHECK_FALSE(net.next_due());
  auto connector = net.make_connector("a", make_hello("a"), "b");
  connector->connect([](result<connection_ptr>) {});
  REQUIRE(net.next_due());
  CHECK(*net.next_due() <= 1ms);
  net.run_until(1min);
  CHECK(net.now() == 1min);
  CHECK_FALSE(net.next_due());
}

} // namespace
} // namespace sluice::testing
