#include "runtime/cli/payload.hpp"

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>

#include <algorithm>

namespace sluice::cli {

result<void> check_json(std::string_view text) {
  codec::json_reader reader{text};
  if (reader.skip_value() && reader.finish())
    return {};
  const auto& why = reader.error();
  return fail(errc::invalid_argument, why.path.empty() ? why.message : "at " + why.path + ": " + why.message);
}

std::string to_json_line(std::string_view payload) {
  std::string line;
  if (check_json(payload)) {
    line = payload;
    std::replace(line.begin(), line.end(), '\n', ' '); // in valid JSON these are blanks between tokens
    std::replace(line.begin(), line.end(), '\r', ' ');
    return line;
  }
  codec::json_writer writer{line};
  if (writer.string(payload))
    return line;
  line = "{\"base64\":\"";
  codec::append_base64(line, payload);
  return line + "\"}";
}

std::string to_display_line(std::string_view beginning, std::size_t bytes) {
  if (beginning.size() < bytes)
    return to_json_line(beginning);
  auto text = beginning.substr(0, bytes);
  for (int cut = 0; cut < 3 && !codec::is_utf8(text); ++cut) // in the middle of a character
    text.remove_suffix(1);
  if (codec::is_utf8(text))
    return std::string{text} + "\xe2\x80\xa6";
  std::string line = "{\"base64\":\"";
  codec::append_base64(line, beginning.substr(0, bytes));
  return line + "\xe2\x80\xa6";
}

} // namespace sluice::cli
