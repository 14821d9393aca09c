// Goal: what collectors made goes to its queue in groups, once, whatever becomes of writes and answers; each client is told,
// and a success only when it is there.
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_queue.hpp"
#include "actors/collect/collectors.hpp"
#include "actors/replica/replica_port.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;

namespace {

using answer_ptr = std::shared_ptr<test::fake_answer>;
using fault = fake_queue::fault;

struct fixture : deterministic_system {
  std::shared_ptr<fake_queue> queues = std::make_shared<fake_queue>();
  queue::handle queue = own(spawn_fake_queue(sys, queues));
  std::unique_ptr<collect::collectors> all = std::make_unique<collect::collectors>(sys, queue, 7);

  fixture() { run(); }
  ~fixture() { end(); }

  void end() {
    all.reset();
    run();
  }

  collect::collector_ptr to(const std::string& name) {
    return all->find(flow_name{"shop"}, processor_name{"ingest"}, queue_name{name});
  }

  /// Without running anything.
  answer_ptr add(collect::collector_port& where, const std::string& payload, std::string key = {},
                 std::uint64_t fingerprint = 1) {
    auto call = std::make_shared<test::fake_exchange>(request{}, now() + 30s);
    auto seen = call->seen;
    record_block_builder records;
    records.add(payload);
    where.add(std::move(call), {queue_name{}, records.finish(), std::move(key), fingerprint});
    return seen;
  }
  answer_ptr send(collect::collector_port& where, const std::string& payload, std::string key = {},
                  std::uint64_t fingerprint = 1) {
    auto seen = add(where, payload, std::move(key), fingerprint);
    run();
    return seen;
  }
  std::vector<std::string> stored(const std::string& name = "out") { return queues->payloads(name); }
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(fixture, "a client is answered when its results are in the queue") {
  auto out = to("out");
  auto seen = send(*out, "one");
  CHECK(seen->status() == 200);
  CHECK(seen->body() == R"({"success":true})");
  CHECK(stored() == texts{"one"});
  CHECK(to("out") == out);
  CHECK(to("other") != out);
}

TEST_CASE_FIXTURE(fixture, "what comes while a write is out goes together in the next") {
  auto out = to("out");
  run(); // it has begun
  std::vector<answer_ptr> seen;
  for (int i = 0; i < 5; ++i)
    seen.push_back(add(*out, std::to_string(i)));
  run();
  CHECK(queues->appends == 2);
  CHECK(stored() == texts{"0", "1", "2", "3", "4"});
  for (const auto& each : seen)
    CHECK(each->status() == 200);
}

TEST_CASE_FIXTURE(fixture, "a write whose answer is lost is repeated and stored once") {
  auto out = to("out");
  queues->append_faults = {fault::lose_answer, fault::refuse, fault::lose_answer};
  auto seen = send(*out, "one");
  CHECK(seen->status() == 0);
  CHECK(out->trouble() == "the answer was lost");
  advance(10s);
  CHECK(seen->status() == 200);
  CHECK(queues->appends == 3); // one was refused before it got there
  CHECK(stored() == texts{"one"});
  CHECK(out->trouble().empty());
  CHECK(send(*out, "two")->status() == 200);
  CHECK(stored() == texts{"one", "two"});
}

TEST_CASE_FIXTURE(fixture, "a queue that refuses for good is an error, and a success is never claimed") {
  auto out = to("out");
  queues->fault_code = errc::invalid_argument;
  queues->append_faults = {fault::refuse};
  auto seen = send(*out, "one");
  CHECK(seen->status() == 500);
  CHECK(seen->body()
        == R"({"success":false,"error":"the sink refuses the results: the queue is out of reach"})");
  CHECK(stored().empty());
  CHECK(out->trouble() == "the queue is out of reach");
  CHECK(send(*out, "two")->status() == 200);
  CHECK(out->trouble().empty());
}

TEST_CASE_FIXTURE(
  fixture, "the repeat of a client with the same key is stored once, another request with it refused") {
  auto out = to("out");
  CHECK(send(*out, "one", "k-1")->status() == 200);
  CHECK(send(*out, "one", "k-1")->status() == 200);
  CHECK(send(*out, "two", "k-2")->status() == 200);
  CHECK(send(*out, "three", "k-1", 2)->status() == 422);
  CHECK(out->trouble().empty()); // it is the client's
  CHECK(stored() == texts{"one", "two"});
}

TEST_CASE_FIXTURE(fixture, "a queue that takes nothing is told as such before the client's time is over") {
  auto out = to("out");
  queues->append_faults.assign(1000, fault::refuse);
  auto in_a_write = send(*out, "one");
  auto waits = send(*out, "two");
  advance(29s);
  CHECK(in_a_write->status() == 0);
  CHECK(waits->status() == 0);
  advance(800ms);
  CHECK(in_a_write->body()
        == R"({"success":false,"error":"the sink did not take the results in time, and may yet take them: )"
           R"(the queue is out of reach"})");
  CHECK(in_a_write->status() == 503);
  CHECK(waits->status() == 503);
  CHECK(
    waits->body()
    == R"({"success":false,"error":"the sink did not take the results in time: the queue is out of reach"})");
  queues->append_faults.clear();
  advance(5s);
  CHECK(stored() == texts{"one"}); // as it said
  CHECK(in_a_write->ends() == 1);
}

