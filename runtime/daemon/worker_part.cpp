#include "runtime/daemon/worker_part.hpp"

#include "runtime/daemon/host_links.hpp"
#include "runtime/daemon/housekeeping.hpp"
#include "runtime/daemon/log.hpp"
#include "runtime/daemon/node_links.hpp"
#include "runtime/http_front.hpp"
#include "transport/process/process_launcher.hpp"
#include "transport/process/resources.hpp"
#include "actors/collect/collectors.hpp"
#include "actors/ingress/rooms.hpp"

#include <sluice/core/version.hpp>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <filesystem>
#include <random>
#include <thread>
#include <unistd.h>

namespace sluice::daemon {

namespace fs = std::filesystem;

/// For requests under way when the node stops, before its hosts drain.
constexpr std::chrono::seconds requests_drain_max{10};

namespace {

std::uint64_t random_id() {
  std::random_device source;
  return std::uint64_t{source()} << 32 | source();
}

fs::path access_log_dir(const worker_part::settings& what) {
  return fs::path{what.options.state_dir} / "access-log";
}

} // namespace

// In this order: what is destroyed first may use what stands above it.
struct worker_part::parts {
  parts(caf::actor_system& sys, const link::io_thread& io, const settings& what)
    : links(sys, io, what.id, what.queue),
      collectors(std::make_shared<collect::collectors>(sys, what.queue, random_id())),
      logs(fs::path{what.options.state_dir} / "logs") {
    if (what.options.access_log)
      logs.add_access_log(access_log_dir(what));
  }

  host_links links;
  std::shared_ptr<collect::collectors> collectors; ///< shared with the threads that bring requests
  process::log_directory logs;
  process::work_thread housekeeping{housekeeping_jobs_max};
  std::shared_ptr<process::log_store> log_reader;
  std::shared_ptr<artifact::artifact_fetcher> fetcher;
  std::shared_ptr<process::process_launcher> launcher;
  std::shared_ptr<ingress::rooms> rooms;
  std::shared_ptr<node_links> others;
  std::unique_ptr<runtime::http_front> front;
};

namespace {

node::node_info info_of(const worker_part::settings& what, const node_links& others,
                        const std::string& http_address) {
  node::node_info info;
  info.id = what.id;
  info.started = what.started;
  info.address = others.address();
  info.cpus = what.options.cpus > 0 ? what.options.cpus : machine_cpus();
  info.memory_bytes = what.options.memory_bytes > 0 ? what.options.memory_bytes : machine_memory_bytes();
  info.labels = what.options.labels;
  info.sluice_version = SLUICE_VERSION;
  info.is_head = what.is_head;
  info.http_address = http_address;
  return info;
}

result<std::unique_ptr<node_links>> link_nodes(const worker_part::settings& what, const link::io_thread& io,
                                               const host_links& links,
                                               const std::shared_ptr<ingress::rooms>& rooms) {
  node_links::settings out;
  out.rooms = rooms;
  out.link.self = {.role = link::peer_role::node,
                   .cluster_id = what.cluster_id,
                   .name = what.id.value,
                   .started = what.started,
                   .sluice_version = SLUICE_VERSION};
  out.link.tls = what.credentials;
  out.listen_at = {what.relay_host, what.options.relay_port, {}};
  out.here = [&links](const ingress::route_target& to) {
    return links.reach(to.flow, to.version, to.replica);
  };
  auto others = node_links::start(io, std::move(out));
  if (!others)
    return fail(others.error().code, "relay port: " + others.error().message);
  return others;
}

/// The public listener of this node. Its port is taken: any other will do, unless somebody chose it.
result<std::unique_ptr<runtime::http_front>>
listen(const worker_part::settings& what, const link::io_thread& io, const host_links& links,
       node_links& others, const std::shared_ptr<ingress::rooms>& rooms,
       const std::shared_ptr<collect::collectors>& collectors, http::listen_address at) {
  const auto settings = [&] {
    runtime::http_front::settings out;
    out.server.addresses = {at};
    out.server.threads = std::max(1u, std::thread::hardware_concurrency() / 2);
    if (out.server.threads
        == 1) // the two would take turns on the same cores, at the price of waking each other
      out.server.io = io.core();
    out.server.certificate_file = what.options.http_certificate;
    out.server.key_file = what.options.http_key;
    out.server.limits.client_rate_max = what.options.http_client_rate;
    if (what.options.access_log)
      out.access_log_dir = access_log_dir(what);
    out.server.on_trouble = [](std::string_view line) { log_line("http", std::string{line}); };
    out.docs = what.options.http_docs;
    out.here = what.id;
    out.rooms = rooms;
    out.collector = [collectors](const flow_name& flow, const processor_name& processor,
                                 const queue_name& queue) {
      return collectors->find(flow, processor, queue);
    };
    out.reach = [here = what.id, &links, &others](const ingress::route_target& to) {
      return to.node == here ? links.reach(to.flow, to.version, to.replica) : others.reach(to);
    };
    out.on_beat = [&others] { others.tick(); };
    return out;
  };
  auto front = runtime::http_front::start(settings());
  if (!front && front.error().code == errc::conflict && what.options.http_or_any) {
    at.port = 0;
    front = runtime::http_front::start(settings());
  }
  return front;
}

std::string http_address_of(const worker_part::settings& what, const http::listen_address& at,
                            std::uint16_t port) {
  const bool is_v6 = at.host.find(':') != std::string::npos;
  return std::string{what.options.http_certificate.empty() ? "http://" : "https://"}
         + (is_v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(port);
}

} // namespace

double machine_cpus() { return std::max(1u, std::thread::hardware_concurrency()); }

std::uint64_t machine_memory_bytes() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES))
         * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

