#include "transport/http/request_reader.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <optional>

namespace sluice::http {

namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast::http::error;

std::string_view to_std(beast::string_view text) noexcept { return {text.data(), text.size()}; }

/// One request as Beast calls it out.
class message final : public beast::http::basic_parser<true> {
public:
  explicit message(request_reader::head& into) : into_(into) {
    header_limit(std::numeric_limits<std::uint32_t>::max()); // `head_scan` bounds it
    body_limit(boost::none);
  }

  const head_facts& facts() const noexcept { return facts_; }
  const std::optional<refusal>& refused() const noexcept { return refused_; }

private:
  void refuse(refusal why, error_code& ec) {
    refused_ = why;
    ec = error::bad_field; // any: `refused` is looked at first
  }

  void on_request_impl(beast::http::verb, beast::string_view name, beast::string_view target, int version,
                       error_code& ec) override {
    facts_.http_1_1 = version == 11;
    auto known = method_from(to_std(name));
    if (!known) { // to HTTP it may be; no route has it. 501 would say that the server is at fault
      if (target_parts asked; !split_target(to_std(target), false, asked))
        into_.request.path = asked.path; // for what it does allow
      return refuse({405, "no route has this method"}, ec);
    }
    into_.request.method = *known;
    target_parts parts;
    if (auto bad = split_target(to_std(target), *known == method::options, parts))
      return refuse(*bad, ec);
    into_.request.path = parts.path;
    into_.request.query = parts.query;
    authority_ = parts.authority;
  }

  void on_field_impl(beast::http::field name, beast::string_view name_text, beast::string_view value_text,
                     error_code&) override {
    auto value = to_std(value_text);
    switch (name) {
    case beast::http::field::host:
      ++facts_.hosts;
      facts_.host_valid = facts_.host_valid && valid_host(value);
      if (!authority_.empty())
        value = authority_;
      break;
    case beast::http::field::content_length:
      ++facts_.content_lengths;
      facts_.content_length_plain =
        !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
      break;
    case beast::http::field::transfer_encoding:
      ++facts_.transfer_encodings;
      facts_.chunked_only = same_token(value, "chunked");
      return; // is undone when the request is handed on
    case beast::http::field::expect:
      ++facts_.expects;
      facts_.expects_continue = same_token(value, "100-continue");
      break;
    default:
      break;
    }
    into_.request.headers.add(std::string{to_std(name_text)}, std::string{value});
  }

  // The body is not Beast's.
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, error_code&) override { return 0; }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  request_reader::head& into_;
  head_facts facts_;
  std::optional<refusal> refused_;
  std::string_view authority_;
};

/// Beast has one error for every version that is not 1.0 or 1.1, and for what is no version.
bool names_other_version(std::string_view head) noexcept {
  auto line = head.substr(0, head.find("\r\n"));
  auto version = line.substr(line.rfind(' ') + 1);
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return version != "HTTP/1.0" && version != "HTTP/1.1" && version.size() == 8 && version.starts_with("HTTP/")
         && digit(version[5]) && version[6] == '.' && digit(version[7]);
}

std::string_view text_of(const error_code& ec) noexcept {
  switch (static_cast<error>(ec.value())) {
  case error::bad_method:
    return "the method is not valid: it is one word, such as GET";
  case error::bad_target:
    return bad_target_text;
  case error::bad_version:
    return "the request line is not valid: it is METHOD, target and HTTP/1.1, with one space between";
  case error::bad_field:
    return "the name of a header field is not valid: letters, digits and -, up to its colon";
  case error::bad_value:
    return "the value of a header field is not valid: it has no control characters";
  case error::bad_content_length:
  case error::multiple_content_length:
    return "the Content-Length is not valid: it is there once, as a decimal number";
  case error::bad_transfer_encoding:
    return "the Transfer-Encoding is not valid: the only one known here is chunked";
  default:
    return "the request is not valid";
  }
}

} // namespace

std::optional<refusal> request_reader::read_head(std::string_view bytes) {
  if (auto refused = scan_.advance(bytes, within_))
    return refused;
  if (scan_.head_bytes() == 0)
    return std::nullopt;
  auto head = bytes.substr(0, scan_.head_bytes());
  head_.request.headers.reserve(8);
  message parsed{head_};
  error_code ec;
  auto used = parsed.put({head.data(), head.size()}, ec);
  if (parsed.refused())
    return parsed.refused();
  if (ec == error::bad_version && names_other_version(head))
    return refusal{505, "the versions known here are HTTP/1.0 and HTTP/1.1"};
  if (ec)
    return refusal{400, std::string{text_of(ec)}};
  if (!parsed.is_header_done() || used != head.size())
    return refusal{400, "the request is not valid"};
  const auto& facts = parsed.facts();
  if (auto refused = check_facts(facts))
    return refused;
  head_done_ = true;
  head_.http_1_1 = facts.http_1_1;
  head_.keep_alive = parsed.keep_alive();
  head_.wants_upgrade = facts.http_1_1 && parsed.upgrade(); // HTTP/1.0 has none (RFC 9110 §7.8)
  head_.chunked = parsed.chunked();
  head_.content_length = head_.chunked ? 0 : parsed.content_length().value_or(0);
  head_.has_body = head_.chunked || head_.content_length > 0;
  head_.expects_continue = facts.expects_continue && facts.http_1_1;
  done_ = !head_.has_body;
  return std::nullopt;
}

std::optional<refusal> request_reader::read_body(std::string_view bytes, std::size_t& consumed) {
  if (!head_.chunked)
    return read_plain_body(bytes, consumed);
  auto refused = chunks_.advance(bytes, consumed, head_.request.body, body_bytes_max_, within_);
  done_ = chunks_.done();
  return refused;
}

std::optional<refusal> request_reader::read_plain_body(std::string_view bytes, std::size_t& consumed) {
  consumed = 0;
  if (head_.content_length > body_bytes_max_)
    return body_too_large(body_bytes_max_);
  // Believed a little: what is only announced costs no memory.
  constexpr std::uint64_t reserve_max = 64u << 10;
  auto& body = head_.request.body;
  if (body.empty())
    body.reserve(static_cast<std::size_t>(std::min(head_.content_length, reserve_max)));
  auto left = head_.content_length - body.size();
  consumed = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
  body.append(bytes.substr(0, consumed));
  done_ = consumed == left;
  return std::nullopt;
}

void request_reader::next() {
  scan_ = {};
  head_ = {};
  chunks_ = {};
  body_bytes_max_ = 0;
  head_done_ = false;
  done_ = false;
}

} // namespace sluice::http
