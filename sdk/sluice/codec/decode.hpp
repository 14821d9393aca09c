#pragma once

#include <sluice/codec/decode_error.hpp>
#include <sluice/codec/decode_scalar.hpp>
#include <sluice/codec/defaults.hpp>
#include <sluice/codec/encode.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/codec/variant.hpp>

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

namespace sluice::codec {

/// Members of a struct that have their values from elsewhere, by their place: a text need not have them.
template <std::size_t N>
struct members_elsewhere {
  std::bitset<N> skipped = {}; ///< what the text says of them is
  std::bitset<N> refused = {}; ///< an error if the text has them
  std::string_view why = {};   ///< they are refused
};

namespace detail {

template <class T>
bool decode_value(json_reader& in, T& out);

// ---- lists, tuples and maps ---------------------------------------------------------

/// Reads an array of exactly `size` elements by `read(index)`.
template <class Read>
bool decode_sized(json_reader& in, std::size_t size, Read read) {
  if (!in.enter_array())
    return false;
  auto expected = [&](const std::string& got) {
    return in.refuse("expected " + std::to_string(size) + " elements, got " + got);
  };
  for (std::size_t count = 0;; ++count) {
    auto step = in.next_element(count == 0);
    if (step == json_step::error)
      return false;
    if (step == json_step::end)
      return count == size || expected(std::to_string(count));
    if (count == size)
      return expected("more");
    if (!read(count)) {
      in.error().under_index(count);
      return false;
    }
  }
}

template <class T, std::size_t... I>
bool decode_tuple(json_reader& in, T& out, std::index_sequence<I...>) {
  return decode_sized(in, sizeof...(I), [&]([[maybe_unused]] std::size_t index) {
    bool ok = false;
    (void)((index == I && (ok = decode_value(in, std::get<I>(out)), true)) || ...);
    return ok;
  });
}

/// Vectors and the like, and sets: a value that occurs twice is in a set once.
template <class T>
bool decode_list(json_reader& in, T& out) {
  if (!in.enter_array())
    return false;
  out.clear();
  for (std::size_t index = 0;; ++index) {
    auto step = in.next_element(index == 0);
    if (step != json_step::item)
      return step == json_step::end;
    typename T::value_type item{};
    if (!decode_value(in, item)) {
      in.error().under_index(index);
      return false;
    }
    if constexpr (sequence_type<T>)
      out.push_back(std::move(item));
    else
      out.insert(std::move(item));
  }
}

inline bool refuse_repeated(json_reader& in) { return in.refuse("given twice"); }

/// Whether `text` is how `value` is written: a name has one spelling only.
template <class T>
bool is_spelling(std::string_view text, T value) {
  return text == std::to_string(value);
}

template <class K>
bool decode_key(json_reader& in, std::string_view text, K& out) {
  if constexpr (std::same_as<K, std::string>) {
    out.assign(text);
    return true;
  } else if constexpr (std::is_enum_v<K>) {
    return parse_token(in, text, out);
  } else {
    json_reader number{text};
    return (decode_integer(number, out) && number.finish() && is_spelling(text, out))
           || refuse_token(in, integer_range_label<K>(), text);
  }
}

template <class T>
bool decode_map(json_reader& in, T& out) {
  if (!in.enter_object())
    return false;
  out.clear();
  for (bool first = true;; first = false) {
    std::string_view name;
    auto step = in.next_member(first, name);
    if (step != json_step::item)
      return step == json_step::end;
    typename T::key_type key{};
    if (!decode_key(in, name, key)) {
      in.error().message.insert(0, "a member's name: ");
      return false;
    }
    auto [at, is_new] = out.try_emplace(std::move(key));
    if (!(is_new ? decode_value(in, at->second) : refuse_repeated(in))) {
      in.error().under_field(key_text(at->first));
      return false;
    }
  }
}

// ---- structs ------------------------------------------------------------------------

/// Index of the field called `key`, or the number of fields. Members mostly come in the
/// order of declaration, so the search starts at `hint`.
template <class T>
std::size_t find_field(std::string_view key, std::size_t hint) noexcept {
  constexpr auto& names = field_names_v<T>;
  if (hint < names.size() && names[hint] == key)
    return hint;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == key)
      return i;
  return names.size();
}

template <class Fields, std::size_t... I>
bool decode_field(json_reader& in, Fields& fields, [[maybe_unused]] std::size_t index,
                  std::index_sequence<I...>) {
  bool ok = false;
  (void)((index == I && (ok = decode_value(in, std::get<I>(fields)), true)) || ...);
  return ok;
}

template <class T, std::size_t... I>
bool refuse_missing(json_reader& in, std::size_t index, std::index_sequence<I...>) {
  std::string expected;
  (void)((index == I && (expected = expected_label<boost::pfr::tuple_element_t<I, T>>(), true)) || ...);
  in.refuse("missing, expected " + expected);
  in.error().under_field(field_names_v<T>[index]);
  return false;
}

/// `Tagged`: the struct is an alternative of a variant; its tag, which was read before, is skipped.
template <class T, bool Tagged = false>
bool decode_struct(json_reader& in, T& out,
                   const members_elsewhere<boost::pfr::tuple_size_v<T>>& elsewhere = {}) {
  static_assert(std::is_default_constructible_v<T>,
                "sluice: a struct that is read from JSON needs all its fields default constructible");
  constexpr auto& names = field_names_v<T>;
  constexpr auto indices = std::make_index_sequence<names.size()>{};
  if (!in.enter_object())
    return false;
  [[maybe_unused]] auto fields = [&] {
    if constexpr (names.size() > 0)
      return boost::pfr::structure_tie(out);
    else
      return std::tuple<>{};
  }();
  std::bitset<names.size()> seen;
  [[maybe_unused]] bool is_tag_seen = false;
  std::size_t hint = 0;
  for (bool first = true;; first = false) {
    std::string_view key;
    auto step = in.next_member(first, key);
    if (step == json_step::error)
      return false;
    if (step == json_step::end)
      break;
    if constexpr (Tagged)
      if (key == tag_member) {
        if (!(std::exchange(is_tag_seen, true) ? refuse_repeated(in) : in.skip_value())) {
          in.error().under_field(tag_member);
          return false;
        }
        continue;
      }
    auto index = find_field<T>(key, hint);
    if (index == names.size()) {
      if constexpr (is_strict<T>())
        return refuse_token(in, "no member but the fields of " + std::string{type_name<T>()}, key);
      if (!in.skip_value())
        return false;
      continue;
    }
    if (elsewhere.skipped[index]) {
      if (!in.skip_value())
        return false;
      continue;
    }
    if (elsewhere.refused[index]) {
      in.refuse(std::string{elsewhere.why});
      in.error().under_field(names[index]);
      return false;
    }
    if (!(seen[index] ? refuse_repeated(in) : decode_field(in, fields, index, indices))) {
      in.error().under_field(names[index]);
      return false;
    }
    seen[index] = true;
    hint = index + 1;
  }
  seen |= elsewhere.skipped | elsewhere.refused;
  if (!seen.all()) {
    const auto& required = required_fields<T>();
    for (std::size_t i = 0; i < names.size(); ++i)
      if (required[i] && !seen[i])
        return refuse_missing<T>(in, i, indices);
  }
  return true;
}

// ---- variants -----------------------------------------------------------------------

/// Finds, without taking anything, the tag of the object that comes next.
template <class T>
bool peek_tag(json_reader& in, std::string& tag) {
  json_reader ahead = in;
  auto found = ahead.find_string(tag_member, tag, tags_label<T>());
  if (!found)
    in = std::move(ahead); // its error counts
  return found;
}

template <class T, std::size_t... I>
bool decode_tagged(json_reader& in, T& out, std::index_sequence<I...>) {
  std::string tag;
  if (!peek_tag<T>(in, tag))
    return false;
  bool ok = false;
  auto read = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
    using alternative = std::variant_alternative_t<At, T>;
    if constexpr (struct_type<alternative>) {
      if (tag != tag_of<alternative>())
        return false;
      ok = decode_struct<alternative, true>(in, out.template emplace<At>());
      return true;
    } else {
      return false;
    }
  };
  if ((read(std::integral_constant<std::size_t, I>{}) || ...))
    return ok;
  refuse_token(in, tags_label<T>(), tag);
  in.error().under_field(tag_member);
  return false;
}

