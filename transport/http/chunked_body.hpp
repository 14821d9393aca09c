#pragma once

#include "transport/http/head_check.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

/// Undoes the chunked coding of a body as it comes in, strictly: every line ends with CR LF, a size is 1 to
/// 16 hexadecimal digits, extensions and trailers are bounded and dropped. Pure.
///
/// Not Beast's: the one of 1.81 stops the process (a failed assertion) when the last chunk comes in two pieces.
class chunked_body {
public:
  /// Appends content to `into`, up to `bytes_max` in all. `consumed` bytes are to be dropped; the rest,
  /// a line that is not complete, comes again with what follows it.
  std::optional<refusal> advance(std::string_view bytes, std::size_t& consumed, std::string& into,
                                 std::uint64_t bytes_max, const server_limits& within);
  bool done() const noexcept { return state_ == state::done; }

private:
  enum class state { size, data, data_end, trailers, done };

  std::optional<refusal> take_size(std::string_view line, const server_limits& within);
  std::optional<refusal> take_trailer(std::string_view line);

  state state_ = state::size;
  std::uint64_t left_ = 0; ///< of the chunk's data
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
};

} // namespace sluice::http
