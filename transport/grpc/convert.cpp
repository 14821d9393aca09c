#include "transport/grpc/convert.hpp"

#include <sluice/codec/utf8.hpp>

#include <charconv>
#include <unordered_map>

namespace sluice::control {

namespace {

std::uint64_t to_ms(std::chrono::milliseconds span) noexcept {
  return span.count() > 0 ? static_cast<std::uint64_t>(span.count()) : 0;
}

void fill(v1::IoSpec& to, const io_spec& from) {
  to.set_kind(from.kind);
  for (const auto& [key, value] : from.options)
    (*to.mutable_options())[key] = value;
}

io_spec io_from_proto(const v1::IoSpec& from) {
  io_spec to;
  to.kind = from.kind();
  for (const auto& [key, value] : from.options())
    to.options.emplace(key, value);
  return to;
}

void fill(v1::HttpSpec& to, const http_spec& from) {
  to.set_method(std::string{to_string(from.method)});
  to.set_route(from.route);
  to.set_body_bytes_max(from.body_bytes_max);
  to.set_max_queued_requests(from.max_queued_requests);
  to.set_target_ongoing_requests(from.target_ongoing_requests);
  to.set_max_connections(from.max_connections);
  to.set_rate_limit(from.rate_limit);
  to.set_rate_burst(from.rate_burst);
  to.mutable_cors_origins()->Add(from.cors_origins.begin(), from.cors_origins.end());
}

http_spec http_from_proto(const v1::HttpSpec& from) {
  http_spec to;
  to.method = method_from(from.method()).value_or(method::get);
  to.route = from.route();
  to.body_bytes_max = from.body_bytes_max();
  to.max_queued_requests = from.max_queued_requests();
  to.target_ongoing_requests = from.target_ongoing_requests();
  to.max_connections = from.max_connections();
  to.rate_limit = from.rate_limit();
  to.rate_burst = from.rate_burst();
  to.cors_origins.assign(from.cors_origins().begin(), from.cors_origins().end());
  return to;
}

void fill(v1::BatchSpec& to, const batch_spec& from) {
  to.set_max_rejected(from.max_rejected);
  to.set_rejected(from.rejected);
  to.set_split_bytes(from.split_bytes);
  to.set_reduce_by(from.reduce_by);
}

void fill(v1::Batch& to, const host::batch_report& from) {
  to.set_phase(std::string{host::to_string(from.phase)});
  to.set_run(from.run);
  to.set_source_bytes(from.source_bytes);
  to.set_done_bytes(from.done_bytes);
  to.set_records_in(from.records_in);
  to.set_records_out(from.records_out);
  to.set_rejected_count(from.rejected);
  to.set_took_ms(to_ms(from.took));
  to.set_error(codec::to_utf8(from.error));
}

void fill(v1::CrashReport& to, const node::crash_report& from) {
  to.set_at_unix_ms(to_unix_ms(from.at));
  to.set_host(to_text(from.host));
  to.set_exit_code(from.exit_code);
  to.set_signal(from.signal);
  to.set_reason(codec::to_utf8(from.reason));
  to.set_backtrace(codec::to_utf8(from.backtrace));
  for (const auto& line : from.log_tail)
    to.add_log_tail(codec::to_utf8(line));
}

void fill(v1::Host& to, const node::host_status& from, const node_id& where) {
  to.set_id(to_text(from.id));
  to.set_node(where.value);
  to.set_flow(from.flow.value);
  to.set_version(from.version.value);
  to.set_phase(std::string{node::to_string(from.phase)});
  to.set_pid(from.pid);
  to.set_restarts(from.restarts);
  to.set_memory_bytes(from.memory_bytes);
  to.set_cpu_used(from.cpu_used);
  to.set_detail(codec::to_utf8(node::describe(from)));
  if (from.last_crash)
    fill(*to.mutable_last_crash(), *from.last_crash);
}

using queue_index = std::unordered_map<std::string, const queue::queue_stat*>;
using host_index = std::unordered_map<replica_id, host_id, id_hash>;

/// The queue that feeds a processor, or null.
const queue::queue_stat* source_queue(const processor_spec& spec, const queue_index& queues) {
  if (spec.source.kind != "queue")
    return nullptr;
  auto name = spec.source.options.find("name");
  if (name == spec.source.options.end())
    return nullptr;
  auto found = queues.find(name->second);
  return found == queues.end() ? nullptr : found->second;
}

void fill(v1::RequestFigures& to, const cluster::request_view& from) {
  to.set_waiting_count(from.waiting);
  to.set_ongoing_count(from.ongoing);
  to.set_answered_total(from.answered_total);
  to.set_client_errors_total(from.client_errors_total);
  to.set_server_errors_total(from.server_errors_total);
  to.set_turned_away_total(from.turned_away_total);
  to.set_room_messages_lost_total(from.room_messages_lost_total);
  to.set_p50_us(static_cast<std::uint64_t>(from.p50.count()));
  to.set_p99_us(static_cast<std::uint64_t>(from.p99.count()));
}

void fill(v1::Processor& to, const cluster::processor_view& from, const flow_name& flow,
          const queue_index& queues) {
  to.set_flow(flow.value);
  to.set_name(from.spec.name.value);
  *to.mutable_spec() = to_proto(from.spec);
  to.set_replicas_desired(from.replicas_desired);
  to.set_replicas_running(from.replicas_running);
  to.set_processed_total(from.processed_total);
  to.set_failed_total(from.failed_total);
  to.set_rate_per_s(from.rate_per_s);
  to.set_last_error(codec::to_utf8(from.last_error));
  if (from.batch)
    fill(*to.mutable_batch(), *from.batch);
  if (const auto* stat = source_queue(from.spec, queues)) {
    to.set_backlog_count(stat->depth_count);
    to.set_oldest_age_ms(to_ms(stat->oldest_age));
    to.set_dead_count(stat->dead_count);
  }
  if (from.requests) {
    to.set_backlog_count(from.requests->waiting);
    to.set_oldest_age_ms(to_ms(from.requests->wait_oldest));
    fill(*to.mutable_requests(), *from.requests);
  }
}

void fill(v1::Flow& to, const cluster::flow_view& from, const queue_index& queues) {
  to.set_name(from.name.value);
  to.set_phase(std::string{cluster::to_string(from.phase)});
  to.set_version_current(from.current.value);
  to.set_version_target(from.target.value);
  to.set_detail(codec::to_utf8(from.detail));
  for (auto version : from.versions)
    to.add_versions(version.value);
  to.set_artifact(from.artifact.value);
  to.set_submitted_at_unix_ms(to_unix_ms(from.submitted_at));
  for (const auto& processor : from.processors)
    fill(*to.add_processors(), processor, from.name, queues);
  to.mutable_env_names()->Add(from.env_names.begin(), from.env_names.end());
}

void fill(v1::Replica& to, const cluster::replica_view& from, const host_index& hosts) {
  to.set_id(from.id.value);
  to.set_flow(from.flow.value);
  to.set_processor(from.processor.value);
  to.set_version(from.version.value);
  to.set_node(from.node.value);
  if (auto found = hosts.find(from.id); found != hosts.end())
    to.set_host(to_text(found->second));
  to.set_phase(from.node.empty() ? "waiting" : std::string{host::to_string(from.report.phase)});
  to.set_processed_total(from.report.processed_total);
  to.set_failed_total(from.report.failed_total);
  to.set_in_flight_count(from.report.in_flight);
  to.set_busy_longest_ms(to_ms(from.report.busy_longest));
  to.set_last_error(codec::to_utf8(from.report.last_error));
  to.set_detail(codec::to_utf8(from.detail));
}

} // namespace

std::string to_text(host_id id) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4)
    text.push_back(digits[(id.value >> shift) & 0xf]);
  return text;
}