TEST_CASE_FIXTURE(fixture, "one that has more than it should says so until the queue has taken it") {
  auto out = to("out");
  queues->append_faults.assign(20, fault::refuse);
  const std::string large(replica::results_waiting_bytes_max / 2 + 1, 'x');
  send(*out, large);
  CHECK_FALSE(out->is_full());
  send(*out, large);
  CHECK(out->is_full());
  queues->append_faults.clear();
  advance(5s);
  CHECK_FALSE(out->is_full());
  CHECK(stored().size() == 2);
}

TEST_CASE_FIXTURE(fixture, "one that nobody has any more brings away what it has, and ends") {
  auto out = to("out");
  queues->append_faults = {fault::refuse};
  auto seen = send(*out, "one");
  const auto running = sys.registry().running();
  out.reset();
  run();
  CHECK(sys.registry().running() == running);
  advance(5s);
  CHECK(seen->status() == 200);
  CHECK(stored() == texts{"one"});
  CHECK(sys.registry().running() == running - 1);
}

TEST_CASE_FIXTURE(fixture, "and ends when no client waits for it, however long the queue is out of reach") {
  auto out = to("out");
  queues->append_faults.assign(10'000, fault::refuse);
  auto seen = send(*out, "one");
  const auto running = sys.registry().running();
  out.reset();
  advance(31s);
  CHECK(seen->status() == 503);
  CHECK(sys.registry().running() == running - 1);
}

TEST_CASE_FIXTURE(fixture, "one that comes after another for the same is not taken for it") {
  for (int round = 0; round < 3; ++round) {
    auto out = to("out");
    CHECK(send(*out, std::to_string(round))->status() == 200);
    out.reset();
    run();
  }
  auto other = to("other");
  CHECK(send(*other, "x")->status() == 200);
  CHECK(stored() == texts{"0", "1", "2"});
  CHECK(queues->producers.size() == 4);
}

TEST_CASE_FIXTURE(fixture, "an idle one sets no timers") {
  auto out = to("out");
  send(*out, "one");
  advance(1s);
  CHECK(timer_count() == 0);
}

TEST_CASE_FIXTURE(fixture, "with its process end the calls that wait, and what comes later finds none") {
  auto out = to("out");
  queues->append_faults = {fault::refuse};
  auto seen = send(*out, "one");
  all->close();
  run();
  CHECK(seen->is_cut()); // which the router tells the client
  auto late = send(*out, "two");
  CHECK_FALSE(to("out"));
  out.reset();
  CHECK(late->is_cut());
  CHECK(stored().empty());
}

TEST_CASE_FIXTURE(fixture, "there is room again before the clients are answered, who may have more") {
  auto out = to("out");
  queues->append_faults = {fault::refuse};
  const std::string large(replica::results_waiting_bytes_max + 1, 'x');
  struct asks_again final : exchange {
    asks_again(time_point deadline, std::function<void()> then)
      : exchange(request{}, deadline), then(std::move(then)) {}
    void respond(response) noexcept override { then(); }
    void refuse(failure) noexcept override {}
    void begin(response) noexcept override {}
    bool write(std::string) noexcept override { return false; }
    std::size_t waiting_bytes() const noexcept override { return 0; }
    void when_writable(std::function<void()>) noexcept override {}
    void finish() noexcept override {}
    void when_cancelled(std::function<void()>) noexcept override {}
    std::function<void()> then;
  };
  bool is_asked = false;
  record_block_builder records;
  records.add(large);
  out->add(std::make_shared<asks_again>(now() + 30s,
                                        [&] {
                                          is_asked = true;
                                          CHECK_FALSE(out->is_full());
                                        }),
           {queue_name{}, records.finish(), {}, 0});
  run();
  CHECK(out->is_full());
  advance(5s);
  CHECK(is_asked);
}