result<std::unique_ptr<worker_part>> worker_part::start(caf::actor_system& sys, const link::io_thread& io,
                                                        settings what) {
  auto its = std::make_unique<parts>(sys, io, what);
  its->log_reader = std::make_shared<process::log_store>(its->logs);
  its->fetcher = std::make_shared<artifact::artifact_fetcher>(*what.artifacts, what.read_artifact);
  process::launcher_options launcher;
  launcher.open_program = [store = what.artifacts](const artifact_id& id) {
    auto opened = store->open_verified(id);
    if (!opened && opened.error().code == errc::corrupt) // it is fetched again; somebody should still know
      log_line("artifacts", opened.error().message, log_level::error);
    return opened;
  };
  launcher.connect = [links = &its->links](const node::launch_order& order, process::unique_fd socket,
                                           const node::host_observer& to) {
    links->connect(order, std::move(socket), to);
  };
  launcher.work_dir = fs::path{what.options.state_dir} / "work";
  its->launcher = std::make_shared<process::process_launcher>(std::move(launcher), its->logs);
  // Each needs the other: the rooms publish to the links once there are some.
  auto way_out = std::make_shared<std::weak_ptr<node_links>>();
  its->rooms = std::make_shared<ingress::rooms>([way_out](const ingress::room_message& message) {
    if (auto links = way_out->lock())
      links->publish(message);
  });
  auto others = link_nodes(what, io, its->links, its->rooms);
  if (!others)
    return fail(others);
  its->others = std::move(*others);
  *way_out = its->others;
  auto at = runtime::parse_http_address(what.options.http);
  if (!at)
    return fail(at.error().code, "http: " + at.error().message);
  auto front = listen(what, io, its->links, *its->others, its->rooms, its->collectors, *at);
  if (!front)
    return fail(front);
  its->front = std::move(*front);
  auto address = http_address_of(what, *at, its->front->ports().front());

  node::options agent;
  agent.info = info_of(what, *its->others, address);
  agent.launcher = its->launcher;
  agent.artifacts = its->fetcher;
  agent.resources = std::make_shared<process::proc_resources>();
  agent.logs = its->log_reader;
  // A flow that reserves no memory may still not take the machine with it.
  agent.host_memory_bytes_max = agent.info.memory_bytes / 10 * 8;
  agent.wall_clock = [] { return std::chrono::system_clock::now(); };
  agent.random = [random = std::make_shared<std::mt19937_64>(std::random_device{}())] { return (*random)(); };
  if (!what.is_head) // there the cluster says what the common store has to keep
    agent.on_artifacts = collect_unused(its->housekeeping, *what.artifacts);
  agent.notice = [](const std::string& line) { log_line("node", line); };
  agent.routes = [front = its->front.get(), others = its->others.get()](const ingress::route_table& table) {
    others->set_routes(table);
    front->set_routes(table);
  };
  agent.requests = [front = its->front.get()] { return front->loads(); };
  auto handle = node::spawn(sys, std::move(agent));
  return std::unique_ptr<worker_part>{
    new worker_part{sys, std::move(its), std::move(handle), std::move(address)}};
}

worker_part::worker_part(caf::actor_system& sys, std::unique_ptr<parts> its, node::agent_handle agent,
                         std::string http_address)
  : sys_(sys), its_(std::move(its)), agent_(std::move(agent)), http_address_(std::move(http_address)) {}

worker_part::~worker_part() { stop(); }

void worker_part::stop() {
  if (!agent_)
    return;
  // The front first: what is under way here and on its way to hosts ends while they are there.
  if (!its_->front->drain(requests_drain_max)) {
    log_line("http", "some requests did not end in time; streams are cut");
    its_->front->cut_streams(); // hosts would wait for them until their own time is over
  }
  constexpr std::chrono::seconds margin{5};
  caf::scoped_actor self{sys_};
  self->request(agent_, limits::drain_timeout + limits::host_terminate_grace + margin, node::stop_request{})
    .receive([] {},
             [](const caf::error& why) {
               log_line("node", "hosts did not stop in time: " + from_caf(why).message);
             });
  // Waited for: it gives routes to the front, and artifacts to be kept, until its end.
  self->send_exit(agent_, caf::exit_reason::user_shutdown);
  self->wait_for(agent_);
  agent_ = node::agent_handle{};
  its_->front->stop();
  its_->collectors->close();
  its_.reset();
}

} // namespace sluice::daemon
