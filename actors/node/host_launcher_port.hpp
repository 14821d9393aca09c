#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/node/node_protocol.hpp"

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::node {

/// Asks for one new host. `host` is never used twice.
struct launch_order {
  host_id host;
  flow_order flow;
};

/// The process exists; its program may not have come far.
struct host_started {
  using actor_message = void;
  host_id host;
  std::int64_t pid = 0;
};

/// The host said hello: `replicas` takes orders from now on.
struct host_connected {
  using actor_message = void;
  host_id host;
  host::handle replicas;
};

/// The host cannot be talked to any more; its process may still be there. The
/// inherited socket cannot be connected again, so the agent ends such a host.
struct host_unreachable {
  using actor_message = void;
  host_id host;
  std::string why;
};

/// No process came to be. `errc::corrupt` and `errc::not_found` mean that the
/// artifact must be fetched again.
struct launch_failed {
  using actor_message = void;
  host_id host;
  failure why;
};

/// The process is gone and reaped. The launcher fills all of `report`; the agent
/// replaces `reason` where the kill was its own.
struct host_exited {
  using actor_message = void;
  crash_report report;
};

/// What a launcher tells about one host, in this order: `host_started`,
/// `host_connected`, any number of `host::host_report`, at most one
/// `host_unreachable`, and exactly one `host_exited` as the last. Instead of all of
/// them there may be one `launch_failed`. May come from any thread.
using host_observer = host::node_handle::extend<caf::reacts_to<host_started>, caf::reacts_to<host_connected>,
                                                caf::reacts_to<host_unreachable>,
                                                caf::reacts_to<launch_failed>, caf::reacts_to<host_exited>>;

/// Starts and ends hosts. Production: child processes with one end of a socket pair
/// as fd 3 (`transport/process`). Local mode: a host in this process.
///
/// Called from the agent's actor, one call at a time; no call blocks or fails, what
/// comes of it is told to the observer. Calls about a host take effect in the order
/// in which they were made; calls about one that is gone or unknown do nothing.
/// Outlives the agent. Destroying it kills every host.
class host_launcher_port {
public:
  virtual ~host_launcher_port() = default;

  /// True if a host is a process of its own: it can be killed without harm to
  /// anything else and its memory is its own. The agent watches memory, silence and
  /// hung calls only then.
  virtual bool isolated() const noexcept = 0;

  /// The artifact is there; the launcher verifies it again from the descriptor it runs.
  virtual void launch(launch_order order, host_observer to) = 0;

  /// Asks the host to end: SIGTERM. Its replicas are drained already, or time is up.
  virtual void terminate(host_id host) = 0;

  /// Ends the host at once: SIGKILL. After a hang, `hung_after` > 0: only records that
  /// were inside user code for at least that long become `crash_report::suspects`.
  /// `why` is for its log; empty = nothing to say.
  virtual void kill(host_id host, std::chrono::milliseconds hung_after, const std::string& why) = 0;
};

} // namespace sluice::node
