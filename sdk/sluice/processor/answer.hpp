#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/guard.hpp>
#include <sluice/processor/request_input.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// From what a user's function returned or threw to an answer.
namespace sluice::processor {

/// One answer that is no stream.
template <class T>
concept answer_type =
  std::same_as<T, response> || std::same_as<T, std::string> || std::same_as<T, bytes> || codec::json_type<T>;

/// Throws if text is no UTF-8, or a response no valid HTTP.
void check_sendable(std::string_view text);
void check_sendable(const response& answer);

/// Throws if the value has no JSON form after all (NaN, text that is no UTF-8), or cannot be sent.
template <class T>
response make_answer(T&& value) {
  using type = std::remove_cvref_t<T>;
  if constexpr (std::same_as<type, response>) {
    check_sendable(value);
    return std::forward<T>(value);
  } else if constexpr (std::same_as<type, std::string>) {
    check_sendable(value);
    return {200, {{"Content-Type", "text/plain; charset=utf-8"}}, std::forward<T>(value)};
  } else if constexpr (std::same_as<type, bytes>) {
    return {200, {{"Content-Type", "application/octet-stream"}}, std::forward<T>(value).data};
  } else if constexpr (codec::optional_type<type>) {
    return value ? make_answer(*std::forward<T>(value)) : error_response(404, "not found");
  } else {
    response answer{200, {{"Content-Type", "application/json"}}, {}};
    if (auto done = codec::encode(value, answer.body); !done)
      throw std::runtime_error{"the result cannot be written: " + done.error().message};
    return answer;
  }
}

/// How a processor tells failures: `{"error": ...}`, and a collector `{"success": false, "error": ...}`.
struct failure_style {
  std::string processor; ///< its name, for the log
  bool is_collector = false;
};

response failure_answer(const failure_style& style, const bad_request& why);
response failure_answer(const failure_style& style, const guard_check::denial& why);

/// `http_error` keeps its status; anything else is a 500 that says only the request's id, and a line on
/// stderr with id and text, where the logs of a host come from.
response failure_answer(const failure_style& style, std::exception_ptr thrown, const std::string& request_id);

/// One line on stderr, which the logs of a host come from, that the id of a failure leads to.
void log_failure(const failure_style& style, const std::string& request_id, std::string_view text);

} // namespace sluice::processor
