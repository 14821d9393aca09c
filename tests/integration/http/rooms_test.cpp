// Goal: real clients, server, router and user code on threads: many clients in one room all hear what each says, in the
// order of who says it, while others come and go.
#include "tests/support/websocket_client.hpp"
#include "transport/http/server.hpp"
#include "transport/work/worker_threads.hpp"
#include "actors/ingress/router.hpp"
#include "actors/replica/request_port.hpp"

#include <sluice/processor/websocket.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace sluice::http::testing {
namespace {

using sluice::testing::websocket_client;
using namespace std::chrono_literals;

class chat {
public:
  void open(connection<std::string>& to) {
    to.join(to.request().param("room"));
    to.send("welcome");
  }
  void process(connection<std::string>& to, const std::string& text) {
    if (text == "flood") {
      while (to.send(std::string(100'000, 'x'))) {
      }
      return;
    }
    to.broadcast(to.request().param("room"), text);
  }
  void close(connection<std::string>& to) { to.broadcast("attic", "somebody has gone"); }
};

/// One route with one replica, served.
struct room_fixture {
  work::worker_threads threads;
  std::unique_ptr<replica::request_work_port> work;
  std::weak_ptr<request_body> code; ///< `work` has it
  std::unique_ptr<ingress::router> routes;
  std::unique_ptr<server> front;
  std::mutex mutex;
  std::condition_variable changed;
  bool is_idle = false;

  explicit room_fixture(std::uint32_t connections_max = 1000) {
    replica::request_work_options opts;
    opts.num_concurrency = 3;
    opts.waiting_max = 1000;
    opts.idle = [this] {
      std::lock_guard lock{mutex};
      is_idle = true;
      changed.notify_all();
    };
    work = threads.make_request_work(std::move(opts));
    std::shared_ptr<request_body> body = processor::websocket_factory<processor::connection_object<chat>>(
      {{{"chat", false}, false, {}, std::make_shared<processor::value_factories>()},
       {{"chat", false}, connections_max, 3}})();
    REQUIRE(body->setup());
    code = body;
    work->start(body);

    ingress::router_options options;
    options.here = node_id{"here"};
    options.reach = [this](const ingress::route_target&) { return work->target(); };
    options.now = [] { return std::chrono::steady_clock::now(); };
    routes = std::make_unique<ingress::router>(std::move(options));
    ingress::route_table table;
    auto& route = table.routes.emplace_back();
    route.flow = flow_name{"f"};
    route.processor = processor_name{"chat"};
    route.kind = pattern::websocket;
    route.http.route = "/chat/{room}";
    route.http.max_connections = connections_max;
    route.targets.push_back({replica_id{1}, flow_version{1}, node_id{"here"}, {}});
    routes->set_routes(table);
    auto made = server::start({.threads = 2}, *routes);
    REQUIRE(made);
    front = std::move(*made);
  }
  ~room_fixture() {
    front->stop();
    work.reset();
    CHECK(threads.wait_all_ended(60s));
  }

  websocket_client enter(const std::string& room = "lobby") {
    websocket_client made{front->ports().front(), "/chat/" + room};
    REQUIRE(made.status() == 101);
    REQUIRE(made.read() == "welcome");
    return made;
  }
};

} // namespace

TEST_CASE_FIXTURE(room_fixture, "all in a room hear all, in the order of who says it") {
  constexpr int talkers = 4;
  constexpr int messages = 100;
  std::vector<websocket_client> guests;
  for (int i = 0; i < talkers; ++i)
    guests.push_back(enter());
  std::atomic<bool> is_over{false};
  std::thread passing{[&] { // others come and go meanwhile
    while (!is_over) {
      auto guest = enter("attic");
      guest.send("hello");
      guest.read();
      guest.close();
    }
  }};
  std::vector<std::thread> all;
  for (int me = 0; me < talkers; ++me)
    all.emplace_back([&, me] {
      auto& guest = guests[static_cast<std::size_t>(me)];
      std::map<char, int> next;
      int heard = 0;
      auto hear = [&] {
        auto text = guest.read();
        REQUIRE(text);
        CHECK(std::stoi(text->substr(1)) == next[text->front()]++);
        ++heard;
      };
      for (int i = 0; i < messages; ++i) {
        REQUIRE(guest.send(static_cast<char>('a' + me) + std::to_string(i)));
        hear();
      }
      while (heard < talkers * messages)
        hear();
    });
  for (auto& each : all)
    each.join();
  is_over = true;
  passing.join();
  CHECK(work->load().handled_total >= talkers * messages);
}

TEST_CASE_FIXTURE(room_fixture,
                  "user code that sends more than a client reads waits, and goes on when it leaves") {
  auto slow = enter();
  auto other = enter();
  REQUIRE(slow.send("flood"));
  REQUIRE(slow.read());
  CHECK(other.send("hi")); // the other threads serve
  while (other.read() != "hi") {
  }
  slow.vanish(); // ends the flood, or the fixture would wait for ever
}

TEST_CASE("a connection more than a replica takes is answered with 503") {
  room_fixture there{2};
  auto one = there.enter();
  auto two = there.enter();
  const auto port = there.front->ports().front();
  CHECK(websocket_client{port, "/chat/lobby"}.status() == 503);
  one.close();
  while (websocket_client{port, "/chat/lobby"}.status() != 101) {
  }
}

TEST_CASE_FIXTURE(room_fixture, "closing a replica sends its clients away and is done when they have gone") {
  auto ada = enter();
  auto bob = enter();
  CHECK(ada.send("hello"));
  CHECK(bob.read() == "hello");
  work->close();
  const auto now = std::chrono::steady_clock::now();
  code.lock()->connections()->dismiss(now, 1);
  code.lock()->connections()->dismiss(now + 1s, 1);
  std::thread leaving{[&] { CHECK(ada.read_to_close() == 1001); }};
  CHECK(bob.read_to_close() == 1001);
  leaving.join();
  std::unique_lock lock{mutex};
  CHECK(changed.wait_for(lock, 30s, [&] { return is_idle; }));
}

} // namespace sluice::http::testing
