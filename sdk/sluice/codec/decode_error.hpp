#pragma once

#include <sluice/codec/json_reader.hpp>
#include <sluice/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::codec {

/// What is wrong with a text that was to become a value. HTTP answers 400 to `syntax` and 422 to
/// `type`.
enum class decode_fault : std::uint8_t {
  syntax, ///< no JSON, or deeper or longer than any that is read
  type,   ///< JSON, but not of the form of the type
};

/// Why a text does not become a value. A document with several faults is told the first one; one that is
/// no JSON is a `syntax` fault, whatever else is wrong before the place where it ends to be JSON.
struct decode_error {
  decode_fault fault = decode_fault::type;
  std::string path;       ///< "order.items[2].price"
  std::string message;    ///< "expected number, got string"
  std::size_t offset = 0; ///< bytes before the fault; for `syntax` exactly, for `type` about
  std::size_t line = 1;   ///< from 1
  std::size_t column = 1; ///< from 1, in characters

  /// "order.items[2].price: expected number, got string".
  std::string text() const;

  friend bool operator==(const decode_error&, const decode_error&) = default;
};

/// The same for those who only need to know that the text is not theirs to mend: `invalid_argument`.
tl::unexpected<failure> fail(const decode_error& error);

/// For `decode`: what a reader of `text` that has failed has to say, under the name of the root.
decode_error explain(std::string_view text, json_reader& reader, std::string root);

} // namespace sluice::codec
