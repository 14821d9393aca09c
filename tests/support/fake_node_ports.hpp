#pragma once

#include "actors/node/artifact_port.hpp"
#include "actors/node/log_store_port.hpp"
#include "actors/node/resource_port.hpp"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

/// Answers at once with `outcome`, or keeps the question when `hold` is set.
class fake_artifacts final : public node::artifact_port {
public:
  void ensure(const artifact_id& id, std::uint64_t, std::function<void(result<void>)> done) override {
    asked.push_back(id);
    if (hold)
      held.push_back(std::move(done));
    else
      done(outcome);
  }

  bool hold = false;
  result<void> outcome;
  std::vector<artifact_id> asked;
  std::vector<std::function<void(result<void>)>> held;
};

class fake_logs final : public node::log_store_port {
public:
  void read(const node::log_request& request, std::function<void(result<node::log_chunk>)> done) override {
    if (request.flow.value == "unknown")
      done(fail(errc::not_found, "flow 'unknown' has no log on this node"));
    else
      done(node::log_chunk{host_id{5}, "a line\n", 7, true});
  }
  void sources(const node::log_sources_request& request,
               std::function<void(result<node::log_sources_reply>)> done) override {
    done(node::log_sources_reply{{{request.flow, host_id{5}, true}}});
  }
};

class fake_resources final : public node::resource_port {
public:
  std::optional<node::process_sample> sample_process(std::int64_t pid) override {
    auto found = processes.find(pid);
    return found == processes.end() ? std::nullopt : std::optional{found->second};
  }
  node::machine_sample sample_machine() override { return machine; }

  std::map<std::int64_t, node::process_sample> processes;
  node::machine_sample machine;
};

} // namespace sluice::test
