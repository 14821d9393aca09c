#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/message.hpp"

#include <sluice/core/flow_variables.hpp>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <map>
#include <memory>
#include <optional>

namespace sluice::node {

/// What a node offers; fixed while it runs.
struct node_info {
  node_id id;
  incarnation started; ///< new at each start of the node process
  std::string address; ///< "host:port" where other nodes bring requests for its replicas
  double cpus = 0;     ///< slots
  std::uint64_t memory_bytes = 0;
  std::map<std::string, std::string> labels;
  std::string sluice_version;
  bool is_head = false;          ///< runs in the head process
  std::string http_address = {}; ///< "http://HOST:PORT" of its public listener; empty without one
};

/// Where a host process stands; numbered chart in `host_state.hpp`.
enum class host_phase : std::uint8_t { fetching, starting, running, backing_off, crash_loop, stopping, down };

std::string_view to_string(host_phase phase) noexcept;

/// A record that was inside user code when its host ended.
struct suspect_record {
  replica_id replica;
  std::uint64_t seq = 0;

  friend bool operator==(const suspect_record&, const suspect_record&) = default;
};

/// Why a host process ended, for people; and whom to blame.
struct crash_report {
  std::chrono::system_clock::time_point at;
  host_id host;
  int exit_code = 0; ///< valid when signal is 0
  int signal = 0;
  std::string reason; ///< "killed by SIGSEGV", "exited with code 3", "out of memory", "hung: ..."
  std::string backtrace;
  std::vector<std::string> log_tail;
  std::vector<suspect_record> suspects; ///< count an attempt; all else the host held does not
  bool has_passed_records = false;      ///< others came out of user code before; known to its node only
};

struct host_status {
  host_id id; ///< of the running or last process
  flow_name flow;
  flow_version version;
  host_phase phase = host_phase::fetching;
  std::int64_t pid = 0;
  std::uint32_t restarts = 0;
  std::uint64_t memory_bytes = 0; ///< resident
  double cpu_used = 0;            ///< cores, over the last report interval
  std::string detail;             ///< what it waits for or why it failed
  std::chrono::milliseconds starts_in{
    0}; ///< until it is started again, at the time of the report; 0 = no such wait
  std::optional<crash_report> last_crash;
  std::vector<host::replica_report> replicas;
};

/// Why a host is not running, for people; empty if there is nothing to say.
std::string reason_of(const host_status& host);

/// "; starts again in 12 s", or nothing if it does not wait. Another text each second: not for what is
/// kept or compared.
std::string wait_text(const host_status& host);

/// Both.
std::string describe(const host_status& host);

/// One version of a flow as a node needs it.
struct flow_order {
  flow_name flow;
  flow_version version;
  artifact_id artifact;
  std::uint64_t artifact_size_bytes = 0;
  std::vector<std::string> args;
  flow_variables env = {};
  flow_spec spec;
};

struct assignment {
  replica_id id;
  flow_name flow;
  flow_version version;
  processor_name processor;
  host::replica_goal goal = host::replica_goal::run;
};

/// Everything a node should run. Level-triggered, complete every time.
struct desired_state {
  using actor_message = void;
  std::uint64_t revision = 0; ///< grows; a lower one is ignored
  std::vector<flow_order> flows;
  std::vector<assignment> assignments;
  std::shared_ptr<const ingress::route_table> routes = {}; ///< of the whole cluster; null = no flow has any
};

/// Everything a node runs. Sent every `limits::heartbeat_interval` and at once
/// after a change.
struct node_report {
  using actor_message = void;
  node_id node;
  incarnation started;
  std::uint64_t revision = 0; ///< of the newest `desired_state` seen
  double cpu_used = 0;        ///< cores busy on the machine
  std::uint64_t memory_used_bytes = 0;
  std::vector<host_status> hosts;
  std::vector<ingress::processor_load> requests = {}; ///< of clients of this node, for replicas anywhere
};

/// Where a flow's logs are asked for: the access log of the node's HTTP listener. No flow can be called so.
constexpr std::string_view access_log_flow = "@access";

/// Reads a host's log. `host` 0 = newest host of the flow on this node.
/// `offset` counts bytes over all rotated files of the host since it started.
struct log_request {
  using actor_message = void;
  flow_name flow;
  host_id host;
  std::uint64_t offset = 0;
  std::uint32_t tail_lines = 0; ///< > 0: ignore `offset`, give the last lines
  std::uint32_t size_bytes_max = 256u << 10;
};

struct log_chunk {
  using actor_message = void;
  host_id host;
  std::string text; ///< whole lines
  std::uint64_t offset_next = 0;
  bool host_ended = false; ///< nothing will be added
};

/// One host whose log is kept, running or not.
struct log_source {
  flow_name flow;
  host_id host;
  bool ended = false;
};

struct log_sources_request {
  using actor_message = void;
  flow_name flow; ///< empty = all
};

struct log_sources_reply {
  using actor_message = void;
  std::vector<log_source> sources;
};

/// The cluster's view of a node; `transport/` stands in for nodes elsewhere.
using handle = caf::typed_actor<caf::reacts_to<desired_state>, caf::replies_to<log_request>::with<log_chunk>,
                                caf::replies_to<log_sources_request>::with<log_sources_reply>>;

} // namespace sluice::node
