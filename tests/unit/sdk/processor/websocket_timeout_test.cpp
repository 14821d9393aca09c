// Goal: a coroutine that works on one message for longer than its timeout ends where it stands, with its connection;
// one that keeps sending what it was asked for, and one that is in time, do not.
#include "tests/unit/sdk/processor/websocket_fixture.hpp"

using namespace sluice;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

namespace {

/// Sends back "done" after so many milliseconds.
async<std::string> wait_for(std::string ms) {
  co_await sleep(std::chrono::milliseconds{std::stoi(ms)});
  co_return "done " + ms;
}

/// Says nothing for so many milliseconds, then something every hour.
stream<std::string> watch(std::string ms) {
  co_await sleep(std::chrono::milliseconds{std::stoi(ms)});
  for (int n = 0; n < 3; ++n) {
    co_yield std::to_string(n);
    co_await sleep(1h);
  }
}

struct log_of_ends {
  texts heard;
};
class opens_slowly {
public:
  explicit opens_slowly(log_of_ends& log) : log_(log) {}
  async<> open(connection<std::string>& to) {
    if (to.request().param("name") == "slow")
      co_await sleep(1h);
  }
  async<std::string> process(std::string ms) {
    co_await sleep(std::chrono::milliseconds{std::stoi(ms)});
    co_return "done";
  }
  void close() { log_.heard.emplace_back("closed"); }

private:
  log_of_ends& log_;
};

constexpr auto too_long = "close 1011 it took longer than its timeout, 80 ms";

/// Time passes in small steps, as it does outside of tests.
template <class There>
void pass(There& there, std::chrono::milliseconds by) {
  for (; by > 0ms; by -= 1ms) {
    there.where->advance(1ms);
    there.run();
  }
}

} // namespace

TEST_CASE("a message that takes too long ends with its connection, not before its time") {
  captured_log log;
  replica<wait_for> there{{.timeout = 80ms}};
  auto ada = there.connect();
  there.run();
  ada.say("100000");
  pass(there, 79ms);
  CHECK(ada.way->take().empty());
  pass(there, 12ms);
  CHECK(ada.way->take() == texts{too_long});
  CHECK(there.body->connections()->load().failed_total == 1);
  CHECK(log.text().find("took longer than its timeout") != std::string::npos);
  ada.go(websocket_code::server_error);
  there.where->advance(200s);
  CHECK(there.where->waiting_count() == 0); // nothing looks at the clock any more
  CHECK(ada.way.use_count() == 1);
}

TEST_CASE("messages in time are not concerned, however many there are") {
  replica<wait_for> there{{.timeout = 80ms}};
  auto ada = there.connect();
  there.run();
  for (int i = 0; i < 10; ++i)
    ada.say("79");
  pass(there, 800ms);
  CHECK(ada.way->take() == texts(10, "text done 79"));
}

TEST_CASE("without a timeout a message may take any time") {
  replica<wait_for> there;
  auto ada = there.connect();
  there.run();
  ada.say("100000");
  there.run();
  there.where->advance(100s);
  CHECK(ada.way->take() == texts{"text done 100000"});
}

TEST_CASE("the place of a message that took too long is free for others") {
  captured_log log;
  replica<wait_for> there{{.num_concurrency = 1, .timeout = 80ms}};
  auto ada = there.connect();
  auto bob = there.connect();
  there.run();
  ada.say("100000");
  bob.say("1");
  pass(there, 100ms);
  CHECK(ada.way->take() == texts{too_long});
  CHECK(bob.way->take() == texts{"text done 1"});
}

TEST_CASE("a stream has its timeout until its first value") {
  captured_log log;
  replica<watch> there{{.timeout = 80ms}};
  auto ada = there.connect();
  auto bob = there.connect();
  there.run();
  ada.say("50");
  bob.say("500");
  pass(there, 100ms);
  CHECK(ada.way->take() == texts{"text 0"});
  CHECK(bob.way->take() == texts{too_long});
  there.where->advance(1h);
  CHECK(ada.way->take() == texts{"text 1"});
}

TEST_CASE("an open that takes too long refuses the client; a message that does is followed by close") {
  captured_log unread;
  log_of_ends log;
  replica_of<processor::connection_object<opens_slowly>> there{{.timeout = 80ms}, &log};
  auto slow = there.connect("slow");
  auto ada = there.connect("ada");
  there.run();
  ada.say("100000");
  pass(there, 100ms);
  CHECK(slow.way->take() == texts{too_long});
  CHECK(ada.way->take() == texts{too_long});
  slow.go();
  there.run();
  CHECK(log.heard.empty());
  ada.go();
  there.run();
  CHECK(log.heard == texts{"closed"});
}
