#include "actors/cluster/throughput.hpp"

namespace sluice::cluster {

void throughput::add(const node::node_report& report) {
  auto& before = seen_[report.node];
  std::map<std::pair<host_id, replica_id>, counters> now;
  for (const auto& host : report.hosts)
    for (const auto& replica : host.replicas) {
      const auto id = std::pair{host.id, replica.id};
      counters count{replica.processed_total, replica.failed_total, replica.last_error};
      counters last;
      const auto found = before.find(id);
      const bool is_new = found == before.end();
      if (!is_new)
        last = found->second;
      const bool is_same = count.processed >= last.processed && count.failed >= last.failed;
      auto& total = processors_[{host.flow, replica.processor}];
      const auto added =
        count.processed >= last.processed ? count.processed - last.processed : count.processed;
      total.processed_total += added;
      if (is_new) // done before anybody looked: to a head that has just started it may be the work of days
        for (auto& [at, sum] : total.samples)
          sum += added;
      auto& errors = total.errors[host.version];
      errors.failed_total += count.failed >= last.failed ? count.failed - last.failed : count.failed;
      if (!replica.last_error.empty())
        errors.last_error = replica.last_error;
      else if (is_same && !last.error.empty() && errors.last_error == last.error)
        errors.last_error.clear(); // a trouble that is over: the replica goes on without it
      now[id] = std::move(count);
    }
  before = std::move(now);
  add_requests(report);
}

void throughput::add_requests(const node::node_report& report) {
  auto& before = loads_seen_[report.node];
  std::map<key, ingress::processor_load> now;
  for (const auto& load : report.requests) {
    const key processor{load.flow, load.processor};
    const bool is_new = !before.contains(processor);
    auto& last = before[processor];
    if (load.answered_total < last.answered_total
        || load.room_messages_lost_total < last.room_messages_lost_total) // the node has started anew
      last = {};
    auto& total = requests_[processor].total;
    total.answered_total += load.answered_total - last.answered_total;
    total.client_errors_total += load.client_errors_total - last.client_errors_total;
    total.server_errors_total += load.server_errors_total - last.server_errors_total;
    total.turned_away_total += load.turned_away_total - last.turned_away_total;
    total.room_messages_lost_total += load.room_messages_lost_total - last.room_messages_lost_total;
    total.latency.add(load.latency.since(last.latency));
    if (is_new)
      for (auto& [at, sum] : requests_[processor].samples)
        sum.add(load.latency);
    now[processor] = load;
  }
  before = std::move(now);
}

void throughput::sample(time_point now) {
  for (auto& [processor, it] : processors_) {
    it.samples.emplace_back(now, it.processed_total);
    while (it.samples.size() > 2 && now - it.samples[1].first >= window)
      it.samples.pop_front();
  }
  for (auto& [processor, it] : requests_) {
    it.samples.emplace_back(now, it.total.latency);
    while (it.samples.size() > 2 && now - it.samples[1].first >= window)
      it.samples.pop_front();
  }
}

throughput::request_sum throughput::requests_of(const key& processor) const {
  request_sum out;
  auto found = requests_.find(processor);
  if (found == requests_.end())
    return out;
  const auto& [total, samples] = found->second;
  out.answered_total = total.answered_total;
  out.client_errors_total = total.client_errors_total;
  out.server_errors_total = total.server_errors_total;
  out.turned_away_total = total.turned_away_total;
  out.room_messages_lost_total = total.room_messages_lost_total;
  const auto latest = samples.empty() ? total.latency : total.latency.since(samples.front().second);
  out.p50 = latest.quantile(0.5);
  out.p99 = latest.quantile(0.99);
  return out;
}

std::uint64_t throughput::processed_total(const key& processor) const {
  auto found = processors_.find(processor);
  return found == processors_.end() ? 0 : found->second.processed_total;
}

throughput::error_sum throughput::errors_of(const key& processor, flow_version version) const {
  auto found = processors_.find(processor);
  if (found == processors_.end())
    return {};
  auto errors = found->second.errors.find(version);
  return errors == found->second.errors.end() ? error_sum{} : errors->second;
}

double throughput::rate_per_s(const key& processor) const {
  auto found = processors_.find(processor);
  if (found == processors_.end() || found->second.samples.size() < 2)
    return 0;
  const auto& [since, count_then] = found->second.samples.front();
  const auto& [until, count_now] = found->second.samples.back();
  const auto length = std::chrono::duration<double>(until - since).count();
  return length > 0 ? static_cast<double>(count_now - count_then) / length : 0;
}

void throughput::keep_only(const std::map<flow_name, std::set<flow_version>>& flows) {
  std::erase_if(processors_, [&](const auto& it) { return !flows.contains(it.first.first); });
  for (auto& [processor, it] : processors_) {
    const auto& versions = flows.at(processor.first);
    std::erase_if(it.errors, [&](const auto& one) { return !versions.contains(one.first); });
  }
  std::erase_if(requests_, [&](const auto& it) { return !flows.contains(it.first.first); });
}

} // namespace sluice::cluster
