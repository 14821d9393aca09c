#pragma once

#include <sluice/codec/defaults.hpp>
#include <sluice/codec/number_text.hpp>
#include <sluice/codec/schema_text.hpp>

#include <boost/pfr/core.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// What JSON a type reads and writes, as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it).
///
/// A schema allows what `decode` reads and forbids what it refuses, but for: members that are given twice and
/// nesting below 32 levels, which JSON Schema has no words for; dates that a month does not have, which only its
/// `format` forbids; and times in the first and last year of a type's range, of which some are read that the
/// pattern forbids.
namespace sluice::codec {

/// A type's name as a component of an OpenAPI document, with its namespaces: "shop.order"; what is nameless in it
/// is left out. Two types of one name differ in a number that the set of schemas adds.
std::string component_name(std::string_view pretty_type);

/// Schemas that refer to each other: structs are components and named once, so that they may contain themselves.
/// One thread.
class schema_set {
public:
  /// The schema of `T` as JSON text. The structs it contains are among `components` afterwards.
  template <class T>
  std::string of();

  /// By name: what "#/components/schemas/NAME" refers to. JSON text.
  const std::map<std::string, std::string>& components() const noexcept { return components_; }

private:
  template <class T>
  std::string of_list();
  template <class T>
  std::string of_variant();
  template <class T, bool Tagged>
  std::string of_struct();
  template <class T, bool Tagged, std::size_t... I>
  std::string object_schema(std::index_sequence<I...>);

  /// The component of a type, by the compiler's own text for it; `is_new` if it has yet to be described.
  std::string name_of(const std::string& pretty_type, bool& is_new);

