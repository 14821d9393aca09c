#pragma once

#include "transport/http/chunked_body.hpp"
#include "transport/http/head_check.hpp"

#include <optional>
#include <string_view>

namespace sluice::http {

/// Takes the requests of one connection out of its bytes, one after another: Boost.Beast's parser for the
/// head, and after it the rules of `head_check`. Knows no socket and no clock. One thread at a time.
class request_reader {
public:
  /// `within` outlives it.
  explicit request_reader(const server_limits& within) : within_(within) {}
  request_reader(const request_reader&) = delete;
  request_reader& operator=(const request_reader&) = delete;

  /// What was understood of a head beside the request itself.
  struct head {
    sluice::request request = {};
    bool http_1_1 = true;
    bool keep_alive = true;
    bool has_body = false;
    bool chunked = false;
    std::uint64_t content_length = 0; ///< of a body that is not chunked
    bool expects_continue = false;
    bool wants_upgrade = false;
  };

  /// Reads a head from the front of `bytes`, which must be all that came in since the last request
  /// ended. Nothing is consumed until it is complete: then `head_done` is true and `head_bytes` are
  /// to be dropped.
  std::optional<refusal> read_head(std::string_view bytes);
  bool head_done() const noexcept { return head_done_; }
  std::size_t head_bytes() const noexcept { return scan_.head_bytes(); }
  /// Valid until `next`, and to be taken from.
  head& current() noexcept { return head_; }

  /// Bounds the body. @pre head_done()
  void allow_body(std::uint64_t bytes_max) noexcept { body_bytes_max_ = bytes_max; }

  /// Reads on in the body, into `current().request.body`. `consumed` bytes are to be dropped; the rest
  /// comes again with what follows it. @pre head_done(), !done()
  std::optional<refusal> read_body(std::string_view bytes, std::size_t& consumed);
  /// The request is complete.
  bool done() const noexcept { return done_; }

  /// Gets ready for the next request.
  void next();

  /// More bytes than this need not be kept for a reader that has not consumed them.
  std::size_t unread_bytes_max() const noexcept {
    return within_.line_bytes_max + within_.headers_bytes_max + 4;
  }

private:
  std::optional<refusal> read_plain_body(std::string_view bytes, std::size_t& consumed);

  const server_limits& within_;
  head_scan scan_;
  head head_;
  chunked_body chunks_;
  std::uint64_t body_bytes_max_ = 0;
  bool head_done_ = false;
  bool done_ = false;
};

} // namespace sluice::http
