#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/request_body.hpp>

#include <string>
#include <string_view>

/// Requests and answers as bodies of frames. One of each passes at every request of a client, so they are written by hand; protobuf, which
/// has the rest, took as long for them as all the user code of a small endpoint does.
///
/// Integers are little-endian; a text is its size (u32) and its bytes; fields are their count (u32) and then name and value of each. What
/// stands behind the last part is the body. A change of this needs another `link::hello::protocol_version`.
///
///   request: u64 replica, u8 method, u8 flags, texts path, query, client and id, fields headers and params
///   answer:  u32 status, fields headers
///
/// All functions are pure. `decode_...` fails with `errc::corrupt` on other bytes and never reads past them.
namespace sluice::peer {

struct incoming_request {
  replica_id replica;
  request in;
  bool wants_sink_notice = false; ///< of a collector: when user code is done with it
};

std::string encode_request(replica_id replica, const request& in, bool wants_sink_notice);
result<incoming_request> decode_request(std::string_view bytes);

std::string encode_answer(const response& answer);
result<response> decode_answer(std::string_view bytes);

/// What a collector made of a request, for a queue.
std::string encode_results(const queue_results& what);
result<queue_results> decode_results(std::string_view bytes);

} // namespace sluice::peer
