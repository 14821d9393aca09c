// Goal: a replica for requests opens and closes its way in, and a collector answers only what its
// sink has confirmed.
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_threads.hpp"
#include "actors/replica/request_replica.hpp"

#include <sluice/core/limits.hpp>

#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;
using host::replica_phase;

namespace {

/// Answers with the body it got; as a collector, gives it to the sink. Async on demand: then a call
/// ends when the test says so.
struct probe final : request_body {
  /// One client, that goes when it is told to.
  struct keeper final : connection_keeper {
    void run_on(std::function<void(std::function<void()>)>) override {}
    connection_load load() const override { return {}; }
    void drain(std::function<void()> idle) override { idle_ = std::move(idle); }
    void dismiss(std::chrono::steady_clock::time_point now, std::uint64_t) override {
      asked_at.push_back(now);
      if (asked_at.size() == 3)
        idle_();
    }
    std::vector<std::chrono::steady_clock::time_point> asked_at;
    std::function<void()> idle_;
  };
  struct shared {
    std::unique_ptr<keeper> clients;
    bool collects = false;
    bool is_async = false;
    std::optional<failure> setup_fails;
    int torn_down = 0;
    std::vector<std::function<void()>> open_calls;
  };
  explicit probe(std::shared_ptr<shared> what) : its(std::move(what)) {}

  result<void> setup() override {
    if (its->setup_fails)
      return tl::unexpected{*its->setup_fails};
    return {};
  }
  result<void> teardown() override {
    ++its->torn_down;
    return {};
  }
  bool is_async() const noexcept override { return its->is_async; }
  connection_keeper* connections() noexcept override { return its->clients.get(); }
  bool handle(const exchange_ptr& call, encoded_results& results) override {
    if (its->collects && call->in.body != "nothing") {
      results.bytes() += call->in.body;
      results.finish_one();
    }
    if (!its->collects)
      call->respond({200, {}, call->in.body});
    return its->collects;
  }
  void handle_async(const exchange_ptr& call, encoded_results& results, executor&,
                    std::function<void(bool)> done) override {
    its->open_calls.emplace_back([this, call, &results, done] { done(handle(call, results)); });
  }

  std::shared_ptr<shared> its;
};

struct memory_sink final : sink {
  result<void> open() override { return open_result; }
  result<void> push(const record_block& results) override {
    if (push_result)
      for (auto record : results)
        written.emplace_back(record.payload);
    return push_result;
  }
  result<void> open_result;
  result<void> push_result;
  std::vector<std::string> written;
};

class fixture : public deterministic_system {
public:
  std::shared_ptr<probe::shared> code = std::make_shared<probe::shared>();
  std::shared_ptr<ingress::local_targets> targets = std::make_shared<ingress::local_targets>();
  std::shared_ptr<memory_sink> sink;
  std::vector<host::replica_report> reports;
  replica::handle replica;

  ~fixture() { code->open_calls.clear(); } // they hold the body, which holds them

  void start(pattern kind = pattern::endpoint) {
    replica::request_options opts;
    opts.processor.name = processor_name{"p"};
    opts.processor.kind = kind;
    opts.processor.http.emplace();
    opts.processor.sink = {"queue", {{"name", "out"}}};
    opts.consumer = {flow_name{"f"}, processor_name{"p"}};
    opts.owner = {node_id{"n"}, host_id{3}, replica_id{5}};
    opts.make_body = [code = code] { return std::make_unique<probe>(code); };
    opts.to = sink;
    opts.threads = std::make_shared<fake_threads>();
    opts.targets = targets;
    opts.owner_actor = own(sys.spawn(
      [](replica::owner_handle::pointer, std::vector<host::replica_report>* to) {
        return replica::owner_handle::behavior_type{
          [to](const replica::status& status) { to->push_back(status.report); }};
      },
      &reports));
    replica = own(replica::spawn(sys, std::move(opts)));
    run();
  }

