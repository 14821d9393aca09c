#include "runtime/cli/payload.hpp"

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/json_writer.hpp>

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

} // namespace sluice::cli