  std::map<std::string, std::string> components_;
  std::map<std::string, std::string> names_;
};

/// A schema that stands alone, with the components it refers to.
struct schema_text {
  std::string schema;
  std::map<std::string, std::string> components;
};

template <class T>
schema_text schema() {
  schema_set set;
  auto text = set.of<T>();
  return {std::move(text), set.components()};
}

/// The schema of a value that stands alone as text (`from_text`): what an optional holds when it is there.
template <class T>
std::string text_schema() {
  if constexpr (optional_type<T>)
    return text_schema<typename T::value_type>();
  else
    return schema<T>().schema;
}

namespace detail {

std::string reference_to(std::string_view component);

template <class T>
std::string integer_schema() {
  using limits = std::numeric_limits<T>;
  std::string text = R"({"type":"integer")";
  if constexpr (sizeof(T) >= 4) // as in OpenAPI's registry of formats
    text.append(std::is_signed_v<T> ? R"(,"format":"int)" : R"(,"format":"uint)")
      .append(sizeof(T) == 4 ? "32\"" : "64\"");
  return text + R"(,"minimum":)" + std::to_string(limits::min()) + R"(,"maximum":)"
         + std::to_string(limits::max()) + "}";
}

template <class T>
std::string floating_schema() {
  // A double has no bound to state: whoever reads the document reads it as a double, too.
  std::string text = R"({"type":"number","format":)";
  if constexpr (std::same_as<T, float>)
    return text.append(R"("float","exclusiveMinimum":-)")
             .append(float_bound)
             .append(R"(,"exclusiveMaximum":)")
             .append(float_bound)
           + "}";
  return text + R"("double"})";
}

template <class T>
std::string duration_schema() {
  using period = typename T::period;
  std::string text;
  if constexpr (floating_type<typename T::rep>)
    text = floating_schema<typename T::rep>();
  else
    text = integer_schema<typename T::rep>();
  constexpr auto is = []<class Unit>(Unit) { return std::ratio_equal_v<period, typename Unit::period>; };
  std::string unit = std::to_string(period::num) + "/" + std::to_string(period::den) + " seconds";
  if (is(std::chrono::nanoseconds{}))
    unit = "nanoseconds";
  else if (is(std::chrono::microseconds{}))
    unit = "microseconds";
  else if (is(std::chrono::milliseconds{}))
    unit = "milliseconds";
  else if (is(std::chrono::seconds{}))
    unit = "seconds";
  else if (is(std::chrono::minutes{}))
    unit = "minutes";
  else if (is(std::chrono::hours{}))
    unit = "hours";
  else if (is(std::chrono::days{}))
    unit = "days";
  return with_member(std::move(text), "description", sluice::codec::quoted(unit));
}

/// Of a system clock's time. Its ends are moments of a year like any other, so that this year is not whole.
template <class T>
std::string clock_schema() {
  using period = typename T::period;
  time_range range;
  for (auto den = period::den; den > 1; den /= 10)
    ++range.decimals;
  range.is_whole_minutes = period::num % 60 == 0;
  range.is_whole_hours = period::num % 3600 == 0;
  std::string min;
  std::string max;
  using days = std::chrono::sys_days;
  auto year_of = [](T at) {
    auto day = std::chrono::floor<std::chrono::days>(at);
    return static_cast<int>(std::chrono::year_month_day{days{day}}.year());
  };
  if (append_time(min, to_moment(T::min()))) {
    range.year_min = static_cast<unsigned>(year_of(T::min())) + 1;
    range.exactly_min = min;
  }
  if (append_time(max, to_moment(T::max()))) {
    range.year_max = static_cast<unsigned>(year_of(T::max())) - 1;
    range.exactly_max = max;
  }
  return time_schema(range);
}

template <class T>
std::string enum_schema() {
  std::string names;
  for (const auto& entry : enum_entries_v<T>)
    names.append(names.empty() ? "" : ",").append(quoted(entry.name));
  return R"({"type":"string","enum":[)" + names + "]}";
}

/// What stands alone; `T` is none of the forms that contain others.
template <class T>
std::string scalar_schema() {
  if constexpr (std::same_as<T, bool>)
    return R"({"type":"boolean"})";
  else if constexpr (integer_type<T>)
    return integer_schema<T>();
  else if constexpr (floating_type<T>)
    return floating_schema<T>();
  else if constexpr (duration_type<T>)
    return duration_schema<T>();
  else if constexpr (std::is_enum_v<T>)
    return enum_schema<T>();
  else if constexpr (is_date<T>())
    return date_schema();
  else if constexpr (time_type<T>)
    return clock_schema<T>();
  else if constexpr (std::same_as<T, bytes>)
    return bytes_schema();
  else if constexpr (std::same_as<T, std::monostate>)
    return R"({"type":"null"})";
  else if constexpr (std::same_as<T, json_text>)
    return "{}";
  else
    return R"({"type":"string"})";
}

/// What the names of a map's members may be; empty for any.
template <class K>
std::string key_schema() {
  if constexpr (std::is_enum_v<K>)
    return enum_schema<K>();
  else if constexpr (integer_type<K>)
    return R"({"pattern":)"
           + quoted("^" + integer_pattern(std::numeric_limits<K>::min(), std::numeric_limits<K>::max()) + "$")
           + "}";
  else
    return {};
}

} // namespace detail

template <class T>
std::string schema_set::of() {
  static_assert(json_type<T>, "sluice: this type has no JSON form");
  if constexpr (adapted_type<T>) {
    if constexpr (requires {
                    { adapter<T>::schema() } -> std::convertible_to<std::string>;
                  })
      return adapter<T>::schema();
    else
      return of<typename adapter<T>::form>();
  } else if constexpr (optional_type<T>) {
    return R"({"anyOf":[)" + of<typename T::value_type>() + R"(,{"type":"null"}]})";
  } else if constexpr (pointer_type<T>) {
    return R"({"anyOf":[)" + of<std::remove_const_t<typename T::element_type>>() + R"(,{"type":"null"}]})";
  } else if constexpr (variant_type<T>) {
    return of_variant<T>();
  } else if constexpr (map_type<T>) {
    auto text = R"({"type":"object","additionalProperties":)" + of<typename T::mapped_type>() + "}";
    auto names = detail::key_schema<typename T::key_type>();
    return names.empty() ? text : with_member(std::move(text), "propertyNames", names);
  } else if constexpr (fixed_array_type<T> || tuple_type<T> || list_type<T>) {
    return of_list<T>();
  } else if constexpr (struct_type<T>) {
    return of_struct<T, false>();
  } else {
    return detail::scalar_schema<T>();
  }
}

template <class T>
std::string schema_set::of_list() {
  if constexpr (list_type<T>) {
    return R"({"type":"array","items":)" + of<typename T::value_type>() + "}";
  } else {
    auto size = std::to_string(std::tuple_size_v<T>);
    std::string items;
    if constexpr (fixed_array_type<T>) {
      items = R"("items":)" + of<typename T::value_type>();
    } else {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        ((items.append(I == 0 ? "" : ",").append(of<std::tuple_element_t<I, T>>())), ...);
      }
      (std::make_index_sequence<std::tuple_size_v<T>>{});
      items = items.empty() ? std::string{R"("items":false)"} : R"("prefixItems":[)" + items + "]";
    }
    return R"({"type":"array",)" + items + R"(,"minItems":)" + size + R"(,"maxItems":)" + size + "}";
  }
}

