#include "transport/peer/wire.hpp"
#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

namespace sluice::peer {

namespace pb = sluice::link::v1;
using detail::parse;
using detail::to_enum;
using detail::to_goal;

namespace {

std::int64_t to_unix_ms(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

std::chrono::system_clock::time_point from_unix_ms(std::int64_t ms) {
  return std::chrono::system_clock::time_point{std::chrono::milliseconds{ms}};
}

void pack(const node::node_info& from, pb::NodeInfo& to) {
  to.set_id(from.id.value);
  to.set_started_high(from.started.bits[0]);
  to.set_started_low(from.started.bits[1]);
  to.set_address(from.address);
  to.set_cpus(from.cpus);
  to.set_memory_bytes(from.memory_bytes);
  to.mutable_labels()->insert(from.labels.begin(), from.labels.end());
  to.set_sluice_version(from.sluice_version);
  to.set_is_head(from.is_head);
  to.set_http_address(from.http_address);
}

node::node_info unpack(const pb::NodeInfo& from) {
  node::node_info to;
  to.id = node_id{from.id()};
  to.started.bits = {from.started_high(), from.started_low()};
  to.address = from.address();
  to.cpus = from.cpus();
  to.memory_bytes = from.memory_bytes();
  to.labels.insert(from.labels().begin(), from.labels().end());
  to.sluice_version = from.sluice_version();
  to.is_head = from.is_head();
  to.http_address = from.http_address();
  return to;
}

void pack(const host::batch_report& from, pb::BatchReport& to) {
  to.set_run(from.run);
  to.set_phase(static_cast<std::uint32_t>(from.phase));
  to.set_source_bytes(from.source_bytes);
  to.set_done_bytes(from.done_bytes);
  to.set_records_in(from.records_in);
  to.set_records_out(from.records_out);
  to.set_rejected(from.rejected);
  to.set_took_ms(from.took.count());
  to.set_error(from.error);
}

host::batch_report unpack(const pb::BatchReport& from) {
  host::batch_report to;
  to.run = from.run();
  to.phase = to_enum(from.phase(), host::batch_phase::failed, host::batch_phase::running);
  to.source_bytes = from.source_bytes();
  to.done_bytes = from.done_bytes();
  to.records_in = from.records_in();
  to.records_out = from.records_out();
  to.rejected = from.rejected();
  to.took = std::chrono::milliseconds{from.took_ms()};
  to.error = from.error();
  return to;
}

void pack(const host::replica_report& from, pb::ReplicaReport& to) {
  to.set_id(from.id.value);
  to.set_processor(from.processor.value);
  to.set_phase(static_cast<std::uint32_t>(from.phase));
  to.set_processed_total(from.processed_total);
  to.set_failed_total(from.failed_total);
  to.set_in_flight(from.in_flight);
  to.set_busy_longest_ms(from.busy_longest.count());
  to.set_last_error(from.last_error);
  to.set_exhausted(from.exhausted);
  to.set_stale_total(from.stale_total);
  if (from.batch)
    pack(*from.batch, *to.mutable_batch());
}

host::replica_report unpack(const pb::ReplicaReport& from) {
  host::replica_report to;
  to.id = replica_id{from.id()};
  to.processor = processor_name{from.processor()};
  to.phase = to_enum(from.phase(), host::replica_phase::failed, host::replica_phase::starting);
  to.processed_total = from.processed_total();
  to.failed_total = from.failed_total();
  to.in_flight = from.in_flight();
  to.busy_longest = std::chrono::milliseconds{from.busy_longest_ms()};
  to.last_error = from.last_error();
  to.exhausted = from.exhausted();
  to.stale_total = from.stale_total();
  if (from.has_batch())
    to.batch = unpack(from.batch());
  return to;
}

void pack(const node::crash_report& from, pb::CrashReport& to) {
  to.set_at_unix_ms(to_unix_ms(from.at));
  to.set_host(from.host.value);
  to.set_exit_code(from.exit_code);
  to.set_signal(from.signal);
  to.set_reason(from.reason);
  to.set_backtrace(from.backtrace);
  to.mutable_log_tail()->Add(from.log_tail.begin(), from.log_tail.end());
  for (auto& suspect : from.suspects) {
    auto& out = *to.add_suspects();
    out.set_replica(suspect.replica.value);
    out.set_seq(suspect.seq);
  }
}

node::crash_report unpack(const pb::CrashReport& from) {
  node::crash_report to;
  to.at = from_unix_ms(from.at_unix_ms());
  to.host = host_id{from.host()};
  to.exit_code = from.exit_code();
  to.signal = from.signal();
  to.reason = from.reason();
  to.backtrace = from.backtrace();
  to.log_tail.assign(from.log_tail().begin(), from.log_tail().end());
  for (auto& suspect : from.suspects())
    to.suspects.push_back({replica_id{suspect.replica()}, suspect.seq()});
  return to;
}

void pack(const node::host_status& from, pb::HostStatus& to) {
  to.set_id(from.id.value);
  to.set_flow(from.flow.value);
  to.set_version(from.version.value);
  to.set_phase(static_cast<std::uint32_t>(from.phase));
  to.set_pid(from.pid);
  to.set_restarts(from.restarts);
  to.set_memory_bytes(from.memory_bytes);
  to.set_cpu_used(from.cpu_used);
  to.set_detail(from.detail);
  to.set_starts_in_ms(static_cast<std::uint64_t>(std::max<std::int64_t>(0, from.starts_in.count())));
  if (from.last_crash)
    pack(*from.last_crash, *to.mutable_last_crash());
  for (auto& replica : from.replicas)
    pack(replica, *to.add_replicas());
}

void pack(const ingress::processor_load& from, pb::ProcessorLoad& to) {
  to.set_flow(from.flow.value);
  to.set_processor(from.processor.value);
  to.set_waiting(from.waiting);
  to.set_ongoing(from.ongoing);
  to.set_wait_oldest_ms(from.wait_oldest.count());
  to.set_answered_total(from.answered_total);
  to.set_client_errors_total(from.client_errors_total);
  to.set_server_errors_total(from.server_errors_total);
  to.set_turned_away_total(from.turned_away_total);
  to.set_room_messages_lost_total(from.room_messages_lost_total);
  to.set_sink_error(from.sink_error);
  // What follows the last one that counts is 0 anyway.
  auto size = from.latency.counts.size();
  while (size > 0 && from.latency.counts[size - 1] == 0)
    --size;
  for (std::size_t i = 0; i < size; ++i)
    to.add_latency_counts(from.latency.counts[i]);
}

ingress::processor_load unpack(const pb::ProcessorLoad& from) {
  ingress::processor_load to;
  to.flow = flow_name{from.flow()};
  to.processor = processor_name{from.processor()};
  to.waiting = from.waiting();
  to.ongoing = from.ongoing();
  to.wait_oldest = std::chrono::milliseconds{from.wait_oldest_ms()};
  to.answered_total = from.answered_total();
  to.client_errors_total = from.client_errors_total();
  to.server_errors_total = from.server_errors_total();
  to.turned_away_total = from.turned_away_total();
  to.room_messages_lost_total = from.room_messages_lost_total();
  to.sink_error = from.sink_error();
  const auto size = std::min(to.latency.counts.size(), static_cast<std::size_t>(from.latency_counts_size()));
  for (std::size_t i = 0; i < size; ++i)
    to.latency.counts[i] = from.latency_counts(static_cast<int>(i));
  return to;
}

node::host_status unpack(const pb::HostStatus& from) {
  node::host_status to;
  to.id = host_id{from.id()};
  to.flow = flow_name{from.flow()};
  to.version = flow_version{from.version()};
  to.phase = to_enum(from.phase(), node::host_phase::down, node::host_phase::starting);
  to.pid = from.pid();
  to.restarts = from.restarts();
  to.memory_bytes = from.memory_bytes();
  to.cpu_used = from.cpu_used();
  to.detail = from.detail();
  to.starts_in = std::chrono::milliseconds{from.starts_in_ms()};
  if (from.has_last_crash())
    to.last_crash = unpack(from.last_crash());
  for (auto& replica : from.replicas())
    to.replicas.push_back(unpack(replica));
  return to;
}

} // namespace

std::string encode(const cluster::register_node& x) {
  pb::NodeInfo out;
  pack(x.info, out);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, cluster::register_node& x) {
  pb::NodeInfo in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.info = unpack(in);
  return {};
}

std::string encode(const cluster::registered& x) {
  pb::Registered out;
  out.set_cluster_id(x.cluster_id);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, cluster::registered& x) {
  pb::Registered in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.cluster_id = in.cluster_id();
  return {};
}

std::string encode(const node::node_report& x) {
  pb::NodeReport out;
  out.set_node(x.node.value);
  out.set_started_high(x.started.bits[0]);
  out.set_started_low(x.started.bits[1]);
  out.set_revision(x.revision);
  out.set_cpu_used(x.cpu_used);
  out.set_memory_used_bytes(x.memory_used_bytes);
  for (auto& host : x.hosts)
    pack(host, *out.add_hosts());
  for (const auto& load : x.requests)
    pack(load, *out.add_requests());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::node_report& x) {
  pb::NodeReport in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.node = node_id{in.node()};
  x.started.bits = {in.started_high(), in.started_low()};
  x.revision = in.revision();
  x.cpu_used = in.cpu_used();
  x.memory_used_bytes = in.memory_used_bytes();
  for (auto& host : in.hosts())
    x.hosts.push_back(unpack(host));
  for (const auto& load : in.requests())
    x.requests.push_back(unpack(load));
  return {};
}

std::string encode(const cluster::node_leaves& x) {
  pb::NodeLeaves out;
  out.set_node(x.node.value);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, cluster::node_leaves& x) {
  pb::NodeLeaves in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.node = node_id{in.node()};
  return {};
}

std::string encode(const cluster::host_ended& x) {
  pb::HostEnded out;
  out.set_node(x.node.value);
  out.set_flow(x.flow.value);
  pack(x.report, *out.mutable_report());
  out.set_expected(x.expected);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, cluster::host_ended& x) {
  pb::HostEnded in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.node = node_id{in.node()};
  x.flow = flow_name{in.flow()};
  x.report = unpack(in.report());
  x.expected = in.expected();
  return {};
}

std::string encode(const node::log_request& x) {
  pb::LogRequest out;
  out.set_flow(x.flow.value);
  out.set_host(x.host.value);
  out.set_offset(x.offset);
  out.set_tail_lines(x.tail_lines);
  out.set_size_bytes_max(x.size_bytes_max);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::log_request& x) {
  pb::LogRequest in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.flow = flow_name{in.flow()};
  x.host = host_id{in.host()};
  x.offset = in.offset();
  x.tail_lines = in.tail_lines();
  x.size_bytes_max = in.size_bytes_max();
  return {};
}

std::string encode(const node::log_chunk& x) {
  pb::LogChunk out;
  out.set_host(x.host.value);
  out.set_text(x.text);
  out.set_offset_next(x.offset_next);
  out.set_host_ended(x.host_ended);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::log_chunk& x) {
  pb::LogChunk in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.host = host_id{in.host()};
  x.text = in.text();
  x.offset_next = in.offset_next();
  x.host_ended = in.host_ended();
  return {};
}

std::string encode(const node::log_sources_request& x) {
  pb::LogSourcesRequest out;
  out.set_flow(x.flow.value);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::log_sources_request& x) {
  pb::LogSourcesRequest in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.flow = flow_name{in.flow()};
  return {};
}

std::string encode(const node::log_sources_reply& x) {
  pb::LogSourcesReply out;
  for (auto& from : x.sources) {
    auto& to = *out.add_sources();
    to.set_flow(from.flow.value);
    to.set_host(from.host.value);
    to.set_ended(from.ended);
  }
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::log_sources_reply& x) {
  pb::LogSourcesReply in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  for (auto& from : in.sources())
    x.sources.push_back({flow_name{from.flow()}, host_id{from.host()}, from.ended()});
  return {};
}

std::string encode(const host::desired_replicas& x) {
  pb::DesiredReplicas out;
  out.set_revision(x.revision);
  for (auto& from : x.replicas) {
    auto& to = *out.add_replicas();
    to.set_id(from.id.value);
    to.set_processor(from.processor.value);
    to.set_goal(static_cast<std::uint32_t>(from.goal));
  }
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, host::desired_replicas& x) {
  pb::DesiredReplicas in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.revision = in.revision();
  for (auto& from : in.replicas())
    x.replicas.push_back({replica_id{from.id()}, processor_name{from.processor()}, to_goal(from.goal())});
  return {};
}

std::string encode(const host::host_report& x) {
  pb::HostReport out;
  out.set_host(x.host.value);
  out.set_revision(x.revision);
  for (auto& replica : x.replicas)
    pack(replica, *out.add_replicas());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, host::host_report& x) {
  pb::HostReport in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.host = host_id{in.host()};
  x.revision = in.revision();
  for (auto& replica : in.replicas())
    x.replicas.push_back(unpack(replica));
  return {};
}

std::string encode(const artifact_request& x) {
  pb::ArtifactRequest out;
  out.set_artifact(x.artifact.value);
  out.set_offset(x.offset);
  out.set_size_bytes(x.size_bytes);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, artifact_request& x) {
  pb::ArtifactRequest in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.artifact = artifact_id{in.artifact()};
  x.offset = in.offset();
  x.size_bytes = in.size_bytes();
  return {};
}

std::string encode(const artifact_chunk& x) {
  pb::ArtifactChunk out;
  out.set_data(x.data);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, artifact_chunk& x) {
  pb::ArtifactChunk in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.data = std::move(*in.mutable_data());
  return {};
}

std::string encode(const certificate_request& x) {
  pb::CertificateRequest out;
  out.set_request_pem(x.request_pem);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, certificate_request& x) {
  pb::CertificateRequest in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.request_pem = std::move(*in.mutable_request_pem());
  return {};
}

std::string encode(const certificate_grant& x) {
  pb::CertificateGrant out;
  out.set_certificate_pem(x.certificate_pem);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, certificate_grant& x) {
  pb::CertificateGrant in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.certificate_pem = std::move(*in.mutable_certificate_pem());
  return {};
}

std::string encode_failure(const failure& why) {
  std::string bytes;
  bytes.reserve(1 + why.message.size());
  bytes.push_back(static_cast<char>(why.code));
  bytes.append(why.message);
  return bytes;
}

failure decode_failure(std::string_view bytes) {
  if (bytes.empty())
    return {errc::internal, "the peer gave no reason"};
  auto code = to_enum(static_cast<std::uint8_t>(bytes.front()), errc::internal, errc::internal);
  return {code == errc::ok ? errc::internal : code, std::string{bytes.substr(1)}};
}

} // namespace sluice::peer
