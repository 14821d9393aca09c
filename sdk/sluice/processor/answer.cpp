#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/processor/answer.hpp>

#include <iostream>

namespace sluice::processor {

namespace {

/// The JSON object of a failure, member by member.
class failure_object {
public:
  explicit failure_object(const failure_style& style) {
    if (style.is_collector)
      text_ = R"({"success":false)";
  }

  failure_object& add(std::string_view name, std::string_view value) {
    begin(name);
    codec::json_writer writer{text_};
    static_cast<void>(writer.string(codec::to_utf8(value))); // fails for what is no UTF-8 only
    return *this;
  }

  failure_object& add(std::string_view name, std::size_t value) {
    begin(name);
    text_ += std::to_string(value);
    return *this;
  }

  response answer(unsigned status) {
    return {status, {{"Content-Type", "application/json"}}, std::move(text_) + "}"};
  }

private:
  void begin(std::string_view name) {
    text_.append(text_.empty() ? "{\"" : ",\"").append(name).append("\":");
  }

  std::string text_;
};

/// One line of a log: what would end or garble it becomes a blank.
std::string as_line(std::string_view text) {
  auto line = codec::to_utf8(text.substr(0, limits::error_text_bytes_max));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = ' ';
  return line;
}

response internal_error(const failure_style& style, const std::string& request_id, std::string_view text) {
  log_failure(style, request_id, text);
  return failure_object{style}.add("error", "internal error").add("id", request_id).answer(500);
}

} // namespace

void check_sendable(std::string_view text) {
  if (!codec::is_utf8(text))
    throw std::runtime_error{
      "the result cannot be sent: text that is not valid UTF-8; use sluice::bytes for binary data"};
}

void check_sendable(const response& answer) {
  if (const auto flaw = find_flaw(answer))
    throw std::runtime_error{"the response is no valid HTTP: " + *flaw};
}

void log_failure(const failure_style& style, const std::string& request_id, std::string_view text) {
  // In one piece, so that lines of several threads do not mix.
  std::cerr << "error: processor \"" + style.processor + "\": request " + as_line(request_id) + ": "
                 + as_line(text) + "\n";
}

response failure_answer(const failure_style& style, const bad_request& why) {
  failure_object object{style};
  object.add("error", why.message);
  if (why.line > 0)
    object.add("byte", why.offset).add("line", why.line).add("column", why.column);
  if (!why.path.empty())
    object.add("path", why.path);
  if (!why.where.empty())
    object.add("in", why.where);
  return object.answer(why.status);
}

response failure_answer(const failure_style& style, const guard_check::denial& why) {
  auto answer = failure_object{style}.add("error", why.text).answer(why.status);
  if (!why.challenge.empty())
    answer.headers.add("WWW-Authenticate", why.challenge);
  return answer;
}

response failure_answer(const failure_style& style, std::exception_ptr thrown,
                        const std::string& request_id) {
  try {
    std::rethrow_exception(thrown);
  } catch (const http_error& e) {
    if (e.status() >= 500)
      log_failure(style, request_id, e.what());
    return failure_object{style}.add("error", e.what()).answer(e.status());
  } catch (const std::exception& e) {
    return internal_error(style, request_id, e.what());
  } catch (...) {
    return internal_error(style, request_id, "an exception that is no std::exception");
  }
}

} // namespace sluice::processor
