#pragma once

#include <sluice/codec/types.hpp>

#include <string>

/// What types are called in errors and descriptions.
namespace sluice::codec {

namespace detail {

template <class... T, class Label>
std::string join_labels(std::variant<T...>*, Label label) {
  std::string text;
  auto add = [&](const std::string& one) {
    if (text.find(one) == text.npos)
      text.append(text.empty() ? "" : " or ").append(one);
  };
  (add(label(static_cast<T*>(nullptr))), ...);
  return text;
}

} // namespace detail

/// What a type is called towards people: "order", "list of item", "integer".
template <class T>
std::string type_label() {
  if constexpr (adapted_type<T>)
    return std::string{type_name<T>()};
  else if constexpr (std::same_as<T, std::monostate>)
    return "null";
  else if constexpr (std::same_as<T, json_text>)
    return "JSON";
  else if constexpr (std::same_as<T, bool>)
    return "boolean";
  else if constexpr (integer_type<T>)
    return "integer";
  else if constexpr (floating_type<T>)
    return "number";
  else if constexpr (optional_type<T>)
    return type_label<typename T::value_type>();
  else if constexpr (pointer_type<T>)
    return type_label<std::remove_const_t<typename T::element_type>>();
  else if constexpr (variant_type<T>)
    return detail::join_labels(static_cast<T*>(nullptr), []<class A>(A*) { return type_label<A>(); });
  else if constexpr (time_type<T>)
    return "time";
  else if constexpr (duration_type<T>)
    return "duration";
  else if constexpr (tuple_type<T>)
    return "tuple";
  else if constexpr (map_type<T>)
    return "map of " + type_label<typename T::mapped_type>();
  else if constexpr (fixed_array_type<T> || list_type<T>)
    return "list of " + type_label<typename T::value_type>();
  else if constexpr (std::same_as<T, std::string>)
    return "string";
  else
    return std::string{type_name<T>()};
}

/// What an error says was expected.
template <class T>
std::string expected_label() {
  if constexpr (adapted_type<T>) {
    return expected_label<typename adapter<T>::form>();
  } else if constexpr (optional_type<T>) {
    return expected_label<typename T::value_type>();
  } else if constexpr (pointer_type<T>) {
    return expected_label<std::remove_const_t<typename T::element_type>>();
  } else if constexpr (variant_type<T>) {
    return detail::join_labels(static_cast<T*>(nullptr), []<class A>(A*) { return expected_label<A>(); });
  } else if constexpr (std::same_as<T, json_text>) {
    return "a value";
  } else if constexpr (std::is_enum_v<T>) {
    constexpr std::size_t shown_max = 12;
    std::string text = "one of ";
    std::size_t shown = 0;
    for (const auto& entry : enum_entries_v<T>) {
      if (shown == shown_max)
        return text += ", ...";
      text.append(shown++ == 0 ? "" : ", ").append(entry.name);
    }
    return text;
  } else if constexpr (time_type<T>) {
    return is_date<T>() ? "date in RFC 3339 such as 2024-05-01"
                        : "time in RFC 3339 such as 2024-05-01T12:34:56Z";
  } else if constexpr (std::same_as<T, bytes>) {
    return "string in base64";
  } else if constexpr (duration_type<T>) {
    return expected_label<typename T::rep>();
  } else if constexpr (fixed_array_type<T> || tuple_type<T> || list_type<T>) {
    return "array";
  } else if constexpr (map_type<T> || struct_type<T>) {
    return "object";
  } else {
    return type_label<T>();
  }
}

/// How a document of this type is called at the front of an error's path: a struct by its
/// name in lower case, everything else "value".
template <class T>
std::string root_label() {
  if constexpr (!struct_type<T> && !adapted_type<T>)
    return "value";
  std::string name{type_name<T>()};
  for (char& c : name)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return name;
}

} // namespace sluice::codec
