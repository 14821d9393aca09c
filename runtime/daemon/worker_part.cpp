#include "runtime/daemon/worker_part.hpp"

#include "runtime/daemon/host_links.hpp"
#include "runtime/daemon/log.hpp"
#include "transport/process/process_launcher.hpp"
#include "transport/process/resources.hpp"

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

// In this order: what is destroyed first may use what stands above it.
struct worker_part::parts {
  parts(caf::actor_system& sys, const link::io_thread& io, const settings& what)
    : links(sys, io, what.id, what.queue), logs(fs::path{what.options.state_dir} / "logs") {}

  host_links links;
  process::log_directory logs;
  std::shared_ptr<process::log_store> log_reader;
  std::shared_ptr<artifact::artifact_fetcher> fetcher;
  std::shared_ptr<process::process_launcher> launcher;
};

namespace {

node::node_info info_of(const worker_part::settings& what) {
  node::node_info info;
  info.id = what.id;
  info.started = what.started;
  info.address = what.link_address;
  info.cpus = what.options.cpus > 0 ? what.options.cpus : machine_cpus();
  info.memory_bytes = what.options.memory_bytes > 0 ? what.options.memory_bytes : machine_memory_bytes();
  info.labels = what.options.labels;
  info.sluice_version = SLUICE_VERSION;
  info.is_head = what.is_head;
  return info;
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
    return store->open_verified(id);
  };
  launcher.connect = [links = &its->links](const node::launch_order& order, process::unique_fd socket,
                                           const node::host_observer& to) {
    links->connect(order, std::move(socket), to);
  };
  launcher.work_dir = fs::path{what.options.state_dir} / "work";
  its->launcher = std::make_shared<process::process_launcher>(std::move(launcher), its->logs);

  node::options agent;
  agent.info = info_of(what);
  agent.launcher = its->launcher;
  agent.artifacts = its->fetcher;
  agent.resources = std::make_shared<process::proc_resources>();
  agent.logs = its->log_reader;
  // A flow that reserves no memory may still not take the machine with it.
  agent.host_memory_bytes_max = agent.info.memory_bytes / 10 * 8;
  agent.wall_clock = [] { return std::chrono::system_clock::now(); };
  agent.random = [random = std::make_shared<std::mt19937_64>(std::random_device{}())] { return (*random)(); };
  agent.notice = [](const std::string& line) { log_line("node", line); };
  auto handle = node::spawn(sys, std::move(agent));
  return std::unique_ptr<worker_part>{new worker_part{sys, std::move(its), std::move(handle)}};
}

worker_part::worker_part(caf::actor_system& sys, std::unique_ptr<parts> its, node::agent_handle agent)
  : sys_(sys), its_(std::move(its)), agent_(std::move(agent)) {}

worker_part::~worker_part() { stop(); }

void worker_part::stop() {
  if (!agent_)
    return;
  constexpr std::chrono::seconds margin{5};
  caf::scoped_actor self{sys_};
  self->request(agent_, limits::drain_timeout + limits::host_terminate_grace + margin, node::stop_request{})
    .receive([] {},
             [](const caf::error& why) {
               log_line("node", "hosts did not stop in time: " + from_caf(why).message);
             });
  caf::anon_send_exit(agent_, caf::exit_reason::user_shutdown);
  agent_ = node::agent_handle{};
  its_.reset();
}

} // namespace sluice::daemon
