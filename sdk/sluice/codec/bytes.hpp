#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// A record as it is, read and written untouched. Only as the whole input or output of a
/// processor: inside of a struct there is no place for text that may be no JSON.
struct raw {
  std::string data;

  friend bool operator==(const raw&, const raw&) = default;
};

/// Binary data. In JSON it is a string in base64 (RFC 4648 §4, padded).
struct bytes {
  std::string data;

  friend bool operator==(const bytes&, const bytes&) = default;
  friend auto operator<=>(const bytes&, const bytes&) = default;
};

namespace codec {

void append_base64(std::string& out, std::string_view data);

/// False if `text` is no padded base64.
bool parse_base64(std::string_view text, std::string& out);

} // namespace codec

} // namespace sluice