  std::shared_ptr<test::fake_answer> send(std::string body, std::string key = {}) {
    request in;
    in.body = std::move(body);
    const std::uint64_t fingerprint = key.empty() ? 0 : 17;
    if (!key.empty())
      in.headers.add("Idempotency-Key", std::move(key));
    auto call = std::make_shared<test::fake_exchange>(std::move(in), sched.clock().now() + 30s);
    call->fingerprint = fingerprint;
    auto log = call->seen;
    auto target = targets->find(replica_id{5});
    REQUIRE(target);
    target->submit(std::move(call));
    run();
    return log;
  }

  void drain() {
    caf::anon_send(replica, replica::drain{});
    run();
  }

  static unsigned status_of(const std::shared_ptr<test::fake_answer>& log) { return log->status(); }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "an endpoint takes requests once it is set up") {
  start();
  CHECK(reports.back().phase == replica_phase::running);
  auto log = send("hello");
  CHECK(log->body() == "hello");
  advance(limits::heartbeat_interval);
  CHECK(reports.back().processed_total == 1);
}

TEST_CASE_FIXTURE(fixture, "a setup that fails is told, and nothing gets in") {
  code->setup_fails = failure{errc::internal, "ORDERS_TOKEN is not set"};
  start();
  CHECK(reports.back().phase == replica_phase::failed);
  CHECK(reports.back().last_error == "ORDERS_TOKEN is not set");
  CHECK_FALSE(targets->find(replica_id{5}));
}

TEST_CASE_FIXTURE(fixture, "a drain takes it out of the targets, tears down and ends it") {
  start();
  auto target = targets->find(replica_id{5});
  drain();
  CHECK_FALSE(targets->find(replica_id{5}));
  auto call = std::make_shared<test::fake_exchange>(request{});
  auto log = call->seen;
  target->submit(std::move(call));
  REQUIRE(log->refused());
  CHECK(log->refused() == errc::shutting_down);
  advance(1s);
  CHECK(reports.back().phase == replica_phase::down);
  CHECK(code->torn_down == 1);
}

TEST_CASE_FIXTURE(fixture, "a drain looks again and again who of the clients is to go, until all have") {
  code->clients = std::make_unique<probe::keeper>();
  code->is_async = true;
  start(pattern::websocket);
  advance(1s);
  CHECK(code->clients->asked_at.empty());
  drain();
  advance(2s);
  const auto& asked = code->clients->asked_at;
  REQUIRE(asked.size() >= 3);
  CHECK(asked[1] - asked[0] <= 200ms);
  CHECK(asked[2] > asked[1]);
  CHECK(reports.back().phase == replica_phase::down);
}

TEST_CASE_FIXTURE(fixture, "a replica that is killed is no target any more") {
  start();
  kill(replica);
  CHECK_FALSE(targets->find(replica_id{5}));
}

TEST_CASE_FIXTURE(fixture, "what a collector makes for a queue goes back to who has the client") {
  code->collects = true;
  start(pattern::collector);
  auto log = send("one");
  const auto made = log->collected();
  REQUIRE(made);
  CHECK(made->queue == queue_name{"out"});
  REQUIRE(made->records.count() == 1);
  CHECK((*made->records.begin()).payload == "one");
  CHECK(made->key.empty());
  CHECK_FALSE(log->answer());
  drain();
  advance(1s);
  CHECK(reports.back().phase == replica_phase::down); // it is not waited for
}

TEST_CASE_FIXTURE(fixture, "with it go the key of the client and what tells whether another request has it") {
  code->collects = true;
  start(pattern::collector);
  const auto made = send("one", "k-1")->collected();
  REQUIRE(made);
  CHECK(made->key == "k-1");
  CHECK(made->fingerprint == 17);
}

TEST_CASE_FIXTURE(fixture, "a collector without results answers at once") {
  code->collects = true;
  start(pattern::collector);
  auto log = send("nothing");
  CHECK(status_of(log) == 200);
  CHECK(log->body() == R"({"success":true})");
  CHECK_FALSE(log->collected());
}

TEST_CASE_FIXTURE(
  fixture, "a coroutine of a collector is at its sink where that is written to from here, else it is done") {
  code->collects = true;
  code->is_async = true;
  auto run_one = [&] {
    auto log = send("one");
    auto call = std::move(code->open_calls.at(0));
    code->open_calls.clear();
    call();
    run();
    return log;
  };
  start(pattern::collector);
  auto to_queue = run_one();
  CHECK(to_queue->collected());
  CHECK(to_queue->sink_notices() == 0);
  kill(replica);
  sink = std::make_shared<memory_sink>();
  start(pattern::collector);
  auto to_sink = run_one();
  CHECK(status_of(to_sink) == 200);
  CHECK(to_sink->sink_notices() == 1);
}

TEST_CASE_FIXTURE(fixture, "a sink that refuses for good is an error, and a success is never claimed") {
  code->collects = true;
  sink = std::make_shared<memory_sink>();
  sink->push_result = fail(errc::invalid_argument, "no such column");
  start(pattern::collector);
  auto log = send("one");
  CHECK(status_of(log) == 500);
  CHECK(log->body() == R"({"success":false,"error":"the sink refuses the results: no such column"})");
  CHECK(sink->written.empty());
  advance(limits::heartbeat_interval);
  CHECK(reports.back().failed_total == 1);
}

TEST_CASE_FIXTURE(fixture, "a collector writes to any sink, and tells what it refuses") {
  code->collects = true;
  sink = std::make_shared<memory_sink>();
  start(pattern::collector);
  CHECK(status_of(send("one")) == 200);
  CHECK(sink->written == std::vector<std::string>{"one"});
  sink->push_result = fail(errc::unavailable, "away");
  auto log = send("two");
  CHECK(status_of(log) == 0);
  sink->push_result = {};
  advance(5s);
  CHECK(status_of(log) == 200);
  CHECK(sink->written == std::vector<std::string>{"one", "two"});
}

TEST_CASE_FIXTURE(fixture, "a sink that takes nothing is told as such before the client's time is over") {
  code->collects = true;
  sink = std::make_shared<memory_sink>();
  sink->push_result = fail(errc::unavailable, "the disk is full");
  start(pattern::collector);
  auto in_a_write = send("one");
  auto waits = send("two");
  advance(29s);
  CHECK(status_of(in_a_write) == 0);
  CHECK(status_of(waits) == 0);
  advance(800ms);
  CHECK(status_of(in_a_write) == 503);
  CHECK(
    in_a_write->body()
    == R"({"success":false,"error":"the sink did not take the results in time, and may yet take them: the disk is full"})");
  CHECK(status_of(waits) == 503);
  CHECK(waits->body()
        == R"({"success":false,"error":"the sink did not take the results in time: the disk is full"})");
  sink->push_result = {};
  advance(5s);
  CHECK(sink->written == std::vector<std::string>{"one"}); // as it said
  CHECK(in_a_write->ends() == 1);
}

TEST_CASE_FIXTURE(fixture, "a drain waits for results that are still on their way to the sink") {
  code->collects = true;
  sink = std::make_shared<memory_sink>();
  sink->push_result = fail(errc::unavailable, "away");
  start(pattern::collector);
  auto log = send("one");
  drain();
  advance(2s);
  CHECK(reports.back().phase == replica_phase::draining);
  sink->push_result = {};
  advance(5s);
  CHECK(status_of(log) == 200);
  CHECK(reports.back().phase == replica_phase::down);
}

TEST_CASE_FIXTURE(fixture, "coroutines run up to num_concurrency at a time, the rest waits") {
  code->is_async = true;
  start();
  auto first = send("1");
  auto second = send("2");
  CHECK(code->open_calls.size() == 1);
  code->open_calls[0]();
  run();
  CHECK(status_of(first) == 200);
  REQUIRE(code->open_calls.size() == 2);
  code->open_calls[1]();
  run();
  CHECK(status_of(second) == 200);
}

TEST_CASE_FIXTURE(fixture, "a drain refuses what has not begun and waits for what has") {
  code->is_async = true;
  start();
  auto first = send("1");
  auto second = send("2");
  drain();
  REQUIRE(second->refused());
  CHECK(second->refused() == errc::shutting_down);
  advance(1s);
  CHECK(reports.back().phase == replica_phase::draining);
  auto call = std::move(code->open_calls[0]);
  code->open_calls.clear();
  call();
  call = nullptr;
  advance(1s);
  CHECK(status_of(first) == 200);
  CHECK(reports.back().phase == replica_phase::down);
}
