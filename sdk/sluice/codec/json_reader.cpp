#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>

#include <charconv>

namespace sluice::codec {

namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Appends a code point as UTF-8.
void append_code_point(std::string& out, std::uint32_t code) {
  auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

/// End of the JSON number that starts at `at`, or nullptr if none does.
const char* scan_number(const char* at, const char* end) noexcept {
  auto digits = [&] {
    auto first = at;
    while (at != end && is_digit(*at))
      ++at;
    return at != first;
  };
  if (at != end && *at == '-')
    ++at;
  if (at != end && *at == '0')
    ++at;
  else if (!digits())
    return nullptr;
  if (at != end && *at == '.') {
    ++at;
    if (!digits())
      return nullptr;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end && (*at == '+' || *at == '-'))
      ++at;
    if (!digits())
      return nullptr;
  }
  return at;
}

} // namespace

std::string_view to_string(json_kind kind) noexcept {
  switch (kind) {
  case json_kind::null:
    return "null";
  case json_kind::boolean:
    return "boolean";
  case json_kind::number:
    return "number";
  case json_kind::string:
    return "string";
  case json_kind::array:
    return "array";
  case json_kind::object:
    return "object";
  case json_kind::nothing:
    break;
  }
  return "nothing";
}

void json_reader::skip_blanks() noexcept {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t'))
    ++at_;
}

bool json_reader::check_size() {
  constexpr auto size_bytes_max = limits::record_size_bytes_max;
  return static_cast<std::size_t>(end_ - begin_) <= size_bytes_max
         || refuse_bound("longer than " + std::to_string(size_bytes_max) + " bytes");
}

json_kind json_reader::peek() noexcept {
  skip_blanks();
  if (at_ == end_)
    return json_kind::nothing;
  const auto is = [this](std::string_view literal) {
    return std::string_view{at_, end_}.starts_with(literal);
  };
  switch (*at_) {
  case 'n':
    return is("null") ? json_kind::null : json_kind::nothing;
  case 't':
    return is("true") ? json_kind::boolean : json_kind::nothing;
  case 'f':
    return is("false") ? json_kind::boolean : json_kind::nothing;
  case '"':
    return json_kind::string;
  case '[':
    return json_kind::array;
  case '{':
    return json_kind::object;
  case '-':
    return json_kind::number;
  default:
    return is_digit(*at_) ? json_kind::number : json_kind::nothing;
  }
}

bool json_reader::refuse(std::string message) {
  error_.message = std::move(message);
  return false;
}

bool json_reader::refuse_bound(std::string message) {
  error_.is_syntax = true;
  return refuse(std::move(message));
}

bool json_reader::refuse_kind(std::string_view expected) {
  auto kind = peek();
  if (kind == json_kind::nothing)
    return syntax_error(expected);
  return refuse("expected " + std::string{expected} + ", got " + std::string{to_string(kind)});
}

bool json_reader::syntax_error(std::string_view expected) {
  std::string message{syntax_lead};
  if (std::string_view{at_, end_}.starts_with(byte_order_mark))
    return refuse_bound(message.append(std::to_string(at_ - begin_))
                          .append(": a byte order mark is no JSON; save the text as UTF-8 without it"));
  message.append(std::to_string(at_ - begin_)).append(": expected ").append(expected);
  return refuse_bound(message.append(at_ == end_ ? ", got the end of the text" : ""));
}

bool json_reader::read_null() {
  if (peek() != json_kind::null)
    return refuse_kind("null");
  at_ += 4;
  return true;
}

bool json_reader::read_bool(bool& out) {
  if (peek() != json_kind::boolean)
    return refuse_kind("boolean");
  out = *at_ == 't';
  at_ += out ? 4 : 5;
  return true;
}

bool json_reader::read_number(std::string_view& out, std::string_view expected) {
  if (peek() != json_kind::number)
    return refuse_kind(expected);
  auto end = scan_number(at_, end_);
  if (end == nullptr)
    return syntax_error("a number");
  out = {at_, end};
  at_ = end;
  return true;
}

bool json_reader::read_string(std::string& out) {
  if (peek() != json_kind::string)
    return refuse_kind("string");
  out.clear();
  return scan_string(&out);
}

// Reads from the opening quote to the closing one; `out` null = only check.
bool json_reader::scan_string(std::string* out) {
  ++at_;
  for (;;) {
    auto plain = find_special({at_, end_});
    if (out != nullptr)
      out->append(at_, plain);
    at_ += plain;
    if (at_ == end_)
      return syntax_error("a closing '\"'");
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ == '\\') {
      if (!scan_escape(out))
        return false;
      continue;
    }
    if (static_cast<unsigned char>(*at_) < 0x20)
      return syntax_error("control characters in a string to be escaped");
    auto size = utf8_sequence({at_, end_});
    if (size == 0)
      return syntax_error("a string in UTF-8");
    if (out != nullptr)
      out->append(at_, size);
    at_ += size;
  }
}

bool json_reader::scan_hex4(std::uint32_t& out) {
  if (end_ - at_ < 4)
    return syntax_error("four hex digits");
  auto [stop, code] = std::from_chars(at_, at_ + 4, out, 16);
  if (code != std::errc{} || stop != at_ + 4)
    return syntax_error("four hex digits");
  at_ = stop;
  return true;
}

