#include "transport/http/answer.hpp"

#include "transport/http/gzip.hpp"
#include "transport/http/head_check.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

namespace sluice::http {

namespace {

constexpr std::size_t joined_bytes_max = 16u << 10; ///< a longer body is sent from where it is

void append_number(std::string& out, std::uint64_t value, int base = 10) {
  std::array<char, 20> digits;
  auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
  out.append(digits.data(), end);
}

/// Fields that the server makes itself.
bool is_ours(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 8> ours = {
    "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Date",
    "Server",         "X-Request-Id",      "Trailer",
  };
  return std::ranges::any_of(ours, [&](std::string_view mine) { return same_token(mine, name); });
}

bool has_no_body(unsigned status) noexcept { return status == 204 || status == 205 || status == 304; }

/// Behind the head of an answer that has no body. A 205 says so itself: to a client it is one of those that may have one.
void append_no_body(std::string& out, unsigned status) {
  out += status == 205 ? "Content-Length: 0\r\n\r\n" : "\r\n";
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_status_line(std::string& out, const response& answer) {
  if (answer.status == 200) {
    out += "HTTP/1.1 200 OK\r\nServer: sluice\r\nDate: ";
    return;
  }
  out += "HTTP/1.1 ";
  append_number(out, answer.status);
  out.append(" ").append(status_text(answer.status)).append("\r\nServer: sluice\r\nDate: ");
}

/// All of a head but what says where the body ends, and the empty line.
void append_head(std::string& out, const response& answer, const answer_form& form, std::string_view date,
                 bool keep_alive) {
  append_status_line(out, answer);
  out.append(date).append("\r\n");
  for (const auto& [name, value] : answer.headers)
    if (!is_ours(name))
      append_field(out, name, value);
  append_field(out, "X-Request-Id", form.request_id);
  if (!form.origin.empty())
    append_field(out, "Access-Control-Allow-Origin", form.origin);
  if (form.origin_varies)
    append_field(out, "Vary", "Origin");
  if (!keep_alive)
    out += "Connection: close\r\n";
  else if (!form.http_1_1)
    out += "Connection: keep-alive\r\n";
}

std::size_t head_bytes_about(const response& answer) noexcept {
  std::size_t sum = 256;
  for (const auto& [name, value] : answer.headers)
    sum += name.size() + value.size() + 4;
  return sum;
}

/// Compresses what is worth it. True if the answer depends on what the client takes.
void compress(response& answer, const answer_form& form) {
  if (answer.body.size() < form.gzip_bytes_min || has_no_body(answer.status) || answer.status == 206
      || answer.headers.contains("Content-Encoding"))
    return;
  auto type = answer.headers.find("Content-Type");
  if (!type || !worth_compressing(*type))
    return;
  answer.headers.add("Vary", "Accept-Encoding");
  if (!form.gzip)
    return;
  auto shorter = gzip(answer.body);
  if (!shorter)
    return;
  answer.body = std::move(*shorter);
  answer.headers.add("Content-Encoding", "gzip");
  // The bytes are others now, the meaning is the same: what a weak tag says.
  if (auto tag = answer.headers.find("ETag"); tag && tag->starts_with('"'))
    answer.headers.set("ETag", "W/" + std::string{*tag});
}

response unsendable() {
  return error_response(500,
                        "the answer of the route is no valid HTTP: look at its status and header fields");
}

} // namespace

wire_answer make_answer(response answer, const answer_form& form, std::string_view date) {
  if (find_flaw(answer))
    answer = unsendable();
  if (form.gzip_bytes_min > 0)
    compress(answer, form);
  wire_answer out;
  out.status = answer.status;
  out.keep_alive = form.keep_alive;
  bool joined = !form.head && answer.body.size() <= joined_bytes_max;
  out.head.reserve(head_bytes_about(answer) + (joined ? answer.body.size() : 0));
  append_head(out.head, answer, form, date, out.keep_alive);
  if (has_no_body(answer.status)) {
    append_no_body(out.head, answer.status);
    return out;
  }
  out.head += "Content-Length: ";
  append_number(out.head, answer.body.size());
  out.head += "\r\n\r\n";
  if (form.head)
    return out;
  out.body_bytes = answer.body.size();
  if (joined)
    out.head += answer.body;
  else
    out.body = std::move(answer.body);
  return out;
}

wire_answer make_stream_head(response head, const answer_form& form, std::string_view date) {
  if (find_flaw(head))
    return make_answer(unsendable(), form, date);
  wire_answer out;
  out.status = head.status;
  bool chunked = form.http_1_1;
  out.keep_alive = form.keep_alive && chunked;
  append_head(out.head, head, form, date, out.keep_alive);
  if (has_no_body(head.status)) {
    append_no_body(out.head, head.status);
    return out;
  }
  if (chunked)
    out.head += "Transfer-Encoding: chunked\r\n";
  out.head += "\r\n";
  out.complete = form.head;
  if (form.head || head.body.empty())
    return out;
  out.body_bytes = head.body.size();
  out.head += make_stream_part(std::move(head.body), chunked);
  return out;
}

std::string make_stream_part(std::string part, bool chunked) {
  if (!chunked || part.empty())
    return part;
  std::string out;
  out.reserve(part.size() + 12);
  append_number(out, part.size(), 16);
  out.append("\r\n").append(part).append("\r\n");
  return out;
}

std::string_view allowed_origin(std::string_view origin, const std::vector<std::string>& origins) noexcept {
  for (const auto& allowed : origins) {
    if (allowed == "*")
      return "*";
    if (allowed == origin)
      return origin;
  }
  return {};
}

std::string_view http_date() {
  thread_local std::time_t made_at = 0;
  thread_local std::array<char, 40> text;
  thread_local std::size_t size = 0;
  auto now = std::time(nullptr);
  if (now != made_at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    // Not strftime: its names follow the locale.
    size = static_cast<std::size_t>(std::snprintf(
      text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday], parts.tm_mday,
      months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec));
    made_at = now;
  }
  return {text.data(), size};
}

} // namespace sluice::http
