#pragma once

#include <sluice/codec/labels.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

/// How the alternatives of a std::variant are told apart in JSON.
///
/// Structs by a member "type" that holds their tag, the others by the kind of JSON they are: null
/// (std::monostate), boolean, number, string, array, object. Two alternatives that look alike break the build.
namespace sluice::codec {

/// The member that tells structs apart.
constexpr std::string_view tag_member = "type";

/// A struct's tag: its name, or what its `static constexpr std::string_view sluice_tag` says.
template <class T>
constexpr std::string_view tag_of() noexcept {
  if constexpr (requires { T::sluice_tag; })
    return T::sluice_tag;
  else
    return type_name<T>();
}

namespace detail {

template <class T>
constexpr bool has_tag_field() noexcept {
  if constexpr (struct_type<T>)
    for (auto name : field_names_v<T>)
      if (name == tag_member)
        return true;
  return false;
}

template <class T>
constexpr std::string_view tag_or_empty() noexcept {
  if constexpr (struct_type<T>)
    return tag_of<T>();
  else
    return {};
}

template <class... T>
struct variant_check {
  static constexpr std::array kinds{kind_of<T>()...};
  static constexpr std::array<std::string_view, sizeof...(T)> tags{tag_or_empty<T>()...};

  static constexpr bool have_one_kind() {
    for (auto kind : kinds)
      if (kind == json_kind::nothing)
        return false;
    return true;
  }
  static constexpr bool are_told_apart() {
    for (std::size_t i = 0; i < kinds.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (kinds[i] == kinds[j] && (tags[i].empty() || tags[j].empty()))
          return false;
    return true;
  }
  static constexpr bool have_own_tags() {
    for (std::size_t i = 0; i < tags.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (!tags[i].empty() && tags[i] == tags[j])
          return false;
    return true;
  }
};

template <class T>
struct variant_check_of;
template <class... T>
struct variant_check_of<std::variant<T...>> : variant_check<T...> {
  static constexpr bool has_free_tags = !(has_tag_field<T>() || ...);
};

template <class T>
consteval void check_variant() {
  using check = variant_check_of<T>;
  static_assert(check::have_one_kind(),
                "sluice: an alternative of a std::variant cannot be a std::optional, pointer, variant or "
                "sluice::json_text; use std::monostate for null");
  static_assert(
    check::are_told_apart(),
    "sluice: two alternatives of this std::variant look alike in JSON, such as two kinds of number, "
    "or a map beside a struct: put one of them into a struct");
  static_assert(check::have_own_tags(),
                "sluice: two structs of this std::variant have the same name: give one a "
                "static constexpr std::string_view sluice_tag");
  static_assert(check::has_free_tags,
                "sluice: a struct of this std::variant has a field called \"type\", which is what tells its "
                "alternatives apart");
}

} // namespace detail

/// "one of circle, square".
template <class T>
std::string tags_label() {
  std::string text = "one of ";
  bool first = true;
  for (auto tag : detail::variant_check_of<T>::tags)
    if (!tag.empty())
      text.append(std::exchange(first, false) ? "" : ", ").append(tag);
  return text;
}

} // namespace sluice::codec
