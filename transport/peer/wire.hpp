#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "actors/host/host_protocol.hpp"
#include "actors/node/node_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

/// Actor messages as bytes. The first half of a body is a protobuf message of
/// `proto/sluice/link/v1/wire.proto`; record blocks follow it as they are.
///
/// All functions are pure. `decode` fails with `errc::corrupt` on bytes that are no
/// such message and never reads past them.
namespace sluice::peer {

/// What a frame's body is. Stable on the wire: append, never renumber.
enum class method : std::uint16_t {
  register_node = 1,
  node_report = 2,
  node_leaves = 3,
  host_ended = 4,
  desired_state = 10,
  read_log = 11,
  log_sources = 12,
  desired_replicas = 20,
  host_report = 21,
  append = 30,
  lease = 31,
  commit = 32,
  renew = 33,
  release = 34,
  cursor = 35,
  artifact_chunk = 40,
  renew_certificate = 41,
  http_request = 50, ///< these pass by the actor: see request_relay.hpp
  http_begin = 51,
  http_part = 52,
  http_end = 53,
  http_cancel = 54,
  http_taken = 55,
  websocket_accept = 56, ///< and these: see websocket_relay.hpp
  websocket_opened = 57,
  websocket_text = 58,
  websocket_binary = 59,
  websocket_taken = 60,
  websocket_close = 61,  ///< the session ends it
  websocket_closed = 62, ///< it has ended
  websocket_join = 63,
  websocket_leave = 64,
  websocket_cast = 65,
  websocket_release = 66,
  room_message = 67, ///< between nodes
  http_handed_to_sink = 68,
  http_collected = 69,
};

/// Reads a piece of an artifact from the head's store.
struct artifact_request {
  using actor_message = void;
  artifact_id artifact;
  std::uint64_t offset = 0;
  std::uint32_t size_bytes = 0;
};

struct artifact_chunk {
  using actor_message = void;
  std::string data; ///< shorter than asked only at the end
};

/// A node asks the head for its next certificate, over a link made with the one it has.
struct certificate_request {
  using actor_message = void;
  std::string request_pem; ///< PKCS#10; of it only the key counts
};

struct certificate_grant {
  using actor_message = void;
  std::string certificate_pem;
};

/// Maps a message to its method and the type of its reply (`void`: a notice).
template <class T>
struct wire;

template <method Method, class Reply = void>
struct wire_entry {
  static constexpr method id = Method;
  using reply = Reply;
};

template <>
struct wire<cluster::register_node> : wire_entry<method::register_node, cluster::registered> {};
template <>
struct wire<node::node_report> : wire_entry<method::node_report> {};
template <>
struct wire<cluster::node_leaves> : wire_entry<method::node_leaves> {};
template <>
struct wire<cluster::host_ended> : wire_entry<method::host_ended> {};
template <>
struct wire<node::desired_state> : wire_entry<method::desired_state> {};
template <>
struct wire<node::log_request> : wire_entry<method::read_log, node::log_chunk> {};
template <>
struct wire<node::log_sources_request> : wire_entry<method::log_sources, node::log_sources_reply> {};
template <>
struct wire<host::desired_replicas> : wire_entry<method::desired_replicas> {};
template <>
struct wire<host::host_report> : wire_entry<method::host_report> {};
template <>
struct wire<queue::append_request> : wire_entry<method::append, queue::append_reply> {};
template <>
struct wire<queue::lease_request> : wire_entry<method::lease, queue::lease_reply> {};
template <>
struct wire<queue::commit_request> : wire_entry<method::commit, queue::commit_reply> {};
template <>
struct wire<queue::renew_request> : wire_entry<method::renew, queue::count_reply> {};
template <>
struct wire<queue::release_request> : wire_entry<method::release, queue::count_reply> {};
template <>
struct wire<queue::cursor_request> : wire_entry<method::cursor, std::string> {};
template <>
struct wire<artifact_request> : wire_entry<method::artifact_chunk, artifact_chunk> {};
template <>
struct wire<certificate_request> : wire_entry<method::renew_certificate, certificate_grant> {};

std::string encode(const cluster::register_node& x); ///< the agent stays behind
std::string encode(const cluster::registered& x);
std::string encode(const node::node_report& x);
std::string encode(const cluster::node_leaves& x);
std::string encode(const cluster::host_ended& x);
std::string encode(const node::desired_state& x);
std::string encode(const node::log_request& x);
std::string encode(const node::log_chunk& x);
std::string encode(const node::log_sources_request& x);
std::string encode(const node::log_sources_reply& x);
std::string encode(const host::desired_replicas& x);
std::string encode(const host::host_report& x);
std::string encode(const queue::append_request& x);
std::string encode(const queue::append_reply& x);
std::string encode(const queue::lease_request& x);
std::string encode(const queue::lease_reply& x);
std::string encode(const queue::commit_request& x);
std::string encode(const queue::commit_reply& x);
std::string encode(const queue::renew_request& x);
std::string encode(const queue::release_request& x);
std::string encode(const queue::count_reply& x);
std::string encode(const queue::cursor_request& x);
std::string encode(const std::string& cursor);
std::string encode(const artifact_request& x);
std::string encode(const artifact_chunk& x);
std::string encode(const certificate_request& x);
std::string encode(const certificate_grant& x);

result<void> decode(std::string_view bytes, cluster::register_node& x);
result<void> decode(std::string_view bytes, cluster::registered& x);
result<void> decode(std::string_view bytes, node::node_report& x);
result<void> decode(std::string_view bytes, cluster::node_leaves& x);
result<void> decode(std::string_view bytes, cluster::host_ended& x);
result<void> decode(std::string_view bytes, node::desired_state& x);
result<void> decode(std::string_view bytes, node::log_request& x);
result<void> decode(std::string_view bytes, node::log_chunk& x);
result<void> decode(std::string_view bytes, node::log_sources_request& x);
result<void> decode(std::string_view bytes, node::log_sources_reply& x);
result<void> decode(std::string_view bytes, host::desired_replicas& x);
result<void> decode(std::string_view bytes, host::host_report& x);
result<void> decode(std::string_view bytes, queue::append_request& x);
result<void> decode(std::string_view bytes, queue::append_reply& x);
result<void> decode(std::string_view bytes, queue::lease_request& x);
result<void> decode(std::string_view bytes, queue::lease_reply& x);
result<void> decode(std::string_view bytes, queue::commit_request& x);
result<void> decode(std::string_view bytes, queue::commit_reply& x);
result<void> decode(std::string_view bytes, queue::renew_request& x);
result<void> decode(std::string_view bytes, queue::release_request& x);
result<void> decode(std::string_view bytes, queue::count_reply& x);
result<void> decode(std::string_view bytes, queue::cursor_request& x);
result<void> decode(std::string_view bytes, std::string& cursor);
result<void> decode(std::string_view bytes, artifact_request& x);
result<void> decode(std::string_view bytes, artifact_chunk& x);
result<void> decode(std::string_view bytes, certificate_request& x);
result<void> decode(std::string_view bytes, certificate_grant& x);

/// The documentation of routes is long, seldom changes, and belongs to every order. So an order carries only those
/// texts that the one before it on the same link did not name. Each end keeps what the last order named, of which
/// a link, which keeps order, makes the same; a new link begins with none.
using documents_told = std::set<std::uint64_t>;
using documents_known = std::map<std::uint64_t, std::string>;
std::string encode(const node::desired_state& x, documents_told& told);
result<void> decode(std::string_view bytes, node::desired_state& x, documents_known& known);

/// The body of an error frame: one byte of code, then the text.
std::string encode_failure(const failure& why);
failure decode_failure(std::string_view bytes);

} // namespace sluice::peer
