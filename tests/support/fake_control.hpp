#pragma once

#include "transport/grpc/artifact_admission_port.hpp"
#include "transport/grpc/control_service.hpp"
#include "actors/cluster/cluster_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <caf/actor_system.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sluice::test {

/// What the fake actors were asked, and what they answer. Shared by the test's thread
/// and theirs; hold `mutex` to look.
struct fake_head_state {
  std::mutex mutex;
  std::optional<failure> refuse; ///< every changing request is answered so
  bool silent = false;           ///< requests are never answered
  cluster::cluster_view view;
  std::map<node_id, node::handle> agents;
  std::vector<queue::queue_stat> stats;
  std::string queue_trouble;               ///< told with them
  std::vector<std::string> stored;         ///< payloads of all appends
  std::vector<std::uint64_t> fingerprints; ///< of all appends
  std::vector<std::string> asked;          ///< one line per changing request
  std::vector<std::string> args;           ///< of the last submit
  flow_variables env;                      ///< of the last submit
  std::vector<queue::dead_letter> letters;
};

/// A cluster actor that keeps no rules: it notes what it is asked.
cluster::handle spawn_fake_cluster(caf::actor_system& sys, std::shared_ptr<fake_head_state> state);

/// A queue actor that keeps appended payloads in order.
queue::admin_handle spawn_fake_queues(caf::actor_system& sys, std::shared_ptr<fake_head_state> state);

/// One log as a node keeps it.
struct fake_log {
  node::log_source source;
  std::string text;
  int failures = 0; ///< so many reads fail first
};

/// A node agent with logs; `logs` is guarded by the mutex of `state`.
node::handle spawn_fake_agent(caf::actor_system& sys, std::shared_ptr<fake_head_state> state,
                              std::shared_ptr<std::vector<fake_log>> logs);

/// Takes uploads into memory. What is kept at the end is in `kept`.
class fake_admission final : public control::artifact_admission_port {
public:
  result<std::unique_ptr<control::artifact_upload>> begin(const artifact_id& expected,
                                                          std::uint64_t size_bytes,
                                                          const std::vector<std::string>& args,
                                                          const flow_variables& env) override;

  flow_spec spec;                          ///< what every binary describes itself as
  std::optional<failure> no_flow;          ///< `finish` fails so
  std::map<std::string, std::string> kept; ///< by hash
  flow_variables env;                      ///< the last upload was begun with
  int uploads_open = 0;
};

} // namespace sluice::test
