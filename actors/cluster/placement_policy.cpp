#include "actors/cluster/placement_policy.hpp"

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace sluice::cluster {

namespace {

constexpr double slot_epsilon = 0.0005;

std::string one_decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

/// Smaller is better.
auto rank(const candidate& it) {
  return std::make_tuple(it.host_looped, it.failed_here, it.replicas_same, !it.runs_flow, -it.cpus_free);
}

/// "gpu=1, zone=a"
std::string to_text(const label_map& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text += (text.empty() ? "" : ", ") + key + "=" + value;
  return text;
}

std::string why_nowhere(const replica_need& need, std::span<const candidate> nodes) {
  if (nodes.empty())
    return "no node takes work";
  const candidate* roomy = nullptr;
  const candidate* largest = nullptr;
  for (const auto& it : nodes) {
    if (!has_labels(it.labels, need.node_labels))
      continue;
    if (!roomy || it.cpus_free > roomy->cpus_free)
      roomy = &it;
    if (fits({need.cpus, 0}, it.cpus_free, 0)
        && (!largest || it.memory_bytes_free > largest->memory_bytes_free))
      largest = &it;
  }
  if (!roomy)
    return (need.node_labels.size() == 1 ? "no node has the label " : "no node has the labels ")
           + to_text(need.node_labels);
  const auto where = need.node_labels.empty() ? "" : " on a node with " + to_text(need.node_labels);
  if (!largest)
    return "needs " + one_decimal(need.cpus) + " CPUs" + where + ", most free is "
           + one_decimal(std::max(0.0, roomy->cpus_free)) + " on " + roomy->node.value;
  return "needs " + mebibytes(need.memory_bytes) + " of memory" + where + ", most free with "
         + one_decimal(need.cpus) + " CPUs is " + mebibytes(largest->memory_bytes_free) + " on "
         + largest->node.value;
}

} // namespace

bool fits(const replica_need& need, double cpus_free, std::uint64_t memory_bytes_free) noexcept {
  return need.cpus <= cpus_free + slot_epsilon && need.memory_bytes <= memory_bytes_free;
}

bool has_labels(const label_map& labels, const label_map& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& label) {
    auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

placement place(const replica_need& need, std::span<const candidate> nodes) {
  const candidate* best = nullptr;
  for (const auto& it : nodes) {
    if (!has_labels(it.labels, need.node_labels) || !fits(need, it.cpus_free, it.memory_bytes_free))
      continue;
    if (!best || rank(it) < rank(*best) || (rank(it) == rank(*best) && it.node < best->node))
      best = &it;
  }
  if (!best)
    return {std::nullopt, why_nowhere(need, nodes)};
  return {best->node, {}};
}

} // namespace sluice::cluster
