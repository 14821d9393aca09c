// A chat for the end-to-end tests: tells which version and process a client is connected to, and brings what is said
// to a room.
#include <sluice/sluice.hpp>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <unistd.h>

#ifndef PROBE_VERSION
#define PROBE_VERSION "v1"
#endif

class chat {
public:
  void open(sluice::connection<std::string>& to) {
    room_ = to.request().param("room");
    name_ = to.request().query_field("name").value_or("somebody");
    to.join(room_);
    to.send("connected to " PROBE_VERSION " " + std::to_string(getpid()));
  }
  void process(sluice::connection<std::string>& to, const std::string& text) {
    if (text == "crash")
      throw std::runtime_error{"as " + name_ + " asked"};
    if (text.starts_with("only me "))
      to.send(text);
    else
      to.broadcast(room_, name_ + ": " + text);
  }
  void close(sluice::connection<std::string>& to) { to.broadcast(room_, name_ + " has gone"); }

private:
  std::string room_;
  std::string name_;
};

int main(int argc, char** argv) {
  // Arguments after "--" at submit come here: --replicas N
  std::uint32_t replicas = 1;
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string{argv[i]} == "--replicas")
      replicas = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
  sluice::flow flow{"chat"};
  flow.websocket<chat>(
    "chat", {.route = "/chat/{room}", .num_replicas = replicas, .num_concurrency = 2, .max_connections = 50});
  return sluice::run(flow, argc, argv);
}
