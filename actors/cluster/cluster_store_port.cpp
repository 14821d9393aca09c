#include "actors/cluster/cluster_store_port.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::cluster {

namespace {

template <class T>
void move_to(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

/// What a later set forgets must not come back through an earlier row.
template <class Row, class Key, class KeyOf>
void drop_forgotten(std::vector<Row>& rows, const std::vector<Key>& forgotten, KeyOf key_of) {
  if (!forgotten.empty())
    std::erase_if(
      rows, [&](const Row& row) { return std::ranges::find(forgotten, key_of(row)) != forgotten.end(); });
}

} // namespace

void change_set::append(change_set&& later) {
  drop_forgotten(nodes, later.nodes_forgotten, [](const stored_node& row) { return row.info.id; });
  drop_forgotten(flows, later.flows_forgotten, [](const stored_flow& row) { return row.name; });
  drop_forgotten(versions, later.flows_forgotten, [](const stored_version& row) { return row.flow; });
  drop_forgotten(versions, later.versions_forgotten, [](const stored_version& row) {
    return std::pair{row.flow, row.version};
  });
  drop_forgotten(deleted, later.deleted_forgotten, [](const deleted_flow& row) { return row.name; });
  drop_forgotten(replicas, later.replicas_forgotten, [](const stored_replica& row) { return row.id; });
  std::erase_if(answers, [&](const stored_answer& row) { return row.number <= later.answers_forgotten_to; });
  std::erase_if(events, [&](const event_view& row) { return row.id <= later.events_forgotten_to; });

  move_to(nodes, later.nodes);
  move_to(flows, later.flows);
  move_to(versions, later.versions);
  move_to(deleted, later.deleted);
  move_to(replicas, later.replicas);
  move_to(answers, later.answers);
  move_to(events, later.events);
  move_to(nodes_forgotten, later.nodes_forgotten);
  move_to(flows_forgotten, later.flows_forgotten);
  move_to(deleted_forgotten, later.deleted_forgotten);
  move_to(versions_forgotten, later.versions_forgotten);
  move_to(replicas_forgotten, later.replicas_forgotten);
  if (later.deleted_floor)
    deleted_floor = later.deleted_floor;
  if (later.replica_id_last)
    replica_id_last = later.replica_id_last;
  answers_forgotten_to = std::max(answers_forgotten_to, later.answers_forgotten_to);
  events_forgotten_to = std::max(events_forgotten_to, later.events_forgotten_to);
}

} // namespace sluice::cluster