template <class T>
std::string schema_set::of_variant() {
  detail::check_variant<T>();
  std::string alternatives;
  std::string mapping;
  std::size_t struct_count = 0;
  [&]<class... A>(std::variant<A...>*) {
    auto add = [&]<class One>(One*) {
      std::string one;
      if constexpr (struct_type<One>) {
        one = of_struct<One, true>();
        auto name = std::string_view{one}.substr(std::string_view{R"({"$ref":)"}.size());
        name.remove_suffix(1);
        mapping.append(struct_count++ == 0 ? "" : ",").append(quoted(tag_of<One>())).append(":").append(name);
      } else {
        one = of<One>();
      }
      alternatives.append(alternatives.empty() ? "" : ",").append(one);
    };
    (add(static_cast<A*>(nullptr)), ...);
  }(static_cast<T*>(nullptr));
  std::string text = R"({"oneOf":[)" + alternatives + "]}";
  if (struct_count == std::variant_size_v<T>) // a discriminator is a member of each
    text = with_member(std::move(text), "discriminator",
                       R"({"propertyName":)" + quoted(tag_member) + R"(,"mapping":{)" + mapping + "}}");
  return text;
}

template <class T, bool Tagged>
std::string schema_set::of_struct() {
  bool is_new = false;
  auto pretty = std::string{detail::pretty_type<T>()};
  auto name = name_of(Tagged ? pretty + " tagged" : pretty, is_new);
  if (is_new)
    components_[name] = object_schema<T, Tagged>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  return detail::reference_to(name);
}

template <class T, bool Tagged, std::size_t... I>
std::string schema_set::object_schema(std::index_sequence<I...>) {
  std::string properties;
  std::string required;
  auto add = [](std::string& list, const std::string& item) {
    list.append(list.empty() ? "" : ",").append(item);
  };
  if constexpr (Tagged) {
    add(properties, quoted(tag_member) + R"(:{"type":"string","const":)" + quoted(tag_of<T>()) + "}");
    add(required, quoted(tag_member));
  }
  [[maybe_unused]] auto describe = [&]<std::size_t At>(std::integral_constant<std::size_t, At>,
                                                       const T& defaults) {
    using field = boost::pfr::tuple_element_t<At, T>;
    auto name = quoted(field_names_v<T>[At]);
    auto text = of<field>();
    if (required_fields<T>()[At])
      add(required, name);
    else if (std::string value; encode(boost::pfr::get<At>(defaults), value) && value != "null")
      text = with_member(std::move(text), "default", value);
    add(properties, name + ":" + text);
  };
  [[maybe_unused]] const T defaults{};
  (describe(std::integral_constant<std::size_t, I>{}, defaults), ...);
  auto text = R"({"type":"object","properties":{)" + properties + "}}";
  if (!required.empty())
    text = with_member(std::move(text), "required", "[" + required + "]");
  if constexpr (is_strict<T>())
    text = with_member(std::move(text), "additionalProperties", "false");
  return text;
}

} // namespace sluice::codec
