#pragma once

#include <sluice/codec/decode_error.hpp>
#include <sluice/codec/encode.hpp>
#include <sluice/codec/number_text.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace sluice::codec {

namespace detail {

template <class T>
bool decode_value(json_reader& in, T& out);

// ---- which fields may be missing --------------------------------------------------

/// Keeps the optimiser from knowing what stands in `memory`.
inline void escape(void* memory) noexcept { asm volatile("" : : "g"(memory) : "memory"); }

/// Which fields a default-initialised `T` writes to: a scalar without a member initialiser
/// leaves the memory as it was, which is how `= 0` can be told from nothing.
template <class T, std::size_t... I>
std::array<bool, sizeof...(I)> written_fields(unsigned char pattern, std::index_sequence<I...>) {
  alignas(T) unsigned char memory[sizeof(T)];
  std::memset(memory, pattern, sizeof memory);
  escape(memory);
  auto object = ::new (static_cast<void*>(memory)) T;
  escape(memory);
  auto is_written = [&](const auto& field) {
    auto first = reinterpret_cast<const unsigned char*>(&field);
    return std::any_of(first, first + sizeof field, [&](unsigned char byte) { return byte != pattern; });
  };
  std::array<bool, sizeof...(I)> written{is_written(boost::pfr::get<I>(*object))...};
  std::destroy_at(object);
  return written;
}

template <class Field>
bool differs_from_empty(const Field& value) {
  std::string with;
  std::string without;
  bool with_ok = encode(value, with).has_value();
  bool without_ok = encode(Field{}, without).has_value();
  return with_ok != without_ok || with != without;
}

/// Fields that must be present: those without a default that can be told from emptiness.
template <class T>
const std::array<bool, boost::pfr::tuple_size_v<T>>& required_fields() {
  static const auto required = []<std::size_t... I>(std::index_sequence<I...> indices) {
    [[maybe_unused]] const T defaults{};
    std::array<bool, sizeof...(I)> needed{};
    if constexpr (sizeof...(I) > 0) {
      auto once = written_fields<T>(0xa5, indices);
      auto again = written_fields<T>(0x5a, indices);
      auto has_default = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
        using field = boost::pfr::tuple_element_t<At, T>;
        if constexpr (optional_type<field>)
          return true;
        else if constexpr (std::is_trivially_default_constructible_v<field>)
          return once[At] || again[At];
        else
          return differs_from_empty(boost::pfr::get<At>(defaults));
      };
      needed = {!has_default(std::integral_constant<std::size_t, I>{})...};
    }
    return needed;
  }
  (std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  return required;
}

// ---- one function per form ----------------------------------------------------------

template <class T>
bool decode_integer(json_reader& in, T& out) {
  using limits = std::numeric_limits<T>;
  std::string_view text;
  if (!in.read_number(text, "integer"))
    return false;
  bool negative = false;
  std::uint64_t magnitude = 0;
  auto outcome = parse_integer(text, negative, magnitude);
  constexpr std::size_t shown_max = 40;
  if (outcome == integer_text::fraction)
    return in.refuse("expected integer, got " + std::string{text.substr(0, shown_max)});
  // The lowest value is one further from zero than the highest, and zero for unsigned.
  auto highest = static_cast<std::uint64_t>(limits::max());
  auto lowest = std::is_signed_v<T> ? highest + 1 : 0;
  if (outcome == integer_text::too_large || magnitude > (negative ? lowest : highest))
    return in.refuse("expected integer from " + std::to_string(limits::min()) + " to "
                     + std::to_string(limits::max()) + ", got " + std::string{text.substr(0, shown_max)});
  out = static_cast<T>(negative ? 0 - magnitude : magnitude);
  return true;
}

template <class T>
bool decode_floating(json_reader& in, T& out) {
  std::string_view text;
  if (!in.read_number(text, "number"))
    return false;
  constexpr std::size_t shown_max = 40;
  return parse_floating(text, out)
         || in.refuse("number too large: " + std::string{text.substr(0, shown_max)});
}

inline bool refuse_token(json_reader& in, std::string_view expected, std::string_view got) {
  constexpr std::size_t shown_max = 64;
  std::string message = "expected ";
  message.append(expected).append(", got \"").append(got.substr(0, shown_max));
  return in.refuse(message.append(got.size() > shown_max ? "...\"" : "\""));
}

// Values whose JSON is a string that stands for something else: what the string says, and reading it.

template <class T>
requires std::is_enum_v<T>
bool parse_token(json_reader& in, std::string_view text, T& out) {
  for (const auto& entry : enum_entries_v<T>)
    if (entry.name == text) {
      out = entry.value;
      return true;
    }
  return refuse_token(in, expected_label<T>(), text);
}

template <time_type T>
bool parse_token(json_reader& in, std::string_view text, T& out) {
  moment value;
  if (!parse_time(text, value))
    return refuse_token(in, expected_label<T>(), text);
  return from_moment(value, out) || refuse_token(in, "time in the range and resolution of the field", text);
}

inline bool parse_token(json_reader& in, std::string_view text, bytes& out) {
  return parse_base64(text, out.data) || refuse_token(in, expected_label<bytes>(), text);
}

template <class T>
bool decode_token(json_reader& in, T& out) {
  std::string text;
  if (in.peek() != json_kind::string)
    return in.refuse_kind(expected_label<T>());
  return in.read_string(text) && parse_token(in, text, out);
}

template <class T>
bool decode_fixed_array(json_reader& in, T& out) {
  if (!in.enter_array())
    return false;
  std::size_t count = 0;
  for (;; ++count) {
    auto step = in.next_element(count == 0);
    if (step == json_step::error)
      return false;
    if (step == json_step::end)
      break;
    if (count == out.size())
      return in.refuse("expected " + std::to_string(out.size()) + " elements, got more");
    if (!decode_value(in, out[count])) {
      in.error().under_index(count);
      return false;
    }
  }
  return count == out.size()
         || in.refuse("expected " + std::to_string(out.size()) + " elements, got " + std::to_string(count));
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

template <class T>
bool decode_map(json_reader& in, T& out) {
  if (!in.enter_object())
    return false;
  out.clear();
  for (bool first = true;; first = false) {
    std::string_view key_view;
    auto step = in.next_member(first, key_view);
    if (step != json_step::item)
      return step == json_step::end;
    auto [at, is_new] = out.try_emplace(std::string{key_view});
    if (!(is_new ? decode_value(in, at->second) : refuse_repeated(in))) {
      in.error().under_field(at->first);
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

template <class T>
bool decode_struct(json_reader& in, T& out) {
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
  std::size_t hint = 0;
  for (bool first = true;; first = false) {
    std::string_view key;
    auto step = in.next_member(first, key);
    if (step == json_step::error)
      return false;
    if (step == json_step::end)
      break;
    auto index = find_field<T>(key, hint);
    if (index == names.size()) {
      if constexpr (is_strict<T>())
        return refuse_token(in, "no member but the fields of " + std::string{type_name<T>()}, key);
      if (!in.skip_value())
        return false;
      continue;
    }
    if (!(seen[index] ? refuse_repeated(in) : decode_field(in, fields, index, indices))) {
      in.error().under_field(names[index]);
      return false;
    }
    seen[index] = true;
    hint = index + 1;
  }
  if (!seen.all()) {
    const auto& required = required_fields<T>();
    for (std::size_t i = 0; i < names.size(); ++i)
      if (required[i] && !seen[i])
        return refuse_missing<T>(in, i, indices);
  }
  return true;
}

template <class T>
bool decode_value(json_reader& in, T& out) {
  static_assert(
    json_type<T>,
    "sluice: this type cannot be read from JSON. Use bool, integers, double, float, std::string, enums, "
    "std::optional, std::vector, std::array, std::set, maps with std::string keys, std::chrono times "
    "and durations, sluice::bytes, and plain structs of these");
  if constexpr (std::same_as<T, bool>) {
    return in.read_bool(out);
  } else if constexpr (integer_type<T>) {
    return decode_integer(in, out);
  } else if constexpr (floating_type<T>) {
    return decode_floating(in, out);
  } else if constexpr (std::same_as<T, std::string>) {
    return in.read_string(out);
  } else if constexpr (std::is_enum_v<T> || time_type<T> || std::same_as<T, bytes>) {
    return decode_token(in, out);
  } else if constexpr (optional_type<T>) {
    if (in.peek() == json_kind::null) {
      out.reset();
      return in.read_null();
    }
    return decode_value(in, out.emplace());
  } else if constexpr (duration_type<T>) {
    typename T::rep count{};
    if (!decode_value(in, count))
      return false;
    out = T{count};
    return true;
  } else if constexpr (fixed_array_type<T>) {
    return decode_fixed_array(in, out);
  } else if constexpr (map_type<T>) {
    return decode_map(in, out);
  } else if constexpr (sequence_type<T> || set_type<T>) {
    return decode_list(in, out);
  } else {
    return decode_struct(in, out);
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
