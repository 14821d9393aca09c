#pragma once

#include <sluice/codec/json_reader.hpp>

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace sluice::codec {

/// Appends JSON to a string, without blanks. What JSON cannot carry (text that is no
/// UTF-8, numbers that are not finite, deep nesting) makes a function return false with
/// `error()` set; the caller then cuts the string back. One thread.
class json_writer {
public:
  explicit json_writer(std::string& out) noexcept : out_(out) {}

  void text(std::string_view json) { out_.append(json); }
  void character(char json) { out_.push_back(json); }

  /// Writes quotes, escapes what must be.
  bool string(std::string_view value);

  template <std::integral Number>
  void integer(Number value) {
    char digits[24];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append(digits, static_cast<std::size_t>(end - digits));
  }

  /// Writes the shortest text that reads back as the same number.
  bool floating(double value);
  bool floating(float value);

  /// Writes JSON that somebody else made; checks it.
  bool any(std::string_view json);

  bool enter(char bracket);
  void leave(char bracket) {
    --depth_;
    out_.push_back(bracket);
  }

  bool refuse(std::string message) {
    error_.message = std::move(message);
    return false;
  }
  json_error& error() noexcept { return error_; }

private:
  std::string& out_;
  int depth_ = 0;
  json_error error_;
};

/// Lays compact JSON out for people: two blanks per level. `json` must be valid.
std::string indent_json(std::string_view json);

} // namespace sluice::codec