template <class T, std::size_t... I>
bool decode_variant(json_reader& in, T& out, std::index_sequence<I...> indices) {
  check_variant<T>();
  auto kind = in.peek();
  if constexpr ((struct_type<std::variant_alternative_t<I, T>> || ...))
    if (kind == json_kind::object)
      return decode_tagged(in, out, indices);
  bool ok = false;
  auto read = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
    if (kind != kind_of<std::variant_alternative_t<At, T>>())
      return false;
    ok = decode_value(in, out.template emplace<At>());
    return true;
  };
  return (read(std::integral_constant<std::size_t, I>{}) || ...) ? ok : in.refuse_kind(expected_label<T>());
}

// ---- any type -----------------------------------------------------------------------

/// Makes a value of the form that the type's adapter names; what it throws is the error.
template <class T>
bool adapt(json_reader& in, typename adapter<T>::form form, T& out) {
  try {
    out = adapter<T>::from(std::move(form));
    return true;
  } catch (const std::exception& e) {
    return in.refuse(to_utf8(e.what()));
  }
}

template <class T>
bool decode_value(json_reader& in, T& out) {
  static_assert(
    json_type<T>,
    "sluice: this type cannot be read from JSON. Use bool, integers, double, float, std::string, enums, "
    "std::optional, std::vector, std::array, std::set, std::tuple, std::variant, maps, std::chrono times "
    "and durations, sluice::bytes, and plain structs of these, or specialise sluice::codec::adapter for it");
  if constexpr (adapted_type<T>) {
    typename adapter<T>::form form{};
    return decode_value(in, form) && adapt(in, std::move(form), out);
  } else if constexpr (optional_type<T>) {
    if (in.peek() != json_kind::null)
      return decode_value(in, out.emplace());
    out.reset();
    return in.read_null();
  } else if constexpr (pointer_type<T>) {
    out.reset();
    if (in.peek() == json_kind::null)
      return in.read_null();
    auto value = std::make_unique<std::remove_const_t<typename T::element_type>>();
    if (!decode_value(in, *value))
      return false;
    out = std::move(value);
    return true;
  } else if constexpr (variant_type<T>) {
    return decode_variant(in, out, std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (fixed_array_type<T>) {
    return decode_sized(in, out.size(), [&](std::size_t i) { return decode_value(in, out[i]); });
  } else if constexpr (tuple_type<T>) {
    return decode_tuple(in, out, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (map_type<T>) {
    return decode_map(in, out);
  } else if constexpr (list_type<T>) {
    return decode_list(in, out);
  } else if constexpr (std::same_as<T, json_text>) {
    return in.read_any(out.text);
  } else if constexpr (struct_type<T>) {
    return decode_struct(in, out);
  } else {
    return decode_scalar(in, out);
  }
}

} // namespace detail

/// Reads `text` as JSON of the form of `T` into `out`, which is freshly made. Returns the first fault,
/// or nothing when there is none; `out` is then of no use.
template <class T>
std::optional<decode_error> try_decode_into(std::string_view text, T& out) {
  json_reader reader{text};
  if (reader.check_size() && detail::decode_value(reader, out) && reader.finish())
    return std::nullopt;
  return explain(text, reader, root_label<T>());
}

/// The same for a struct some of whose members have their values from elsewhere: the text need not have them.
template <struct_type T>
std::optional<decode_error> try_decode_rest(std::string_view text, T& out,
                                            const members_elsewhere<boost::pfr::tuple_size_v<T>>& elsewhere) {
  json_reader reader{text};
  if (reader.check_size() && detail::decode_struct(reader, out, elsewhere) && reader.finish())
    return std::nullopt;
  return explain(text, reader, root_label<T>());
}

/// The same with a failure for people: `invalid_argument` and the path of the first fault:
/// "order.items[2].price: expected number, got string".
template <class T>
result<void> decode_into(std::string_view text, T& out) {
  if (auto error = try_decode_into(text, out))
    return fail(*error);
  return {};
}

/// The same into a new value.
template <class T>
result<T> decode(std::string_view text) {
  result<T> value{tl::in_place};
  if (auto done = decode_into(text, *value); !done)
    return sluice::fail(done);
  return value;
}

/// The same with an error that tells syntax from type, for those who answer to both differently.
template <class T>
tl::expected<T, decode_error> try_decode(std::string_view text) {
  tl::expected<T, decode_error> value{tl::in_place};
  if (auto error = try_decode_into(text, *value))
    return tl::unexpected{std::move(*error)};
  return value;
}

} // namespace sluice::codec
