#include "transport/http/chunked_body.hpp"

#include <algorithm>

namespace sluice::http {

namespace {

refusal bad_chunk() {
  return {
    400,
    "a chunk of the body is not valid: a size in hexadecimal digits, then so many bytes, each ended by CRLF"};
}
refusal extension_too_long() { return {400, "the chunk extensions are too long"}; }
refusal trailers_too_long(const server_limits& within) {
  return {431, "the trailers are longer than the " + std::to_string(within.line_bytes_max)
                 + " bytes that are taken here"};
}
constexpr std::size_t size_digits_max = 16;

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool is_text(std::string_view line) noexcept {
  return std::ranges::all_of(
    line, [](char c) { return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t'; });
}

} // namespace

std::optional<refusal> chunked_body::advance(std::string_view bytes, std::size_t& consumed, std::string& into,
                                             std::uint64_t bytes_max, const server_limits& within) {
  consumed = 0;
  while (state_ != state::done) {
    auto rest = bytes.substr(consumed);
    if (state_ == state::data) {
      auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size()));
      into.append(rest.substr(0, part));
      consumed += part;
      left_ -= part;
      if (left_ > 0)
        return std::nullopt;
      state_ = state::data_end;
      continue;
    }
    auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    // Judged before the line is complete: it may never be.
    if (state_ == state::data_end && !std::string_view{"\r"}.starts_with(line))
      return bad_chunk();
    if (state_ == state::size && line.size() > size_digits_max + within.chunk_extension_bytes_max + 1)
      return extension_too_long();
    if (state_ == state::trailers && trailer_bytes_ + line.size() > within.line_bytes_max)
      return trailers_too_long(within);
    if (end == rest.npos)
      return std::nullopt;
    if (!line.ends_with('\r'))
      return bad_chunk();
    line.remove_suffix(1);
    consumed += end + 1;
    std::optional<refusal> refused;
    if (state_ == state::data_end)
      state_ = state::size;
    else if (state_ == state::size)
      refused = take_size(line, within);
    else
      refused = take_trailer(line);
    if (!refused && left_ > bytes_max - std::min<std::uint64_t>(bytes_max, into.size()))
      refused = body_too_large(bytes_max);
    if (refused)
      return refused;
  }
  return std::nullopt;
}

std::optional<refusal> chunked_body::take_size(std::string_view line, const server_limits& within) {
  std::uint64_t size = 0;
  std::size_t digits = 0;
  for (; digits < line.size() && hex_value(line[digits]) >= 0; ++digits)
    size = size << 4 | static_cast<std::uint64_t>(hex_value(line[digits]));
  auto extension = line.substr(digits);
  if (digits == 0 || digits > size_digits_max)
    return bad_chunk();
  extension_bytes_ += extension.size();
  if (extension_bytes_ > within.chunk_extension_bytes_max)
    return extension_too_long();
  auto start = extension.find_first_not_of(" \t");
  if (!extension.empty() && (start == extension.npos || extension[start] != ';' || !is_text(extension)))
    return bad_chunk();
  left_ = size;
  state_ = size == 0 ? state::trailers : state::data;
  return std::nullopt;
}

std::optional<refusal> chunked_body::take_trailer(std::string_view line) {
  if (line.empty()) {
    state_ = state::done;
    return std::nullopt;
  }
  trailer_bytes_ += line.size() + 2;
  if (line.front() == ' ' || line.front() == '\t' || line.front() == ':' || line.find(':') == line.npos
      || !is_text(line))
    return refusal{400, "a trailer of the body is not valid: it is a name, a colon and text"};
  return std::nullopt;
}

} // namespace sluice::http
