#include <sluice/codec/decode_error.hpp>

#include <algorithm>

namespace sluice::codec {

namespace {

void set_position(decode_error& error, std::string_view text, std::size_t offset) {
  auto before = text.substr(0, offset);
  auto line_start = before.rfind('\n') + 1; // npos + 1 is 0
  error.offset = before.size();
  error.line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  auto of_line = before.substr(line_start);
  // Bytes that continue a character of UTF-8 do not count.
  error.column = 1 + static_cast<std::size_t>(std::count_if(of_line.begin(), of_line.end(), [](char c) {
                   return (c & 0xc0) != 0x80;
                 }));
}

} // namespace

std::string decode_error::text() const { return path.empty() ? message : path + ": " + message; }

tl::unexpected<failure> fail(const decode_error& error) {
  return sluice::fail(errc::invalid_argument, error.text());
}

decode_error explain(std::string_view text, json_reader& reader, std::string root) {
  decode_error error;
  auto& found = reader.error();
  auto offset = reader.offset();
  if (!found.is_syntax) {
    // A wrong type was met first. What follows decides whether it is JSON at all.
    json_reader whole{text};
    if (!whole.skip_value() || !whole.finish()) {
      found = std::move(whole.error());
      offset = whole.offset();
    }
  }
  error.fault = found.is_syntax ? decode_fault::syntax : decode_fault::type;
  error.path = std::move(root) + found.path;
  error.message = std::move(found.message);
  set_position(error, text, offset);
  if (error.line > 1 && error.message.starts_with(json_reader::syntax_lead)) {
    auto behind_byte = error.message.find(':');
    error.message.insert(behind_byte, " (line " + std::to_string(error.line) + ", column "
                                        + std::to_string(error.column) + ")");
  }
  return error;
}

} // namespace sluice::codec
