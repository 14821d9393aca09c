#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/schema_text.hpp>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <concepts>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// Protobuf messages in their JSON form, wherever a type with a JSON form can stand: as a record, a body, a field.
///
/// The one header of the SDK that knows protobuf; whoever includes it links it. The form is what protobuf says it is
/// (lowerCamelCase names, 64-bit integers as strings, enums by name, fields that have their default left out), and so is
/// what is refused: unknown fields are. Beyond that, members given twice, numbers that are not finite and enum numbers
/// without a name are refused. Its reader says what is wrong, but not at which path.
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
    return R"({"type":"integer","format":"uint32","minimum":0,"maximum":4294967295})";
  case FieldDescriptor::CPPTYPE_INT64:
    return R"({"type":"string","format":"int64","pattern":)"
           + quoted("^" + integer_pattern(INT64_MIN, INT64_MAX) + "$") + "}";
  case FieldDescriptor::CPPTYPE_UINT64:
    return R"({"type":"string","format":"uint64","pattern":)"
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

/// Why a message is not of its schema although protobuf has read it: "NaN" is no JSON number, and an enum has
/// names. Empty if it is. The well-known types have forms of their own.
inline std::string protobuf_mistake(const google::protobuf::Message& value) {
  using google::protobuf::FieldDescriptor;
  if (value.GetDescriptor()->full_name().starts_with("google.protobuf."))
    return {};
  const auto& look = *value.GetReflection();
  std::vector<const FieldDescriptor*> given;
  look.ListFields(value, &given);
  for (const auto* field : given) {
    const bool is_list = field->is_repeated();
    const int count = is_list ? look.FieldSize(value, field) : 1;
    for (int i = 0; i < count; ++i) {
      const char* wrong = nullptr;
      switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (!std::isfinite(is_list ? look.GetRepeatedDouble(value, field, i) : look.GetDouble(value, field)))
          wrong = "expected a finite number";
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        if (!std::isfinite(is_list ? look.GetRepeatedFloat(value, field, i) : look.GetFloat(value, field)))
          wrong = "expected a finite number";
        break;
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int number =
          is_list ? look.GetRepeatedEnumValue(value, field, i) : look.GetEnumValue(value, field);
        if (field->enum_type()->FindValueByNumber(number) == nullptr)
          wrong = "no value of this enum has this number";
        break;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (auto inner = protobuf_mistake(is_list ? look.GetRepeatedMessage(value, field, i)
                                                  : look.GetMessage(value, field));
            !inner.empty())
          return inner;
        break;
      default:
        break;
      }
      if (wrong != nullptr)
        return field->json_name() + ": " + wrong;
    }
  }
  return {};
}

/// What stands at a place of a message's JSON form.
struct protobuf_place {
  const google::protobuf::Descriptor* type =
    nullptr;           ///< of a message; none = all else, and what is not known
  bool is_map = false; ///< from any keys to such values

  /// The field that a member of it is, which has two names in JSON; none if it is none.
  const google::protobuf::FieldDescriptor* field(std::string_view key) const {
    if (type == nullptr || is_map || type->full_name().starts_with("google.protobuf."))
      return nullptr; // the well-known types have forms of their own
    for (int i = 0; i < type->field_count(); ++i)
      if (type->field(i)->json_name() == key || type->field(i)->name() == key)
        return type->field(i);
    return nullptr;
  }

  /// @param field that the member is, if it is one
  protobuf_place inside(const google::protobuf::FieldDescriptor* field) const {
    if (is_map)
      return {type, false};
    if (field == nullptr)
      return {};
    const auto* value = field->is_map() ? field->message_type()->map_value() : field;
    return {value->message_type(), field->is_map()};
  }
};

/// Goes through a value; false at a member that its object has before. protobuf takes the last one of those, or all.
inline bool has_members_once(json_reader& in, const protobuf_place& here) {
  switch (in.peek()) {
  case json_kind::object: {
    std::set<std::string, std::less<>> seen;
    if (!in.enter_object())
      return false;
    for (bool first = true;; first = false) {
      std::string_view key;
      const auto step = in.next_member(first, key);
      if (step != json_step::item)
        return step == json_step::end;
      const auto* field = here.field(key);
      if (!seen.emplace(field != nullptr ? std::string_view{field->name()} : key).second)
        return in.refuse("member '" + std::string{key.substr(0, 64)} + "' is given twice");
      if (!has_members_once(in, here.inside(field)))
        return false;
    }
  }
  case json_kind::array:
    if (!in.enter_array())
      return false;
    for (bool first = true;; first = false) {
      const auto step = in.next_element(first);
      if (step != json_step::item)
        return step == json_step::end;
      if (!has_members_once(in, here))
        return false;
    }
  default:
    return in.skip_value();
  }
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
    const auto name = std::string{Message::descriptor()->name()};
    json_reader members{text.text};
    if (!detail::has_members_once(members, {Message::descriptor()}))
      throw std::invalid_argument{"expected " + name + ": " + members.error().message};
    Message value;
    auto status = google::protobuf::util::JsonStringToMessage(text.text, &value);
    if (!status.ok())
      throw std::invalid_argument{"expected " + name + ": " + std::string{status.message()}};
    if (auto wrong = detail::protobuf_mistake(value); !wrong.empty())
      throw std::invalid_argument{"expected " + name + ": " + wrong};
    return value;
  }

  static std::string schema() { return detail::protobuf_schema(*Message::descriptor()); }
};

} // namespace sluice::codec
