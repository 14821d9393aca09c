#include "runtime/local_system.hpp"

#include "runtime/config/state_dir.hpp"
#include "transport/batch/batch_environment.hpp"
#include "transport/connectors/builtin.hpp"
#include "transport/store/queue_store.hpp"
#include "actors/host/host.hpp"
#include "actors/queue/queue.hpp"

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <iostream>
#include <random>
#include <utility>

namespace sluice::runtime {

namespace {

constexpr std::chrono::seconds ask_timeout{10};
constexpr std::uint32_t peek_count = 1000;

std::uint64_t random_id() {
  std::random_device random;
  return ((std::uint64_t{random()} << 32) | random()) | 1;
}

} // namespace

template <class Reply, class Request>
result<Reply> local_system::ask(Request request) {
  result<Reply> out;
  self_->request(queue_, ask_timeout, std::move(request))
    .receive([&](Reply& reply) { out = std::move(reply); },
             [&](caf::error& why) { out = tl::unexpected<failure>{from_caf(why)}; });
  return out;
}

result<std::unique_ptr<local_system>> local_system::open(const std::filesystem::path& state_dir,
                                                         const flow_spec* to_run,
                                                         std::vector<std::string>* told) {
  if (auto ready = config::prepare_run_dir(state_dir); !ready)
    return fail(ready);
  store::queue_store_options options;
  options.path = (state_dir / "queue.db").string();
  options.on_damage = [](const std::string& what) { std::cerr << "sluice: " << what << std::endl; };
  auto store = store::open_queue_store(std::move(options));
  if (!store)
    return fail(store);
  std::shared_ptr<process::flight_recorder> recorder;
  std::size_t buried_count = 0;
  if (to_run) { // before the queues are: they read what it changes
    std::vector<std::string> unheard;
    auto losses = local_losses::open(state_dir, *to_run, **store, told ? *told : unheard);
    if (!losses)
      return fail(losses);
    recorder = losses->recorder();
    buried_count = losses->buried_count();
  }
  std::unique_ptr<local_system> system{new local_system{std::move(*store), std::move(recorder)}};
  system->buried_count_ = buried_count;
  // The store answers in order, so once it has answered this the queues know what they hold.
  if (auto loaded = system->ask<queue::peek_reply>(queue::peek_request{queue_name{"any"}, 0, 1}); !loaded)
    return fail(loaded);
  return system;
}

result<std::unique_ptr<local_system>> local_system::open_to_look(const std::filesystem::path& state_dir) {
  if (!config::is_run_dir(state_dir))
    return fail(errc::not_found, "there is nothing of a run in " + state_dir.string());
  return open(state_dir);
}

local_system::local_system(std::unique_ptr<queue::store_port> store,
                           std::shared_ptr<process::flight_recorder> recorder)
  : recorder_(std::move(recorder)), threads_(std::make_shared<work::worker_threads>(recorder_)),
    store_(std::make_shared<store::queue_store_thread>(std::move(store))) {
  queue::options options;
  options.store = store_;
  options.wall_clock = [] { return std::chrono::system_clock::now(); };
  options.jitter = [engine = std::mt19937_64{random_id()}]() mutable {
    return std::uniform_real_distribution<double>{0, 1}(engine);
  };
  options.on_broken = [mine = shared_](failure why) {
    std::lock_guard lock{mine->mutex};
    mine->broken = std::move(why);
  };
  options.report = [](const std::string& what) { std::cerr << "sluice: " << what << std::endl; };
  queue_ = queue::spawn(sys_, std::move(options));
  collectors_ = std::make_shared<collect::collectors>(sys_, queues(), random_id());
}

local_system::~local_system() { end(); }

void local_system::start(const local_options& opts, std::uint64_t run) {
  owner_ = sys_.spawn(
    [](host::node_handle::pointer, std::shared_ptr<shared> mine, std::function<void()> wake) {
      return host::node_handle::behavior_type{
        [mine, wake = std::move(wake)](const host::host_report& report) {
          {
            std::lock_guard lock{mine->mutex};
            mine->report = report;
            ++mine->report_count;
          }
          wake();
        }};
    },
    shared_, opts.wake);
  auto registry = std::make_shared<connector_registry>();
  connectors::add_builtin_connectors(*registry);
  host_ = host::spawn(sys_, {host_id{random_id()},
                             node_id{"local"},
                             opts.spec,
                             opts.bodies,
                             queues(),
                             owner_,
                             registry,
                             threads_,
                             recorder_,
                             targets_,
                             {batch::make_environment(threads_->http_client()), run, true}});
  desired_.revision = 1;
  for (const auto& each : local_replicas(opts.spec))
    desired_.replicas.push_back({each.id, each.processor->name, host::replica_goal::run});
  self_->send(host_, desired_);
}

std::vector<std::pair<processor_name, replica_id>> local_system::replicas() const {
  std::vector<std::pair<processor_name, replica_id>> out;
  for (const auto& order : desired_.replicas)
    out.emplace_back(order.processor, order.id);
  return out;
}

void local_system::drain() {
  // Named, not left out: what is left out is forgotten once it is down, with its last numbers.
  for (auto& order : desired_.replicas)
    order.goal = host::replica_goal::drain;
  ++desired_.revision;
  self_->send(host_, desired_);
}

bool local_system::is_drained() const {
  std::lock_guard lock{shared_->mutex};
  const auto& report = shared_->report;
  return report && report->revision == desired_.revision
         && std::all_of(report->replicas.begin(), report->replicas.end(), [](const auto& each) {
              return each.phase == host::replica_phase::down || each.phase == host::replica_phase::failed;
            });
}

std::optional<host::host_report> local_system::report() const {
  std::lock_guard lock{shared_->mutex};
  return shared_->report;
}

std::uint64_t local_system::report_count() const {
  std::lock_guard lock{shared_->mutex};
  return shared_->report_count;
}

std::optional<failure> local_system::broken() const {
  std::lock_guard lock{shared_->mutex};
  return shared_->broken;
}

queue::handle local_system::queues() const { return caf::actor_cast<queue::handle>(queue_); }

result<std::vector<queue::queue_stat>> local_system::stats() {
  auto reply = ask<queue::stats_reply>(queue::stats_request{});
  if (!reply)
    return fail(reply);
  return std::move(reply->queues);
}

result<std::string> local_system::position(const std::string& key) {
  return ask<std::string>(queue::cursor_request{key});
}

result<std::vector<std::string>> local_system::peek(const queue_name& name, std::uint64_t& after_seq) {
  auto reply = ask<queue::peek_reply>(queue::peek_request{name, after_seq, peek_count});
  if (!reply)
    return fail(reply);
  std::vector<std::string> out;
  for (auto record : reply->records) {
    out.emplace_back(record.payload);
    after_seq = record.seq;
  }
  return out;
}

result<std::vector<queue::dead_letter>> local_system::dead_letters(std::uint64_t after_id) {
  auto reply = ask<queue::dead_letters_reply>(queue::dead_letters_request{{}, after_id, peek_count});
  if (!reply)
    return fail(reply);
  return std::move(reply->letters);
}

result<std::uint64_t> local_system::requeue(const queue_name& name) {
  auto reply = ask<queue::count_reply>(queue::requeue_request{name, {}});
  if (!reply)
    return fail(reply);
  return reply->count;
}

bool local_system::blame_hung(replica_id replica, std::chrono::milliseconds timeout) {
  return recorder_
         && recorder_->mark_hung(std::chrono::steady_clock::now().time_since_epoch(), timeout, replica);
}

void local_system::blame_nobody() {
  if (recorder_)
    recorder_->clear();
}

bool local_system::end() {
  if (std::exchange(ended_, true))
    return true;
  collectors_->close();
  // The host first: its replicas settle nothing more once the queue is gone.
  for (const auto& each : {caf::actor_cast<caf::actor>(host_), caf::actor_cast<caf::actor>(owner_),
                           caf::actor_cast<caf::actor>(queue_)}) {
    if (!each)
      continue;
    self_->send_exit(each, caf::exit_reason::user_shutdown);
    self_->wait_for(each);
  }
  host_ = host::handle{};
  owner_ = host::node_handle{};
  queue_ = queue::admin_handle{};
  store_->stop();
  const bool all_ended = threads_->wait_all_ended(threads_end_max);
  blame_nobody(); // a stop is nobody's fault
  return all_ended;
}

} // namespace sluice::runtime
