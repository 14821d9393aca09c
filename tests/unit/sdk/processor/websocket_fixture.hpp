#pragma once

#include "tests/support/fake_websocket.hpp"
#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <sluice/processor/websocket.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

/// Messages to user code behind WebSockets, without anything between.
namespace sluice {

using testing::fake_websocket;

/// One client of a body, connected.
struct talker {
  std::shared_ptr<fake_websocket> way = std::make_shared<fake_websocket>();
  std::shared_ptr<websocket_session> session;

  void say(std::string text) { session->on_message(std::move(text), true); }
  void go(std::uint16_t code = websocket_code::normal) { session->on_close(code, {}); }
};

struct replica_bounds {
  std::uint32_t connections_max = 10;
  std::uint32_t num_concurrency = 10;
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds send_timeout = std::chrono::minutes{1};
};

/// A body of which turns run when the test says so.
template <class Target>
struct replica_of {
  std::shared_ptr<processor::value_factories> factories = std::make_shared<processor::value_factories>();
  std::unique_ptr<request_body> body;
  std::deque<std::function<void()>> turns;
  std::shared_ptr<manual_executor> where = std::make_shared<manual_executor>();

  /// @param provided what the class takes in its constructor
  template <class Provided = int>
  explicit replica_of(replica_bounds within = {}, Provided* provided = nullptr) {
    if (provided != nullptr)
      factories->add(typeid(Provided), scope::host, [provided] {
        return std::shared_ptr<void>{provided, [](void*) {}};
      });
    processor::connection_set::settings connections{{"chat", false}};
    connections.connections_max = within.connections_max;
    connections.num_concurrency = within.num_concurrency;
    connections.timeout = within.timeout;
    connections.send_timeout = within.send_timeout;
    body = processor::websocket_factory<Target>(
      {{{"chat", false}, false, {}, factories}, std::move(connections)})();
    REQUIRE(body->setup());
    if (!body->is_async())
      body->connections()->run_on([this](std::function<void()> turn) { turns.push_back(std::move(turn)); });
  }
  ~replica_of() {
    turns.clear();
    where->drop_all();
  }

  std::shared_ptr<fake_answer> ask(talker& out, std::string name = "ada") {
    request in = get("/chat/" + name);
    in.params = {{"name", name}};
    auto call = std::make_shared<fake_exchange>(std::move(in));
    call->asks_for_upgrade = true;
    encoded_results results;
    if (body->is_async())
      body->handle_async(call, results, *where, [](bool) {});
    else
      body->handle(call, results);
    out.session = call->session;
    return call->seen;
  }
  talker connect(std::string name = "ada") {
    talker out;
    ask(out, std::move(name));
    REQUIRE(out.session);
    out.session->on_open(out.way);
    return out;
  }
  void run() {
    while (!turns.empty()) {
      auto turn = std::move(turns.front());
      turns.pop_front();
      turn();
    }
    where->run();
  }
};

template <auto Function>
using replica = replica_of<processor::connection_function<Function>>;

} // namespace sluice
