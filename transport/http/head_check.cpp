#include "transport/http/head_check.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::http {

namespace {

refusal line_too_long(const server_limits& within) {
  return {414, "the request line is longer than the " + std::to_string(within.line_bytes_max)
                 + " bytes that are taken here"};
}
refusal head_too_long(const server_limits& within) {
  return {431, "the header fields are longer than the " + std::to_string(within.headers_bytes_max)
                 + " bytes that are taken here"};
}
refusal too_many_fields(const server_limits& within) {
  return {431, "there are more header fields than the " + std::to_string(within.fields_max)
                 + " that are taken here"};
}
refusal bare_line_feed() { return {400, "a line ends without carriage return"}; }
refusal folded() { return {400, "a header field is continued on the next line"}; }
refusal bad_target() { return {400, std::string{bad_target_text}}; }

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Segments . and .. are for clients to take away, and lead out of a folder where they are not: they are refused however they
/// are written, as is one that would come of a %2F.
bool valid_path(std::string_view path) noexcept {
  std::size_t dots = 0; ///< of a segment that has only dots so far
  bool has_others = true;
  const auto is_dot_segment = [&] { return !has_others && (dots == 1 || dots == 2); };
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
      return false;
    if (c == '%') {
      if (i + 2 >= path.size() || !is_hex(path[i + 1]) || !is_hex(path[i + 2]))
        return false;
      const auto code = path.substr(i + 1, 2);
      if (code == "00")
        return false;
      c = same_token(code, "2e") ? '.' : same_token(code, "2f") ? '/' : '%';
      i += 2;
    }
    if (c == '/') {
      if (is_dot_segment())
        return false;
      dots = 0;
      has_others = false;
    } else if (c == '.') {
      ++dots;
    } else {
      has_others = true;
    }
  }
  return !is_dot_segment();
}

} // namespace

refusal body_too_large(std::uint64_t bytes_max) {
  return {413, "the body is larger than the " + std::to_string(bytes_max) + " bytes that this route takes"};
}

std::optional<refusal> head_scan::advance(std::string_view bytes, const server_limits& within) {
  for (;;) {
    const void* found = line_start_ < bytes.size()
                          ? std::memchr(bytes.data() + line_start_, '\n', bytes.size() - line_start_)
                          : nullptr;
    auto end =
      found ? static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) : bytes.size();
    // Judged before the line is complete: it may never be.
    if (request_line_end_ == 0) {
      if (end - line_start_ > within.line_bytes_max + (found ? 1 : 0)) // the carriage return
        return line_too_long(within);
    } else {
      if (end > line_start_ && (bytes[line_start_] == ' ' || bytes[line_start_] == '\t'))
        return folded();
      if (end - request_line_end_ > within.headers_bytes_max)
        return head_too_long(within);
    }
    if (!found)
      return std::nullopt;
    if (end == line_start_ || bytes[end - 1] != '\r')
      return bare_line_feed();
    bool empty = end - 1 == line_start_;
    line_start_ = end + 1;
    if (request_line_end_ == 0) {
      request_line_end_ = line_start_; // an empty one is refused by the parser
    } else if (empty) {
      head_bytes_ = line_start_;
      return std::nullopt;
    } else if (++fields_ > within.fields_max) {
      return too_many_fields(within);
    }
  }
}

std::optional<refusal> check_facts(const head_facts& facts) {
  if (facts.hosts > 1)
    return refusal{400, "there is more than one Host"};
  if (facts.hosts == 0 && facts.http_1_1)
    return refusal{400, "the Host is missing"};
  if (!facts.host_valid)
    return refusal{400, "the Host is not valid: it is a name or an address, with or without a port"};
  if (facts.content_lengths > 0 && facts.transfer_encodings > 0)
    return refusal{400, "there are both Content-Length and Transfer-Encoding"};
  if (facts.content_lengths > 1)
    return refusal{400, "there is more than one Content-Length"};
  if (!facts.content_length_plain)
    return refusal{400, "the Content-Length is not a number"};
  if (facts.transfer_encodings > 0 && !facts.http_1_1)
    return refusal{400, "HTTP/1.0 has no Transfer-Encoding"};
  if (facts.transfer_encodings > 1)
    return refusal{400, "there is more than one Transfer-Encoding"};
  if (facts.transfer_encodings == 1 && !facts.chunked_only)
    return refusal{501, "the only Transfer-Encoding known here is chunked"};
  if (facts.expects > 0 && !facts.expects_continue)
    return refusal{417, "the only expectation known here is 100-continue"};
  return std::nullopt;
}

bool valid_host(std::string_view value) noexcept {
  // Letters, digits and what RFC 3986 allows in reg-name, IP-literal and port; no user, no path.
  constexpr std::string_view others = "-._~%!$&'()*+,;=:[]";
  return !value.empty() && value.size() <= 512 && std::ranges::all_of(value, [&](char c) {
    return is_digit(c) || is_alpha(c) || others.find(c) != others.npos;
  });
}

std::optional<refusal> split_target(std::string_view target, bool options, target_parts& out) {
  out = {};
  if (options && target == "*") {
    out.path = target;
    return std::nullopt;
  }
  if (target.find('#') != target.npos)
    return bad_target();
  if (!target.starts_with('/')) {
    const auto scheme_end = target.find("://");
    if (scheme_end == target.npos)
      return bad_target();
    const auto scheme = target.substr(0, scheme_end);
    if (!same_token(scheme, "http") && !same_token(scheme, "https"))
      return bad_target();
    target.remove_prefix(scheme.size() + 3);
    auto authority = target.substr(0, target.find_first_of("/?"));
    if (!valid_host(authority))
      return bad_target();
    target.remove_prefix(authority.size());
    out.authority = authority;
  }
  auto mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != target.npos)
    out.query = target.substr(mark + 1);
  if (out.path.empty())
    out.path = "/"; // "http://host", "http://host?a"
  if (!valid_path(out.path))
    return bad_target();
  return std::nullopt;
}

bool sane_request_id(std::string_view value) noexcept {
  return !value.empty() && value.size() <= 64 && std::ranges::all_of(value, [](char c) {
    return is_digit(c) || is_alpha(c) || c == '-' || c == '_' || c == '.' || c == ':';
  });
}

bool accepts_gzip(std::string_view value) noexcept {
  std::optional<int> gzip;
  int others = 0;
  int plain = 0; // unless it is preferred
  for_each_choice(value, [&](std::string_view coding, int weight) {
    if (same_token(coding, "gzip") || same_token(coding, "x-gzip"))
      gzip = gzip.value_or(weight);
    else if (same_token(coding, "identity"))
      plain = weight;
    else if (coding == "*")
      others = weight;
  });
  const int weight = gzip.value_or(others);
  return weight > 0 && weight >= plain;
}

} // namespace sluice::http
