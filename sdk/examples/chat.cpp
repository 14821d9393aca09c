// A chat room: each connection has an object of its own, and a room reaches everybody in it, whichever replica or node
// they are connected to. Talk to it from the console of a browser, or with websocat:
//   websocat 'ws://localhost:8000/chat/lobby?name=ada'
//   {"text":"hello"}
#include <sluice/sluice.hpp>

#include <optional>
#include <string>

struct say {
  std::string text;
};
struct said {
  std::string name;
  std::string text;
};

class chat {
public:
  void open(sluice::connection<said>& to) {
    name_ = to.request().query_field("name").value_or("somebody");
    room_ = to.request().param("room");
    if (name_.empty())
      throw sluice::websocket_error{sluice::websocket_code::policy, "a name is needed"};
    to.join(room_);
    tell(to, "is here");
  }

  void process(sluice::connection<said>& to, const say& in) {
    ++count_;
    tell(to, in.text);
  }

  void close(sluice::connection<said>& to) { tell(to, "has gone after " + std::to_string(count_)); }

private:
  void tell(sluice::connection<said>& to, const std::string& text) { to.broadcast(room_, {name_, text}); }

  std::string name_;
  std::string room_;
  int count_ = 0;
};

// Without state a function will do: what it returns is sent back.
std::optional<std::string> echo(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{text};
}

int main(int argc, char** argv) {
  sluice::flow flow{"chat"};
  flow.websocket<chat>("chat", {.route = "/chat/{room}", .num_replicas = 2, .num_concurrency = 2});
  flow.websocket<echo>("echo", {.route = "/echo"});
  return sluice::run(flow, argc, argv);
}
