#pragma once

#include "runtime/config/options.hpp"
#include "transport/artifact/artifact_fetcher.hpp"
#include "transport/link/io_thread.hpp"
#include "transport/link/tls.hpp"
#include "transport/pki/certificate.hpp"
#include "actors/node/node.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <caf/fwd.hpp>

#include <memory>
#include <string>

namespace sluice::daemon {

/// What runs flows on a node: the agent, the launcher of its hosts, their logs and their
/// artifacts. Part of a worker process, and of a head that is a worker too.
class worker_part {
public:
  struct settings {
    config::node_options options;
    node_id id;
    incarnation started;
    std::string cluster_id;
    std::shared_ptr<link::tls_credentials> credentials; ///< of this node, kept fresh by whoever made them
    std::string relay_host;                             ///< IP address where other nodes bring requests
    bool is_head = false;
    queue::handle queue;                 ///< the queue actor, or the peer that stands for it
    artifact::artifact_store* artifacts; ///< outlives the part
    artifact::read_remote read_artifact; ///< where missing ones come from
  };

  /// `sys` and `io` must outlive it. Fails when the state dir cannot be used.
  static result<std::unique_ptr<worker_part>> start(caf::actor_system& sys, const link::io_thread& io,
                                                    settings what);

  /// Calls `stop`.
  ~worker_part();
  worker_part(const worker_part&) = delete;
  worker_part& operator=(const worker_part&) = delete;

  const node::agent_handle& agent() const noexcept { return agent_; }

  /// "http://HOST:PORT" where routes are served.
  const std::string& http_address() const noexcept { return http_address_; }

  /// Drains the hosts, tells the head that the node leaves, ends the agent, and kills what is
  /// left. Blocks for up to `limits::drain_timeout` and some. Safe to repeat.
  void stop();

private:
  struct parts;
  worker_part(caf::actor_system& sys, std::unique_ptr<parts> its, node::agent_handle agent,
              std::string http_address);

  caf::actor_system& sys_;
  std::unique_ptr<parts> its_;
  node::agent_handle agent_;
  std::string http_address_;
};

/// Slots and memory that a node offers when its options do not say.
double machine_cpus();
std::uint64_t machine_memory_bytes();

} // namespace sluice::daemon
