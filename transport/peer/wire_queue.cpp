#include "transport/peer/wire.hpp"
#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

namespace sluice::peer {

namespace pb = sluice::link::v1;
using detail::body_writer;
using detail::parse;
using detail::parse_header;

namespace {

void pack(const queue::owner_id& from, pb::Owner& to) {
  to.set_node(from.node.value);
  to.set_host(from.host.value);
  to.set_replica(from.replica.value);
}

queue::owner_id unpack(const pb::Owner& from) {
  return {node_id{from.node()}, host_id{from.host()}, replica_id{from.replica()}};
}

result<void> take_block(std::string_view bytes, record_block& into) {
  auto block = record_block::from_bytes(std::string{bytes});
  if (!block)
    return fail(block);
  into = std::move(*block);
  return {};
}

} // namespace

std::string encode(const queue::append_request& x) {
  pb::Append header;
  header.set_queue(x.queue.value);
  header.set_producer(x.producer);
  header.set_producer_seq(x.producer_seq);
  header.set_fingerprint(x.fingerprint);
  body_writer out{header, x.records.bytes().size()};
  out.add(x.records);
  return out.finish();
}

result<void> decode(std::string_view bytes, queue::append_request& x) {
  pb::Append header;
  auto rest = parse_header(bytes, header);
  if (!rest)
    return fail(rest);
  x.queue = queue_name{header.queue()};
  x.producer = header.producer();
  x.producer_seq = header.producer_seq();
  x.fingerprint = header.fingerprint();
  return take_block(*rest, x.records);
}

std::string encode(const queue::append_reply& x) {
  pb::Appended out;
  out.set_count(x.count);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::append_reply& x) {
  pb::Appended in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.count = in.count();
  return {};
}

std::string encode(const queue::lease_request& x) {
  pb::Lease out;
  out.set_queue(x.queue.value);
  pack(x.owner, *out.mutable_owner());
  out.set_flow(x.consumer.flow.value);
  out.set_processor(x.consumer.processor.value);
  out.set_attempts_max(x.attempts_max);
  out.set_count_max(x.count_max);
  out.set_size_bytes_max(x.size_bytes_max);
  out.set_wait_max_ms(x.wait_max.count());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::lease_request& x) {
  pb::Lease in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.queue = queue_name{in.queue()};
  x.owner = unpack(in.owner());
  x.consumer = {flow_name{in.flow()}, processor_name{in.processor()}};
  x.attempts_max = in.attempts_max();
  x.count_max = in.count_max();
  x.size_bytes_max = in.size_bytes_max();
  x.wait_max = std::chrono::milliseconds{in.wait_max_ms()};
  return {};
}

std::string encode(const queue::lease_reply& x) {
  pb::Leased header;
  header.set_epoch(x.epoch);
  header.set_more_may_come(x.more_may_come);
  body_writer out{header, x.records.bytes().size()};
  out.add(x.records);
  return out.finish();
}

result<void> decode(std::string_view bytes, queue::lease_reply& x) {
  pb::Leased header;
  auto rest = parse_header(bytes, header);
  if (!rest)
    return fail(rest);
  x.epoch = header.epoch();
  x.more_may_come = header.more_may_come();
  return take_block(*rest, x.records);
}

std::string encode(const queue::commit_request& x) {
  pb::Commit header;
  header.set_queue(x.queue.value);
  pack(x.owner, *header.mutable_owner());
  header.set_flow(x.consumer.flow.value);
  header.set_processor(x.consumer.processor.value);
  header.set_epoch(x.epoch);
  header.set_attempts_max(x.attempts_max);
  header.mutable_acks()->Add(x.acks.begin(), x.acks.end());
  for (auto& nack : x.nacks) {
    auto& out = *header.add_nacks();
    out.set_seq(nack.seq);
    out.set_error(nack.error);
    out.set_retry(nack.retry);
    if (nack.attempts)
      out.set_attempts(*nack.attempts);
  }
  std::size_t blocks_size_bytes = 0;
  for (auto& part : x.results) {
    auto& out = *header.add_results();
    out.set_queue(part.queue.value);
    out.set_size_bytes(static_cast<std::uint32_t>(part.records.bytes().size()));
    blocks_size_bytes += part.records.bytes().size();
  }
  for (auto& burial : x.burials) {
    auto& out = *header.add_burials();
    out.set_payload(burial.payload);
    out.set_error(burial.error);
    out.set_attempts(burial.attempts);
  }
  if (x.cursor) {
    auto& out = *header.mutable_cursor();
    out.set_key(x.cursor->key);
    out.set_expected(x.cursor->expected);
    out.set_next(x.cursor->next);
  }
  body_writer out{header, blocks_size_bytes};
  for (auto& part : x.results)
    out.add(part.records);
  return out.finish();
}

result<void> decode(std::string_view bytes, queue::commit_request& x) {
  pb::Commit header;
  auto rest = parse_header(bytes, header);
  if (!rest)
    return fail(rest);
  x.queue = queue_name{header.queue()};
  x.owner = unpack(header.owner());
  x.consumer = {flow_name{header.flow()}, processor_name{header.processor()}};
  x.epoch = header.epoch();
  x.attempts_max = header.attempts_max();
  x.acks.assign(header.acks().begin(), header.acks().end());
  for (auto& nack : header.nacks()) {
    auto& out = x.nacks.emplace_back(queue::nack{nack.seq(), nack.error(), nack.retry()});
    if (nack.has_attempts())
      out.attempts = nack.attempts();
  }
  for (auto& part : header.results()) {
    if (part.size_bytes() > rest->size())
      return detail::malformed(header);
    auto& out = x.results.emplace_back();
    out.queue = queue_name{part.queue()};
    if (auto ok = take_block(rest->substr(0, part.size_bytes()), out.records); !ok)
      return ok;
    rest->remove_prefix(part.size_bytes());
  }
  for (auto& burial : header.burials())
    x.burials.push_back({burial.payload(), burial.error(), burial.attempts()});
  if (header.has_cursor())
    x.cursor = {header.cursor().key(), header.cursor().expected(), header.cursor().next()};
  return {};
}

std::string encode(const queue::commit_reply& x) {
  pb::Committed out;
  out.mutable_stale()->Add(x.stale.begin(), x.stale.end());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::commit_reply& x) {
  pb::Committed in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.stale.assign(in.stale().begin(), in.stale().end());
  return {};
}

std::string encode(const queue::renew_request& x) {
  pb::Renew out;
  pack(x.owner, *out.mutable_owner());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::renew_request& x) {
  pb::Renew in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.owner = unpack(in.owner());
  return {};
}

std::string encode(const queue::release_request& x) {
  pb::Release out;
  pack(x.owner, *out.mutable_owner());
  out.set_failed(x.failed);
  out.set_error(x.error);
  out.set_queue(x.queue.value);
  out.mutable_seqs()->Add(x.seqs.begin(), x.seqs.end());
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::release_request& x) {
  pb::Release in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.owner = unpack(in.owner());
  x.failed = in.failed();
  x.error = in.error();
  x.queue = queue_name{in.queue()};
  x.seqs.assign(in.seqs().begin(), in.seqs().end());
  return {};
}

std::string encode(const queue::count_reply& x) {
  pb::Count out;
  out.set_count(x.count);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::count_reply& x) {
  pb::Count in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.count = in.count();
  return {};
}

std::string encode(const queue::cursor_request& x) {
  pb::CursorRequest out;
  out.set_key(x.key);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, queue::cursor_request& x) {
  pb::CursorRequest in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.key = in.key();
  return {};
}

std::string encode(const std::string& cursor) {
  pb::Cursor out;
  out.set_value(cursor);
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, std::string& cursor) {
  pb::Cursor in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  cursor = in.value();
  return {};
}

} // namespace sluice::peer
