#include "actors/cluster/placement_policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>
#include <utility>

namespace sluice::cluster {

namespace {

constexpr double slot_epsilon = 0.0005;

std::string with_decimals(int count, double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", count, value);
  return text;
}

/// As many digits as it has, one at least.
int decimals_of(double cpus) {
  int count = 1;
  while (count < 6 && std::abs(std::stod(with_decimals(count, cpus)) - cpus) > 1e-9)
    ++count;
  return count;
}

/// What is needed and what there is, with as many digits as tell them apart.
std::pair<std::string, std::string> cpus_apart(double needed, double free) {
  for (int count = decimals_of(needed);; ++count) {
    std::pair texts{with_decimals(count, needed), with_decimals(count, std::max(0.0, free))};
    if (texts.first != texts.second || count >= 6)
      return texts;
  }
}

std::pair<std::string, std::string> memory_apart(std::uint64_t needed, std::uint64_t free) {
  for (auto [shift, unit] : {std::pair{20, " MiB"}, std::pair{10, " KiB"}})
    if (needed >> shift != free >> shift)
      return {std::to_string(needed >> shift) + unit, std::to_string(free >> shift) + unit};
  return {std::to_string(needed) + " B", std::to_string(free) + " B"};
}

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
  if (!largest) {
    const auto [needed, free] = cpus_apart(need.cpus, roomy->cpus_free);
    return "needs " + needed + " CPUs" + where + ", most free is " + free + " on " + roomy->node.value;
  }
  const auto [needed, free] = memory_apart(need.memory_bytes, largest->memory_bytes_free);
  return "needs " + needed + " of memory" + where + ", most free with "
         + with_decimals(decimals_of(need.cpus), need.cpus) + " CPUs is " + free + " on "
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
