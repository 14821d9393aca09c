#pragma once

#include "transport/http/server_options.hpp"

#include <sluice/http/field_value.hpp>
#include <sluice/http/message.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The rules for a request's head that a parser alone does not keep: what two servers could
/// read differently is refused. Pure.
namespace sluice::http {

/// Why a request is not served. Its connection ends after the answer, as it is not certain
/// where the next request would begin.
struct refusal {
  unsigned status;
  std::string text; ///< for the client

  friend bool operator==(const refusal&, const refusal&) = default;
};

inline constexpr std::string_view bad_target_text =
  "the request target is not valid: it is a path that begins with /, has no segments . and .., and two "
  "hexadecimal digits behind each %, not 00";

/// A body of which more comes than its route takes, or is announced.
refusal body_too_large(std::uint64_t bytes_max);

/// Looks for the end of a head in bytes that come in piece by piece, within its bounds.
///
/// Refuses what is dangerous between lines: a line feed without carriage return, and a
/// continued line (obs-fold).
class head_scan {
public:
  /// `bytes` is all that came in since the request's begin; each call has at least those of the
  /// call before. Returns why it is refused, if it is.
  std::optional<refusal> advance(std::string_view bytes, const server_limits& within);
  /// The length of the head with its empty line; 0 while it is not complete.
  std::size_t head_bytes() const noexcept { return head_bytes_; }

private:
  std::size_t line_start_ = 0;       ///< what is before has been seen
  std::size_t request_line_end_ = 0; ///< 0: not seen yet
  std::size_t fields_ = 0;
  std::size_t head_bytes_ = 0;
};

/// What the rules need to know of a parsed head.
struct head_facts {
  bool http_1_1 = true;
  std::uint32_t hosts = 0;
  bool host_valid = true;
  std::uint32_t content_lengths = 0; ///< fields of that name
  bool content_length_plain = true;  ///< digits and nothing else
  std::uint32_t transfer_encodings = 0;
  bool chunked_only = false; ///< the last Transfer-Encoding is exactly "chunked"
  std::uint32_t expects = 0;
  bool expects_continue = false;
};

std::optional<refusal> check_facts(const head_facts& facts);

/// Whether a value can stand in a Host field.
bool valid_host(std::string_view value) noexcept;

/// A request's target taken apart.
struct target_parts {
  std::string_view path;      ///< starts with '/', or is "*"
  std::string_view query;     ///< without '?'
  std::string_view authority; ///< of the absolute form: what counts instead of Host
};

/// Takes a target apart. Origin form ("/a?b"), absolute form ("http://host/a?b"), and for OPTIONS
/// "*"; anything else, a fragment, a path with %00 or a broken %-sequence is refused.
std::optional<refusal> split_target(std::string_view target, bool options, target_parts& out);

/// An X-Request-Id that may be taken over: 1 to 64 letters, digits and "-_.:".
bool sane_request_id(std::string_view value) noexcept;

/// Whether an Accept-Encoding lets us answer with gzip.
bool accepts_gzip(std::string_view value) noexcept;

} // namespace sluice::http
