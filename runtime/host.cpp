#include "runtime/host.hpp"

#include "runtime/run_actors.hpp"
#include "transport/batch/batch_environment.hpp"
#include "transport/connectors/builtin.hpp"
#include "transport/link/io_thread.hpp"
#include "transport/link/socket_link.hpp"
#include "transport/peer/peer.hpp"
#include "transport/peer/request_relay.hpp"
#include "transport/process/crash_handler.hpp"
#include "transport/process/exit_report.hpp"
#include "transport/process/flight_recorder.hpp"
#include "transport/work/worker_threads.hpp"
#include "actors/host/host.hpp"

#include <sluice/core/version.hpp>

#include <caf/actor_cast.hpp>
#include <caf/scoped_actor.hpp>

#include <cstdlib>
#include <iostream>
#include <random>
#include <signal.h>
#include <string>
#include <utility>

namespace sluice::runtime {

namespace {

incarnation random_incarnation() {
  std::random_device random;
  const auto word = [&] { return (std::uint64_t{random()} << 32) | random(); };
  return {{word() | 1, word()}};
}

/// Wakes the main thread: whoever waits for SIGTERM also learns that the node is gone.
void wake_main() { ::kill(::getpid(), SIGTERM); }

peer::handle spawn_peer(caf::actor_system& sys, const link::io_thread& io,
                        const process::host_environment& who,
                        const std::shared_ptr<ingress::local_targets>& targets) {
  link::link_options link;
  link.self.role = link::peer_role::host;
  link.self.name = std::to_string(who.host.value);
  link.self.started = random_incarnation();
  link.self.sluice_version = SLUICE_VERSION;
  link.timing.silence_timeout = limits::host_silence_timeout; // a node that is only slow keeps its hosts
  link.expect_role = link::peer_role::node;

  peer::options opts;
  opts.connector = link::make_fd_connector(io, process::host_link_fd, link::fd_end::child, std::move(link));
  opts.beside =
    std::make_shared<peer::request_server>([targets](replica_id replica) { return targets->find(replica); });
  opts.random = [] { return 0.5; }; // never used: an inherited socket cannot be connected again
  opts.on_down = [](const failure& why) {
    std::cerr << process::node_gone_line << why.message << std::endl;
    wake_main();
  };
  return peer::spawn(sys, std::move(opts));
}

} // namespace

int run_host(const process::host_environment& who, const flow_spec& spec,
             const std::map<processor_name, processor_code>& bodies) {
  process::install_crash_handler();
  ignore_write_signals();
  block_ending_signals(); // before there are threads
  if (who.flow != spec.name) {
    std::cerr << "sluice: this program is flow '" << spec.name.value << "', the node started it as '"
              << who.flow.value << "'" << std::endl;
    return 1;
  }
  auto recorder = process::flight_recorder::attach(process::host_flight_fd);
  if (!recorder) {
    std::cerr << "sluice: " << recorder.error().message << std::endl;
    return 1;
  }
  auto shared_recorder = std::shared_ptr<process::flight_recorder>{std::move(*recorder)};
  auto threads = std::make_shared<work::worker_threads>(shared_recorder);
  auto registry = std::make_shared<connector_registry>();
  connectors::add_builtin_connectors(*registry);

  link::io_thread io{false}; // user code has the processor
  actor_config config;
  caf::actor_system sys{config};
  caf::scoped_actor self{sys};
  auto targets = std::make_shared<ingress::local_targets>();
  auto node = spawn_peer(sys, io, who, targets);
  auto host = host::spawn(sys, {who.host,
                                node_id{},
                                spec,
                                bodies,
                                caf::actor_cast<queue::handle>(node),
                                caf::actor_cast<host::node_handle>(node),
                                registry,
                                threads,
                                shared_recorder,
                                targets,
                                {batch::make_environment(threads->http_client()), who.version.value, false}});
  peer::services local;
  local.host = host;
  self->send(node, peer::begin{std::move(local)});

  ending_signals{}.wait(std::chrono::milliseconds::max());

  for (const auto& each : {caf::actor_cast<caf::actor>(host), caf::actor_cast<caf::actor>(node)}) {
    self->send_exit(each, caf::exit_reason::user_shutdown);
    self->wait_for(each);
  }
  io.stop();
  if (!threads->wait_all_ended(threads_end_max)) {
    std::cerr << "sluice: a call into user code does not return; ending without it" << std::endl;
    std::_Exit(0);
  }
  return 0;
}

} // namespace sluice::runtime
