#pragma once

#include <sluice/http/message.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Answers as they go on the wire. Pure but for the cached date; any thread.
namespace sluice::http {

/// What the request says about the form of its answer.
struct answer_form {
  bool http_1_1 = true;
  bool keep_alive = true;
  bool head = false; ///< the body is kept back
  bool gzip = false; ///< the client takes it, the server does it
  std::size_t gzip_bytes_min = 0;
  std::string request_id = {};
  std::string origin = {};           ///< of the request, if CORS allows it to read the answer
  std::string websocket_accept = {}; ///< the request asks for a WebSocket and may have it
  bool origin_varies = false;        ///< the answer is another one for another origin
  error_form errors = error_form::plain;
};

/// Bytes to send: `head` first, then `body`. Short bodies are in `head` already.
struct wire_answer {
  std::string head = {};
  std::string body = {};
  unsigned status = 0;
  std::uint64_t body_bytes = 0; ///< of the content, as sent
  bool keep_alive = true;       ///< false: the connection ends after it
  bool complete = true;         ///< no part may follow
};

/// A complete answer. Content-Length, Date, Server, Connection and the transfer coding are made here,
/// whatever the answer says about them. An answer that cannot be sent (a status that is none, a header
/// field with a line break) becomes 500.
wire_answer make_answer(response answer, const answer_form& form, std::string_view date);

/// The begin of an answer of unknown length: chunked, or for HTTP/1.0 up to the connection's end.
wire_answer make_stream_head(response head, const answer_form& form, std::string_view date);

/// `part` framed as one chunk, or as it is. An empty part gives nothing: an empty chunk would end the answer.
std::string make_stream_part(std::string part, bool chunked);

constexpr std::string_view last_chunk = "0\r\n\r\n";
constexpr std::string_view continue_answer = "HTTP/1.1 100 Continue\r\n\r\n";

/// The origin that may read the answer, empty if none: `origins` has it, or "*".
std::string_view allowed_origin(std::string_view origin, const std::vector<std::string>& origins) noexcept;

/// "Tue, 24 Nov 2026 14:02:17 GMT"; of this second, made once a second per thread.
std::string_view http_date();

} // namespace sluice::http
