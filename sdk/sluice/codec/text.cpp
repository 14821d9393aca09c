#include <sluice/codec/text.hpp>

namespace sluice::codec::detail {

bool is_number_text(std::string_view text) {
  json_reader reader{text};
  std::string_view number;
  return reader.peek() == json_kind::number && reader.read_number(number, "number") && number == text;
}

} // namespace sluice::codec::detail
