#pragma once

#include <sluice/codec/bytes.hpp>

#include <string>
#include <string_view>

namespace sluice {

/// Any JSON value, kept as its text without blanks: for what has no type of its own, in structs too.
struct json_text {
  std::string text = "null";

  friend bool operator==(const json_text&, const json_text&) = default;
};

namespace codec {

/// Gives a type of yours a JSON form by way of another type that has one. Specialise it beside your type:
///
///     template <>
///     struct sluice::codec::adapter<isbn> {
///       using form = std::string;
///       static form to(const isbn& value) { return value.text(); }
///       static isbn from(form text) { return isbn{text}; } // throws what the client is to read
///     };
///
/// What `from` throws becomes the error at the value's path, what `to` throws an error of the program. A
/// `static std::string schema()` says more in JSON Schema than the form alone does; it must allow nothing that
/// `from` refuses. The type itself is default constructible and movable.
template <class T>
struct adapter;

} // namespace codec

} // namespace sluice
