#include "runtime/cli/render.hpp"

#include "runtime/cli/format.hpp"
#include "runtime/cli/table.hpp"

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/json_writer.hpp>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cmath>

namespace sluice::cli {

namespace {

namespace pb = google::protobuf;
using field = pb::FieldDescriptor;

constexpr int no_index = -1;

std::string json_text(std::string_view text) {
  std::string json;
  codec::json_writer writer{json};
  if (!writer.string(text))
    json = "\"\"";
  return json;
}

std::string number_text(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

/// One value that is no message, as plain text. `index` of a repeated field or -1.
std::string scalar_text(const pb::Message& message, const field* which, int index) {
  const auto* reflection = message.GetReflection();
  auto get = [&](auto single, auto repeated) {
    return index == no_index ? (reflection->*single)(message, which)
                             : (reflection->*repeated)(message, which, index);
  };
  using r = pb::Reflection;
  switch (which->cpp_type()) {
  case field::CPPTYPE_INT32:
    return std::to_string(get(&r::GetInt32, &r::GetRepeatedInt32));
  case field::CPPTYPE_INT64:
    return std::to_string(get(&r::GetInt64, &r::GetRepeatedInt64));
  case field::CPPTYPE_UINT32:
    return std::to_string(get(&r::GetUInt32, &r::GetRepeatedUInt32));
  case field::CPPTYPE_UINT64:
    return std::to_string(get(&r::GetUInt64, &r::GetRepeatedUInt64));
  case field::CPPTYPE_DOUBLE:
    return number_text(get(&r::GetDouble, &r::GetRepeatedDouble));
  case field::CPPTYPE_FLOAT:
    return number_text(get(&r::GetFloat, &r::GetRepeatedFloat));
  case field::CPPTYPE_BOOL:
    return get(&r::GetBool, &r::GetRepeatedBool) ? "true" : "false";
  case field::CPPTYPE_ENUM:
    return get(&r::GetEnum, &r::GetRepeatedEnum)->name();
  case field::CPPTYPE_STRING:
    return get(&r::GetString, &r::GetRepeatedString);
  case field::CPPTYPE_MESSAGE:
    break;
  }
  return {};
}

const pb::Message& nested(const pb::Message& message, const field* which, int index) {
  const auto* reflection = message.GetReflection();
  return index == no_index ? reflection->GetMessage(message, which)
                           : reflection->GetRepeatedMessage(message, which, index);
}

void write_message(std::string& json, const pb::Message& message);

/// Text where it is text, otherwise {"base64": ...}.
void write_bytes(std::string& json, std::string_view bytes) {
  auto size_before = json.size();
  codec::json_writer writer{json};
  if (writer.string(bytes))
    return;
  json.resize(size_before);
  json += "{\"base64\":\"";
  codec::append_base64(json, bytes);
  json += "\"}";
}

void write_value(std::string& json, const pb::Message& message, const field* which, int index) {
  if (which->cpp_type() == field::CPPTYPE_MESSAGE)
    return write_message(json, nested(message, which, index));
  auto text = scalar_text(message, which, index);
  if (which->type() == field::TYPE_BYTES)
    write_bytes(json, text);
  else if (which->cpp_type() == field::CPPTYPE_STRING || which->cpp_type() == field::CPPTYPE_ENUM)
    json += json_text(text);
  else
    json += text;
}

/// A map field's entries, by key: protobuf keeps no order.
std::vector<const pb::Message*> map_entries(const pb::Message& message, const field* which) {
  std::vector<const pb::Message*> entries;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, which); ++i)
    entries.push_back(&nested(message, which, i));
  auto key_of = [](const pb::Message* entry) {
    return scalar_text(*entry, entry->GetDescriptor()->map_key(), no_index);
  };
  std::sort(entries.begin(), entries.end(),
            [&](const pb::Message* a, const pb::Message* b) { return key_of(a) < key_of(b); });
  return entries;
}

void write_map(std::string& json, const pb::Message& message, const field* which) {
  json += '{';
  bool first = true;
  for (const auto* entry : map_entries(message, which)) {
    json += first ? "" : ",";
    first = false;
    json += json_text(scalar_text(*entry, entry->GetDescriptor()->map_key(), no_index)) + ":";
    write_value(json, *entry, entry->GetDescriptor()->map_value(), no_index);
  }
  json += '}';
}

void write_message(std::string& json, const pb::Message& message) {
  const auto* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  json += '{';
  bool first = true;
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* which = type->field(i);
    if (which->has_presence() && !reflection->HasField(message, which))
      continue;
    json += (first ? "" : ",") + json_text(which->name()) + ":";
    first = false;
    if (which->is_map()) {
      write_map(json, message, which);
    } else if (which->is_repeated()) {
      json += '[';
      for (int at = 0; at < reflection->FieldSize(message, which); ++at) {
        json += at == 0 ? "" : ",";
        write_value(json, message, which, at);
      }
      json += ']';
    } else {
      write_value(json, message, which, no_index);
    }
  }
  json += '}';
}