bool json_reader::scan_escape(std::string* out) {
  ++at_;
  if (at_ == end_)
    return syntax_error("an escaped character");
  std::uint32_t code = 0;
  switch (*at_) {
  case '"':
  case '\\':
  case '/':
    code = static_cast<unsigned char>(*at_);
    break;
  case 'b':
    code = '\b';
    break;
  case 'f':
    code = '\f';
    break;
  case 'n':
    code = '\n';
    break;
  case 'r':
    code = '\r';
    break;
  case 't':
    code = '\t';
    break;
  case 'u':
    break;
  default:
    return syntax_error("an escaped character");
  }
  if (*at_++ == 'u') {
    if (!scan_hex4(code))
      return false;
    if (code >= 0xdc00 && code <= 0xdfff)
      return syntax_error("a high surrogate before a low one");
    if (code >= 0xd800 && code <= 0xdbff) {
      std::uint32_t low = 0;
      if (!std::string_view{at_, end_}.starts_with("\\u"))
        return syntax_error("a low surrogate");
      at_ += 2;
      if (!scan_hex4(low))
        return false;
      if (low < 0xdc00 || low > 0xdfff)
        return syntax_error("a low surrogate");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  if (out != nullptr)
    append_code_point(*out, code);
  return true;
}

bool json_reader::enter() {
  if (++depth_ > depth_max)
    return refuse_bound("nested deeper than " + std::to_string(depth_max) + " levels");
  ++at_;
  return true;
}

bool json_reader::enter_array(std::string_view expected) {
  return peek() == json_kind::array ? enter() : refuse_kind(expected);
}

json_step json_reader::next_element(bool first) {
  skip_blanks();
  if (at_ != end_ && *at_ == ']') {
    ++at_;
    --depth_;
    return json_step::end;
  }
  if (first)
    return json_step::item;
  if (at_ == end_ || *at_ != ',') {
    syntax_error("',' or ']'");
    return json_step::error;
  }
  ++at_;
  skip_blanks();
  if (at_ != end_ && *at_ == ']') {
    syntax_error("a value");
    return json_step::error;
  }
  return json_step::item;
}

bool json_reader::enter_object(std::string_view expected) {
  return peek() == json_kind::object ? enter() : refuse_kind(expected);
}

json_step json_reader::next_member(bool first, std::string_view& key) {
  skip_blanks();
  if (at_ != end_ && *at_ == '}') {
    ++at_;
    --depth_;
    return json_step::end;
  }
  if (!first) {
    if (at_ == end_ || *at_ != ',') {
      syntax_error("',' or '}'");
      return json_step::error;
    }
    ++at_;
    skip_blanks();
  }
  return read_key(key) ? json_step::item : json_step::error;
}

bool json_reader::read_key(std::string_view& key) {
  if (at_ == end_ || *at_ != '"')
    return syntax_error("a member name");
  auto plain = find_special({at_ + 1, end_});
  if (at_ + 1 + plain != end_ && at_[1 + plain] == '"') {
    key = {at_ + 1, plain};
    at_ += plain + 2;
  } else {
    scratch_.clear();
    if (!scan_string(&scratch_))
      return false;
    key = scratch_;
  }
  skip_blanks();
  if (at_ == end_ || *at_ != ':')
    return syntax_error("':'");
  ++at_;
  return true;
}

bool json_reader::skip_value() {
  switch (peek()) {
  case json_kind::null:
    return read_null();
  case json_kind::boolean: {
    bool ignored = false;
    return read_bool(ignored);
  }
  case json_kind::number: {
    std::string_view ignored;
    return read_number(ignored, "number");
  }
  case json_kind::string:
    return scan_string(nullptr);
  case json_kind::array: {
    if (!enter_array())
      return false;
    for (bool first = true;; first = false) {
      auto step = next_element(first);
      if (step != json_step::item)
        return step == json_step::end;
      if (!skip_value())
        return false;
    }
  }
  case json_kind::object: {
    if (!enter_object())
      return false;
    for (bool first = true;; first = false) {
      std::string_view key;
      auto step = next_member(first, key);
      if (step != json_step::item)
        return step == json_step::end;
      if (!skip_value())
        return false;
    }
  }
  case json_kind::nothing:
    break;
  }
  return syntax_error("a value");
}

bool json_reader::read_any(std::string& out) {
  skip_blanks();
  auto first = at_;
  if (!skip_value())
    return false;
  out.clear();
  append_compact(out, {first, at_});
  return true;
}

bool json_reader::find_string(std::string_view name, std::string& out, std::string_view expected) {
  if (!enter_object())
    return false;
  for (bool first = true;; first = false) {
    std::string_view key;
    switch (next_member(first, key)) {
    case json_step::error:
      return false;
    case json_step::end:
      refuse("missing, expected " + std::string{expected});
      error_.under_field(name);
      return false;
    case json_step::item:
      break;
    }
    if (key == name) {
      if (peek() == json_kind::string ? read_string(out) : refuse_kind(expected))
        return true;
      error_.under_field(name);
      return false;
    }
    if (!skip_value())
      return false;
  }
}

void append_compact(std::string& out, std::string_view json) {
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (in_string && c == '\\')
      out.push_back(json[i++]);
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
      continue;
    out.push_back(json[i]);
  }
}

bool json_reader::finish() {
  skip_blanks();
  return at_ == end_ || syntax_error("nothing after the value");
}

} // namespace sluice::codec
