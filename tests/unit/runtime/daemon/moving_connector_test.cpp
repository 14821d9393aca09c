// Goal: a worker that found its head by itself finds it again when the head listens elsewhere.
#include "runtime/daemon/moving_connector.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::daemon;

namespace {

/// Notes where it was asked to connect to, and does not.
class deaf_connector final : public link::connector {
public:
  deaf_connector(host_port at, std::vector<std::string>& tried) : at_(std::move(at)), tried_(tried) {}
  void connect(std::function<void(result<link::connection_ptr>)> done) override {
    tried_.push_back(at_.host + ":" + std::to_string(at_.port));
    done(fail(errc::unavailable, "nobody"));
  }

private:
  host_port at_;
  std::vector<std::string>& tried_;
};

} // namespace

TEST_CASE("each attempt goes to where the head is by then; without an answer to where it was") {
  std::vector<std::string> tried;
  std::optional<host_port> head;
  int answers = 0;
  moving_connector connector{
    {"h", 1},
    [&] { return head; },
    [&](const host_port& at) { return std::make_unique<deaf_connector>(at, tried); }};
  auto attempt = [&] {
    connector.connect([&](const result<link::connection_ptr>& made) { answers += made ? 0 : 1; });
  };
  attempt();
  head = host_port{"h", 2};
  attempt();
  head.reset();
  attempt();
  CHECK(tried == std::vector<std::string>{"h:1", "h:2", "h:2"});
  CHECK(answers == 3);
}
