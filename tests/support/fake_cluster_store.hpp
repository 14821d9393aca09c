#pragma once

#include "actors/cluster/cluster_store_port.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace sluice::testing {

/// A cluster store in memory. Keep it over a "restart of the head" by giving it to the
/// next cluster actor. `fail_writes_with` plays a full disk.
class fake_cluster_store : public cluster::store_port {
public:
  std::optional<failure> fail_writes_with;
  std::optional<failure> broken_with; ///< a sync has failed
  std::uint64_t writes_count = 0;

  result<cluster::stored_state> load() override {
    cluster::stored_state state;
    state.openings = ++openings_;
    state.replica_id_last = replica_id_last_;
    for (const auto& [name, counted] : deleted_)
      state.deleted.push_back({name, counted});
    state.deleted_floor = deleted_floor_;
    for (const auto& [key, row] : nodes_)
      state.nodes.push_back(row);
    for (const auto& [key, row] : flows_)
      state.flows.push_back(row);
    for (const auto& [key, row] : versions_)
      state.versions.push_back(row);
    for (const auto& [key, row] : replicas_)
      state.replicas.push_back(row);
    for (const auto& [key, row] : answers_)
      state.answers.push_back(row);
    for (const auto& [key, row] : events_)
      state.events.push_back(row);
    return state;
  }

  result<void> write(const cluster::change_set& changes) override {
    if (fail_writes_with)
      return tl::unexpected<failure>{*fail_writes_with};
    ++writes_count;
    for (const auto& key : changes.nodes_forgotten)
      nodes_.erase(key);
    for (const auto& key : changes.flows_forgotten) {
      flows_.erase(key);
      std::erase_if(versions_, [&](const auto& it) { return it.first.first == key; });
    }
    for (const auto& key : changes.deleted_forgotten)
      deleted_.erase(key);
    for (const auto& key : changes.versions_forgotten)
      versions_.erase(key);
    for (const auto& key : changes.replicas_forgotten)
      replicas_.erase(key);
    std::erase_if(answers_, [&](const auto& it) { return it.first <= changes.answers_forgotten_to; });
    std::erase_if(events_, [&](const auto& it) { return it.first <= changes.events_forgotten_to; });
    for (const auto& row : changes.nodes)
      nodes_[row.info.id] = row;
    for (const auto& row : changes.flows)
      flows_[row.name] = row;
    for (const auto& row : changes.versions)
      versions_[{row.flow, row.version}] = row;
    for (const auto& row : changes.replicas)
      replicas_[row.id] = row;
    for (const auto& row : changes.answers)
      answers_[row.number] = row;
    for (const auto& row : changes.events)
      events_[row.id] = row;
    for (const auto& row : changes.deleted)
      deleted_[row.name] = row.counted;
    deleted_floor_ = changes.deleted_floor.value_or(deleted_floor_);
    if (changes.replica_id_last)
      replica_id_last_ = *changes.replica_id_last;
    return {};
  }

  std::optional<failure> broken() const override { return broken_with; }

private:
  std::uint64_t openings_ = 0;
  std::uint64_t replica_id_last_ = 0;
  std::map<node_id, cluster::stored_node> nodes_;
  std::map<flow_name, cluster::stored_flow> flows_;
  std::map<flow_name, flow_version> deleted_;
  flow_version deleted_floor_;
  std::map<std::pair<flow_name, flow_version>, cluster::stored_version> versions_;
  std::map<replica_id, cluster::stored_replica> replicas_;
  std::map<std::uint64_t, cluster::stored_answer> answers_;
  std::map<std::uint64_t, cluster::event_view> events_;
};

} // namespace sluice::testing
