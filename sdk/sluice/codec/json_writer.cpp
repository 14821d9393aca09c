#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>

#include <cmath>

namespace sluice::codec {

namespace {

void append_escaped(std::string& out, char c) {
  switch (c) {
  case '"':
    out += "\\\"";
    return;
  case '\\':
    out += "\\\\";
    return;
  case '\b':
    out += "\\b";
    return;
  case '\f':
    out += "\\f";
    return;
  case '\n':
    out += "\\n";
    return;
  case '\r':
    out += "\\r";
    return;
  case '\t':
    out += "\\t";
    return;
  default:
    break;
  }
  constexpr char digits[] = "0123456789abcdef";
  out += "\\u00";
  out.push_back(digits[(c >> 4) & 0xf]);
  out.push_back(digits[c & 0xf]);
}

} // namespace

bool json_writer::string(std::string_view value) {
  out_.push_back('"');
  for (std::size_t at = 0;;) {
    auto left = value.substr(at);
    auto plain = find_special(left);
    out_.append(left.substr(0, plain));
    at += plain;
    if (at == value.size())
      break;
    if (static_cast<unsigned char>(value[at]) < 0x80) {
      append_escaped(out_, value[at]);
      ++at;
      continue;
    }
    auto size = utf8_sequence(value.substr(at));
    if (size == 0)
      return refuse("not valid UTF-8 at byte " + std::to_string(at) + "; use sluice::bytes for binary data");
    out_.append(value.substr(at, size));
    at += size;
  }
  out_.push_back('"');
  return true;
}

namespace {

template <class T>
bool append_floating(json_writer& writer, std::string& out, T value) {
  if (!std::isfinite(value))
    return writer.refuse(std::string{"JSON has no number for "} + (std::isnan(value) ? "NaN" : "infinity"));
  char digits[64];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
  return true;
}

} // namespace

bool json_writer::floating(double value) { return append_floating(*this, out_, value); }

bool json_writer::floating(float value) { return append_floating(*this, out_, value); }

bool json_writer::any(std::string_view json) {
  json_reader reader{json, depth_};
  if (!reader.skip_value() || !reader.finish())
    return refuse(std::move(reader.error().message));
  append_compact(out_, json);
  return true;
}

bool json_writer::enter(char bracket) {
  if (++depth_ > depth_max)
    return refuse("nested deeper than " + std::to_string(depth_max) + " levels");
  out_.push_back(bracket);
  return true;
}

std::string indent_json(std::string_view json) {
  std::string out;
  std::size_t depth = 0;
  auto new_line = [&] { out.append("\n").append(depth * 2, ' '); };
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (in_string) {
      out.push_back(c);
      if (c == '\\')
        out.push_back(json[++i]);
      else if (c == '"')
        in_string = false;
      continue;
    }
    switch (c) {
    case '{':
    case '[': {
      out.push_back(c);
      bool is_empty = i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']');
      if (is_empty) {
        out.push_back(json[++i]);
        break;
      }
      ++depth;
      new_line();
      break;
    }
    case '}':
    case ']':
      --depth;
      new_line();
      out.push_back(c);
      break;
    case ',':
      out.push_back(c);
      new_line();
      break;
    case ':':
      out += ": ";
      break;
    case '"':
      in_string = true;
      out.push_back(c);
      break;
    default:
      out.push_back(c);
    }
  }
  return out;
}

} // namespace sluice::codec
