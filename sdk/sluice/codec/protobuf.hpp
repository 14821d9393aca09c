#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/codec/schema_text.hpp>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <concepts>
#include <stdexcept>
#include <string>

/// Protobuf messages in their JSON form, wherever a type with a JSON form can stand: as a record, a body, a field.
///
/// The one header of the SDK that knows protobuf; whoever includes it links it. The form is what protobuf says it is
/// (lowerCamelCase names, 64-bit integers as strings, enums by name, fields that have their default left out), and so is
/// what is refused: unknown fields are. Its reader says what is wrong, but not at which path.
namespace sluice::codec {

namespace detail {

inline std::string protobuf_schema(const google::protobuf::FieldDescriptor& field) {
  using google::protobuf::FieldDescriptor;
  switch (field.cpp_type()) {
  case FieldDescriptor::CPPTYPE_BOOL:
    return R"({"type":"boolean"})";
  case FieldDescriptor::CPPTYPE_INT32:
    return R"({"type":"integer","format":"int32","minimum":-2147483648,"maximum":2147483647})";
  case FieldDescriptor::CPPTYPE_UINT32:
    return R"({"type":"integer","format":"int32","minimum":0,"maximum":4294967295})";
  case FieldDescriptor::CPPTYPE_INT64:
    return R"({"type":"string","format":"int64","pattern":)"
           + quoted("^" + integer_pattern(INT64_MIN, INT64_MAX) + "$") + "}";
  case FieldDescriptor::CPPTYPE_UINT64:
    return R"({"type":"string","format":"int64","pattern":)"
           + quoted("^" + integer_pattern(0, UINT64_MAX) + "$") + "}";
  case FieldDescriptor::CPPTYPE_DOUBLE:
  case FieldDescriptor::CPPTYPE_FLOAT:
    return R"({"type":"number"})";
  case FieldDescriptor::CPPTYPE_STRING:
    return field.type() == FieldDescriptor::TYPE_BYTES ? bytes_schema() : R"({"type":"string"})";
  case FieldDescriptor::CPPTYPE_ENUM: {
    std::string names;
    for (int i = 0; i < field.enum_type()->value_count(); ++i)
      names.append(i == 0 ? "" : ",").append(quoted(field.enum_type()->value(i)->name()));
    return R"({"type":"string","enum":[)" + names + "]}";
  }
  case FieldDescriptor::CPPTYPE_MESSAGE:
    break; // not followed: messages may contain themselves, and the well-known ones have forms of their own
  }
  return "{}";
}

/// What is written, and the part of what is read that a client should keep to: protobuf reads more than that, such
/// as numbers within strings.
inline std::string protobuf_schema(const google::protobuf::Descriptor& type) {
  if (type.full_name().starts_with("google.protobuf."))
    return "{}";
  std::string properties;
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    auto text = protobuf_schema(field);
    if (field.is_map())
      text = R"({"type":"object","additionalProperties":)"
             + protobuf_schema(*field.message_type()->map_value()) + "}";
    else if (field.is_repeated())
      text = R"({"type":"array","items":)" + text + "}";
    properties.append(i == 0 ? "" : ",").append(quoted(field.json_name())).append(":").append(text);
  }
  return R"({"type":"object","properties":{)" + properties + R"(},"additionalProperties":false})";
}

} // namespace detail

template <std::derived_from<google::protobuf::Message> Message>
struct adapter<Message> {
  using form = json_text;

  static form to(const Message& value) {
    form text;
    text.text.clear();
    auto status = google::protobuf::util::MessageToJsonString(value, &text.text);
    if (!status.ok())
      throw std::runtime_error{std::string{status.message()}};
    return text;
  }

  static Message from(form text) {
    Message value;
    auto status = google::protobuf::util::JsonStringToMessage(text.text, &value);
    if (!status.ok())
      throw std::invalid_argument{"expected " + Message::descriptor()->name() + ": "
                                  + std::string{status.message()}};
    return value;
  }

  static std::string schema() { return detail::protobuf_schema(*Message::descriptor()); }
};

} // namespace sluice::codec