std::string indented(const std::string& json) {
  auto text = codec::indent_json(json);
  return text.empty() || text.back() != '\n' ? text + "\n" : text;
}

bool is_empty(const pb::Message& message, const field* which) {
  const auto* reflection = message.GetReflection();
  if (which->is_repeated())
    return reflection->FieldSize(message, which) == 0;
  return !reflection->HasField(message, which);
}

void add_lines(std::string& lines, const pb::Message& message, const std::string& indent) {
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* which = type->field(i);
    if (is_empty(message, which))
      continue;
    constexpr std::string_view date_suffix = "_unix_ms";
    if (which->name().ends_with(date_suffix)) {
      auto name = which->name().substr(0, which->name().size() - date_suffix.size());
      lines += indent + name + ": " + date_text(message.GetReflection()->GetInt64(message, which)) + "\n";
      continue;
    }
    if (!which->is_repeated() && which->cpp_type() == field::CPPTYPE_MESSAGE) {
      std::string inner;
      add_lines(inner, nested(message, which, no_index), indent + "  ");
      if (!inner.empty())
        lines += indent + which->name() + ":\n" + inner;
      continue;
    }
    lines += indent + which->name() + ":";
    if (which->is_map()) {
      for (const auto* entry : map_entries(message, which))
        lines += " " + scalar_text(*entry, entry->GetDescriptor()->map_key(), no_index) + "="
                 + fit(scalar_text(*entry, entry->GetDescriptor()->map_value(), no_index), 0);
      lines += "\n";
    } else if (which->is_repeated()) {
      bool is_message = which->cpp_type() == field::CPPTYPE_MESSAGE;
      bool is_short = !is_message && which->cpp_type() != field::CPPTYPE_STRING;
      lines += is_short ? "" : "\n";
      for (int at = 0; at < message.GetReflection()->FieldSize(message, which); ++at)
        if (is_message) {
          std::string inner;
          add_lines(inner, nested(message, which, at), indent + "    ");
          lines += inner.replace(0, std::min(inner.size(), indent.size() + 4), indent + "  - ");
        } else if (is_short) {
          lines += " " + scalar_text(message, which, at);
        } else {
          lines += indent + "  " + fit(scalar_text(message, which, at), 0) + "\n";
        }
      lines += is_short ? "\n" : "";
    } else {
      auto text = scalar_text(message, which, no_index);
      if (text.find('\n') == std::string::npos) {
        lines += " " + fit(text, 0) + "\n";
        continue;
      }
      lines += "\n";
      for (std::size_t from = 0; from < text.size();) {
        auto end = std::min(text.find('\n', from), text.size());
        lines += indent + "  " + fit(std::string_view{text}.substr(from, end - from), 0) + "\n";
        from = end + 1;
      }
    }
  }
}

} // namespace

std::string to_json(const pb::Message& message) {
  std::string json;
  write_message(json, message);
  return indented(json);
}

std::string to_json_text(const pb::Message& message) {
  std::string json;
  write_message(json, message);
  return json;
}

std::string to_json(const std::vector<const pb::Message*>& messages) {
  std::string json = "[";
  for (const auto* message : messages) {
    json += json.size() > 1 ? "," : "";
    write_message(json, *message);
  }
  return indented(json + "]");
}

std::string to_lines(const pb::Message& message) {
  std::string lines;
  add_lines(lines, message, "");
  return lines;
}

std::optional<std::string> field_text(const pb::Message& message, std::string_view path) {
  auto dot = path.find('.');
  auto name = path.substr(0, dot);
  const auto* which = message.GetDescriptor()->FindFieldByName(std::string{name});
  if (which == nullptr)
    return std::nullopt;
  if (dot == std::string_view::npos) {
    if (which->is_repeated() || which->cpp_type() == field::CPPTYPE_MESSAGE)
      return std::nullopt;
    return scalar_text(message, which, no_index);
  }
  auto rest = path.substr(dot + 1);
  if (which->is_map()) {
    for (const auto* entry : map_entries(message, which))
      if (scalar_text(*entry, entry->GetDescriptor()->map_key(), no_index) == rest)
        return scalar_text(*entry, entry->GetDescriptor()->map_value(), no_index);
    return std::string{};
  }
  if (which->is_repeated() || which->cpp_type() != field::CPPTYPE_MESSAGE)
    return std::nullopt;
  return field_text(nested(message, which, no_index), rest);
}

std::vector<std::string_view> field_names(const pb::Message& message) {
  std::vector<std::string_view> names;
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i)
    if (!type->field(i)->is_repeated() && type->field(i)->cpp_type() != field::CPPTYPE_MESSAGE)
      names.push_back(type->field(i)->name());
  return names;
}

std::vector<std::string> map_names(const pb::Message& message) {
  std::vector<std::string> names;
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i)
    if (type->field(i)->is_map())
      names.push_back(type->field(i)->name());
  return names;
}

} // namespace sluice::cli