result<host_id> host_id_from_text(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || text.size() > 16)
    return fail(errc::invalid_argument,
                "'" + std::string{text}
                  + "' is no host id: it has 16 hex digits, as `sluice list hosts` shows it");
  return host_id{value};
}

std::int64_t to_unix_ms(std::chrono::system_clock::time_point at) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

v1::ProcessorSpec to_proto(const processor_spec& spec) {
  v1::ProcessorSpec to;
  to.set_name(spec.name.value);
  to.set_pattern(std::string{to_string(spec.kind)});
  fill(*to.mutable_source(), spec.source);
  fill(*to.mutable_sink(), spec.sink);
  to.set_num_replicas(spec.num_replicas);
  to.set_min_replicas(spec.min_replicas);
  to.set_max_replicas(spec.max_replicas);
  to.set_autoscale(spec.autoscale);
  to.set_num_cpus(spec.num_cpus);
  to.set_memory_bytes(spec.memory_bytes);
  to.mutable_node_labels()->insert(spec.node_labels.begin(), spec.node_labels.end());
  to.set_num_concurrency(spec.num_concurrency);
  to.set_timeout_ms(to_ms(spec.timeout));
  to.set_max_attempts(spec.max_attempts);
  to.set_batch_size(spec.batch_size);
  to.set_log_level(spec.log_level);
  to.set_input_type(spec.input_type);
  to.set_output_type(spec.output_type);
  if (spec.http)
    fill(*to.mutable_http(), *spec.http);
  if (spec.batch)
    fill(*to.mutable_batch(), *spec.batch);
  return to;
}

