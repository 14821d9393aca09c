// The flow of `tests/bench/websocket.cpp`: a typed echo, and a room in which everybody hears everything.
#include <sluice/sluice.hpp>

#include <cstdint>
#include <string>

struct order {
  std::string id;
  double amount;
  std::uint32_t count;
};

order echo(order in) { return in; }

struct member {
  void open(sluice::connection<std::string>& to) { to.join("all"); }
  void process(sluice::connection<std::string>& to, const std::string& text) { to.broadcast("all", text); }
};

int main(int argc, char** argv) {
  sluice::flow flow{"websocket_bench"};
  flow.websocket<echo>("echo", {.route = "/echo"});
  flow.websocket<member>("room", {.route = "/room"});
  return sluice::run(flow, argc, argv);
}
