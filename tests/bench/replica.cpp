// What a replica costs per record beside the user's own work: between a queue that is only memory
// and a body that does nothing, or reads and writes JSON. JSON on standard output.
#include "actors/replica/replica.hpp"

#include "transport/work/worker_threads.hpp"

#include <sluice/async.hpp>
#include <sluice/flow.hpp>
#include <sluice/io/makers.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <utility>

namespace {

using namespace sluice;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// Gives out the same block again and again until `total` records are settled.
struct memory_queue {
  record_block block;
  std::uint64_t total = 0;
  std::uint64_t leased = 0;
  std::atomic<std::uint64_t> settled{0};
  std::atomic<std::uint64_t> results{0};
  std::promise<void> done;
};

queue::handle spawn_queue(caf::actor_system& sys, std::shared_ptr<memory_queue> data) {
  return sys.spawn(
    [](queue::handle::pointer, std::shared_ptr<memory_queue> data) -> queue::handle::behavior_type {
      return {
        [](const queue::append_request&) -> caf::result<queue::append_reply> {
          return queue::append_reply{};
        },
        [data](const queue::lease_request& request) -> caf::result<queue::lease_reply> {
          if (data->leased >= data->total)
            return queue::lease_reply{1, {}};
          if (request.count_max < data->block.count()) { // the first, small ones
            record_block_builder some;
            for (auto record : data->block) {
              if (some.count() < request.count_max)
                some.add(record.seq, 0, record.payload);
            }
            data->leased += some.count();
            return queue::lease_reply{1, some.finish()};
          }
          data->leased += data->block.count();
          return queue::lease_reply{1, data->block};
        },
        [data](const queue::commit_request& request) -> caf::result<queue::commit_reply> {
          for (const auto& part : request.results)
            data->results += part.records.count();
          const auto before = data->settled.fetch_add(request.acks.size());
          if (before < data->total && before + request.acks.size() >= data->total)
            data->done.set_value();
          return queue::commit_reply{};
        },
        [](const queue::renew_request&) -> caf::result<queue::count_reply> { return queue::count_reply{}; },
        [](const queue::release_request&) -> caf::result<queue::count_reply> { return queue::count_reply{}; },
        [](const queue::cursor_request&) -> caf::result<std::string> { return std::string{}; },
      };
    },
    std::move(data));
}

struct nothing_body final : processor_body {
  result<void> process(std::string_view, encoded_results&) override { return {}; }
  void process_async(std::string_view, encoded_results&, executor&,
                     std::function<void(result<void>)>) override {}
};

struct copy_body final : processor_body {
  result<void> process(std::string_view payload, encoded_results& out) override {
    out.bytes() += payload;
    out.finish_one();
    return {};
  }
  void process_async(std::string_view, encoded_results&, executor&,
                     std::function<void(result<void>)>) override {}
};

struct order {
  std::uint64_t id;
  std::string customer;
  double amount;
  std::string note;
};
struct priced {
  std::uint64_t id;
  std::string customer;
  double total;
  std::string note;
};
priced price(const order& in) { return {in.id, in.customer, in.amount * 1.19, in.note}; }
async<priced> price_later(order in) { co_return priced{in.id, in.customer, in.amount * 1.19, in.note}; }

body_factory body_of(const std::string& name) {
  flow made{"bench"};
  const consumer_options options{.source = io::queue("in"), .sink = io::queue("out"), .num_concurrency = 16};
  made.consumer<price>("json", options).consumer<price_later>("json-async", options);
  return std::get<body_factory>(made.bodies().at(processor_name{name}));
}

/// A record of 100 bytes.
std::string payload_of(std::uint64_t id) {
  std::string text = "{\"id\":" + std::to_string(id) + ",\"customer\":\"c-" + std::to_string(id % 1000)
                     + "\",\"amount\":12.5,\"note\":\"";
  text.resize(98, 'n');
  return text + "\"}";
}

struct figures {
  double wall_ns = 0;
  double cpu_ns = 0;
};

double cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

figures measure(body_factory make_body, std::uint32_t num_concurrency, std::uint64_t total) {
  auto data = std::make_shared<memory_queue>();
  data->total = total;
  record_block_builder block;
  for (std::uint64_t seq = 1; seq <= 500; ++seq)
    block.add(seq, 0, payload_of(seq));
  data->block = block.finish();

  auto threads = std::make_shared<work::worker_threads>();
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", std::size_t{2});
  caf::actor_system sys{config};
  caf::scoped_actor self{sys};
  auto queue = spawn_queue(sys, data);
  auto owner =
    sys.spawn([](replica::owner_handle::pointer,
                 int) { return replica::owner_handle::behavior_type{[](const replica::status&) {}}; },
              0);

  replica::options opts;
  opts.processor.name = processor_name{"p"};
  opts.processor.source = io::queue("in");
  opts.processor.sink = io::queue("out");
  opts.processor.num_concurrency = num_concurrency;
  opts.owner = {node_id{"n"}, host_id{1}, replica_id{1}};
  opts.queue = queue;
  opts.make_body = std::move(make_body);
  opts.threads = threads;
  opts.owner_actor = owner;

  auto finished = data->done.get_future();
  const auto cpu_before = cpu_seconds();
  const auto before = clock_type::now();
  auto replica = replica::spawn(sys, std::move(opts));
  finished.wait();
  const std::chrono::duration<double, std::nano> took = clock_type::now() - before;
  const auto cpu = cpu_seconds() - cpu_before;
  self->send_exit(replica, caf::exit_reason::kill);
  self->wait_for(replica);
  self->send_exit(queue, caf::exit_reason::kill);
  self->send_exit(owner, caf::exit_reason::kill);
  threads->wait_all_ended(1s);
  return {took.count() / static_cast<double>(total), cpu * 1e9 / static_cast<double>(total)};
}

/// CPU time of the body called in a plain loop.
double body_alone_ns(const body_factory& make_body, std::uint64_t total) {
  auto body = make_body();
  encoded_results out;
  const auto payload = payload_of(7);
  const auto before = cpu_seconds();
  for (std::uint64_t i = 0; i < total; ++i) {
    out.clear();
    if (!body->process(payload, out))
      std::abort();
  }
  return (cpu_seconds() - before) * 1e9 / static_cast<double>(total);
}

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t total = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const body_factory nothing = [] { return std::make_unique<nothing_body>(); };
  const body_factory copy = [] { return std::make_unique<copy_body>(); };
  struct row {
    const char* name;
    body_factory make;
    std::uint32_t num_concurrency;
    bool is_sync;
  };
  const row rows[] = {{"no-op, 1 thread", nothing, 1, true},
                      {"copy, 1 thread", copy, 1, true},
                      {"copy, 2 threads", copy, 2, true},
                      {"json, 1 thread", body_of("json"), 1, true},
                      {"json, 2 threads", body_of("json"), 2, true},
                      {"json coroutine, 16 in flight", body_of("json-async"), 16, false}};
  std::printf("{\"benchmark\":\"replica\",\"record_bytes\":100,\"records\":%llu,\"rows\":[",
              static_cast<unsigned long long>(total));
  bool first = true;
  for (const auto& each : rows) {
    figures best{1e18, 1e18};
    double alone = 0;
    for (int i = 0; i < 3; ++i) { // the least disturbed of three
      const auto one = measure(each.make, each.num_concurrency, total);
      best.wall_ns = std::min(best.wall_ns, one.wall_ns);
      best.cpu_ns = std::min(best.cpu_ns, one.cpu_ns);
      if (each.is_sync) {
        const auto took = body_alone_ns(each.make, total);
        alone = i == 0 ? took : std::min(alone, took);
      }
    }
    std::printf("%s\n  {\"body\":\"%s\",\"wall_ns_per_record\":%.0f,\"cpu_ns_per_record\":%.0f,"
                "\"records_per_s\":%.0f,\"body_alone_ns\":%.0f,\"overhead_cpu_ns\":%.0f}",
                first ? "" : ",", each.name, best.wall_ns, best.cpu_ns, 1e9 / best.wall_ns, alone,
                best.cpu_ns - alone);
    first = false;
    std::fflush(stdout);
  }
  std::printf("\n]}\n");
  return 0;
}