result<processor_spec> from_proto(const v1::ProcessorSpec& from) {
  processor_spec to;
  bool known = false;
  for (auto kind :
       {pattern::consumer, pattern::endpoint, pattern::collector, pattern::websocket, pattern::batch})
    if (to_string(kind) == from.pattern()) {
      to.kind = kind;
      known = true;
    }
  if (!known)
    return fail(errc::invalid_argument,
                "processor " + from.name() + ": the pattern '" + from.pattern() + "' is not known here");
  to.name = processor_name{from.name()};
  to.source = io_from_proto(from.source());
  to.sink = io_from_proto(from.sink());
  to.num_replicas = from.num_replicas();
  to.min_replicas = from.min_replicas();
  to.max_replicas = from.max_replicas();
  to.autoscale = from.autoscale();
  to.num_cpus = from.num_cpus();
  to.memory_bytes = from.memory_bytes();
  to.node_labels.insert(from.node_labels().begin(), from.node_labels().end());
  to.num_concurrency = from.num_concurrency();
  to.timeout = std::chrono::milliseconds{from.timeout_ms()};
  to.max_attempts = from.max_attempts();
  to.batch_size = from.batch_size();
  to.log_level = from.log_level();
  to.input_type = from.input_type();
  to.output_type = from.output_type();
  if (from.has_http())
    to.http = http_from_proto(from.http());
  if (from.has_batch())
    to.batch = batch_spec{from.batch().max_rejected(), from.batch().rejected(), from.batch().split_bytes(),
                          from.batch().reduce_by()};
  return to;
}

v1::Queue to_proto(const queue::queue_stat& stat) {
  v1::Queue to;
  to.set_name(stat.name.value);
  to.set_depth_count(stat.depth_count);
  to.set_leased_count(stat.leased_count);
  to.set_delayed_count(stat.delayed_count);
  to.set_dead_count(stat.dead_count);
  to.set_oldest_age_ms(to_ms(stat.oldest_age));
  to.set_appended_total(stat.appended_total);
  to.set_settled_total(stat.settled_total);
  to.set_retried_total(stat.retried_total);
  to.set_damaged_total(stat.damaged_total);
  return to;
}

v1::Node to_proto(const cluster::node_view& view) {
  v1::Node to;
  to.set_id(view.info.id.value);
  to.set_address(view.info.address);
  to.set_phase(std::string{cluster::to_string(view.phase)});
  to.set_is_head(view.info.is_head);
  to.set_sluice_version(view.info.sluice_version);
  to.set_cpus_total(view.info.cpus);
  to.set_cpus_reserved(view.cpus_reserved);
  to.set_cpu_used(view.cpu_used);
  to.set_memory_total_bytes(view.info.memory_bytes);
  to.set_memory_reserved_bytes(view.memory_reserved_bytes);
  to.set_memory_used_bytes(view.memory_used_bytes);
  to.set_heartbeat_age_ms(to_ms(view.heartbeat_age));
  for (const auto& [key, value] : view.info.labels)
    (*to.mutable_labels())[key] = value;
  for (const auto& host : view.hosts)
    fill(*to.add_hosts(), host, view.info.id);
  to.set_incarnation(to_string(view.info.started));
  to.set_http_address(codec::to_utf8(view.info.http_address));
  return to;
}

v1::Event to_proto(const cluster::event_view& view) {
  v1::Event to;
  to.set_id(view.id);
  to.set_at_unix_ms(to_unix_ms(view.at));
  to.set_severity(view.severity);
  to.set_subject(view.subject);
  to.set_text(codec::to_utf8(view.text));
  return to;
}

v1::DeadLetter to_proto(const queue::dead_letter& letter) {
  v1::DeadLetter to;
  to.set_id(letter.id);
  to.set_queue(letter.queue.value);
  to.set_flow(letter.consumer.flow.value);
  to.set_processor(letter.consumer.processor.value);
  to.set_attempts(letter.attempts);
  to.set_error(codec::to_utf8(letter.error));
  to.set_buried_at_unix_ms(to_unix_ms(letter.buried_at));
  to.set_payload(letter.payload);
  return to;
}

v1::SnapshotReply to_proto(const cluster::cluster_view& view, const std::vector<queue::queue_stat>& queues,
                           std::size_t event_count_max) {
  queue_index queue_by_name;
  for (const auto& stat : queues)
    queue_by_name.emplace(stat.name.value, &stat);
  host_index host_by_replica;
  for (const auto& node : view.nodes)
    for (const auto& host : node.hosts)
      for (const auto& replica : host.replicas)
        host_by_replica.emplace(replica.id, host.id);

  v1::SnapshotReply to;
  to.set_cluster_id(view.cluster_id);
  to.set_started_at_unix_ms(to_unix_ms(view.started_at));
  for (const auto& node : view.nodes)
    *to.add_nodes() = to_proto(node);
  for (const auto& flow : view.flows)
    fill(*to.add_flows(), flow, queue_by_name);
  for (const auto& replica : view.replicas)
    fill(*to.add_replicas(), replica, host_by_replica);
  for (const auto& stat : queues)
    *to.add_queues() = to_proto(stat);
  auto skip = view.events.size() > event_count_max ? view.events.size() - event_count_max : 0;
  for (auto i = skip; i < view.events.size(); ++i)
    *to.add_events() = to_proto(view.events[i]);
  return to;
}

} // namespace sluice::control
