#pragma once

#include <sluice/codec/text.hpp>
#include <sluice/http/message.hpp>

#include <boost/pfr/core.hpp>

#include <array>
#include <bitset>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

/// From a request to the argument of a user's function.
///
/// A struct gets its members by name. One that the route names comes from the path; what query and body say of it
/// is skipped, as other unknown fields are. Each of the rest comes from the query or, where the method has one, from a
/// JSON body: one that both have is refused, as none of them would be more right.
namespace sluice::processor {

/// Why a request never reached user code.
struct bad_request {
  unsigned status =
    422; ///< 400 no JSON or a query that cannot be decoded, 415 another type of body, 422 not of the type of the argument
  std::string message = {};
  std::string path = {};       ///< "items[2].price"; empty: the whole
  std::string_view where = {}; ///< "path", "query" or "body"
  std::size_t offset = 0;      ///< position of a 400
  std::size_t line = 0;        ///< 0: no position
  std::size_t column = 0;
};

/// What a function takes.
enum class input_kind : std::uint8_t {
  none,
  request, ///< everything raw
  raw,     ///< the body as it is
  members, ///< a struct
  body,    ///< another type with a JSON form: the whole body
};

template <class Input>
constexpr input_kind input_kind_of() {
  if constexpr (std::is_void_v<Input>)
    return input_kind::none;
  else if constexpr (std::same_as<Input, request>)
    return input_kind::request;
  else if constexpr (std::same_as<Input, raw>)
    return input_kind::raw;
  else if constexpr (codec::struct_type<Input>)
    return input_kind::members;
  else
    return input_kind::body;
}

/// Most members of a struct that is read from a request.
constexpr std::size_t members_max = 256;
using member_set = std::bitset<members_max>;

/// A member of a struct, as far as paths and queries are concerned.
struct text_member {
  std::string_view name;
  /// Reads the text into the member, or appends it to a list. False: `error` says why. Null: the member
  /// has no form as text.
  bool (*read)(void* object, std::string_view text, std::string& error) = nullptr;
  bool is_list = false; ///< its query field may be there any number of times
  /// Of a list: takes its default out, which what is given replaces.
  void (*clear)(void* object) = nullptr;
};

namespace detail {

/// Has a form as text, all the way down: an optional of a list has not.
template <class T>
constexpr bool is_text() {
  if constexpr (codec::optional_type<T>)
    return is_text<typename T::value_type>();
  else
    return codec::text_type<T>;
}

template <class T>
constexpr bool is_list_of_text() {
  if constexpr (codec::sequence_type<T> || codec::set_type<T>)
    return is_text<typename T::value_type>();
  else
    return false;
}

template <class T, std::size_t I>
bool read_member(void* object, std::string_view text, std::string& error) {
  auto& member = boost::pfr::get<I>(*static_cast<T*>(object));
  using type = std::remove_cvref_t<decltype(member)>;
  auto take = [&]<class Value>(std::in_place_type_t<Value>, auto use) {
    auto value = codec::from_text<Value>(text);
    if (!value) {
      error = std::move(value.error().message);
      return false;
    }
    use(std::move(*value));
    return true;
  };
  if constexpr (is_text<type>())
    return take(std::in_place_type<type>, [&](type&& value) { member = std::move(value); });
  else
    return take(std::in_place_type<typename type::value_type>,
                [&](typename type::value_type&& value) { member.insert(member.end(), std::move(value)); });
}

template <class T, std::size_t I>
void clear_member(void* object) {
  boost::pfr::get<I>(*static_cast<T*>(object)).clear();
}

template <class T, std::size_t I>
constexpr text_member make_text_member() {
  using type = boost::pfr::tuple_element_t<I, T>;
  text_member made;
  made.name = codec::field_names_v<T>[I];
  made.is_list = is_list_of_text<type>();
  if constexpr (is_text<type>() || is_list_of_text<type>())
    made.read = &read_member<T, I>;
  if constexpr (is_list_of_text<type>())
    made.clear = &clear_member<T, I>;
  return made;
}

template <class T, std::size_t... I>
constexpr std::array<text_member, sizeof...(I)> make_text_members(std::index_sequence<I...>) {
  return {make_text_member<T, I>()...};
}

} // namespace detail

/// The members of a struct in order of declaration.
template <class T>
inline constexpr auto
  text_members_v = detail::make_text_members<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});

/// Whether a member must be given; a list that is read from a query may always be empty.
template <class T>
bool is_required(std::size_t index, bool from_body) {
  return codec::required_fields<T>()[index] && (from_body || !text_members_v<T>[index].is_list);
}

/// Members that have their values.
struct given_members {
  member_set path;
  member_set query;
};

/// Fills members of `object` from the path and the query, and notes which in `given`.
std::optional<bad_request> read_text_members(const request& in, std::span<const text_member> members,
                                             bool is_strict, void* object, given_members& given);

/// None if a body may be read as JSON: its Content-Type says so, or there is none.
std::optional<bad_request> check_json_type(const request& in);

/// The error of a body; `root` is the name before its path.
bad_request bad_body(codec::decode_error error, std::string_view root);

namespace detail {

template <class T>
std::optional<bad_request> find_missing(const member_set& given, bool from_body) {
  constexpr auto& names = codec::field_names_v<T>;
  std::optional<bad_request> missing;
  auto check = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
    if (!missing && !given[I] && is_required<T>(I, from_body))
      missing = bad_request{.message = "missing, expected "
                                       + codec::expected_label<boost::pfr::tuple_element_t<I, T>>(),
                            .path = std::string{names[I]},
                            .where = from_body ? "body" : "query"};
  };
  [&]<std::size_t... I>(std::index_sequence<I...>) { (check(std::integral_constant<std::size_t, I>{}), ...); }
  (std::make_index_sequence<names.size()>{});
  return missing;
}

template <class T>
std::optional<bad_request> read_members(const request& in, bool has_body, T& out) {
  constexpr auto& members = text_members_v<T>;
  static_assert(members.size() <= members_max, "sluice: this struct has too many members for a request");
  given_members given;
  if (!in.params.empty() || !in.query.empty())
    if (auto bad = read_text_members(in, members, codec::is_strict<T>(), &out, given))
      return bad;
  if (!has_body || in.body.empty())
    return find_missing<T>(given.path | given.query, has_body);
  if (auto bad = check_json_type(in))
    return bad;
  codec::members_elsewhere<members.size()> elsewhere{.why = "given in the query, too"};
  for (std::size_t i = 0; i < members.size(); ++i) {
    elsewhere.skipped[i] = given.path[i];
    elsewhere.refused[i] = given.query[i];
  }
  if (auto error = codec::try_decode_rest(in.body, out, elsewhere))
    return bad_body(std::move(*error), codec::root_label<T>());
  return std::nullopt;
}

} // namespace detail

/// Reads the argument of a user's function. `has_body`: the method of the route has one. Takes what it
/// needs out of `in` where the argument is a `request` or `raw`; what the answer needs stays: id, Accept and Idempotency-Key.
template <class Input>
std::optional<bad_request> read_input(request& in, bool has_body, Input& out) {
  if constexpr (std::same_as<Input, request>) {
    out = std::move(in);
    in = request{};
    in.id = out.id;
    for (const auto* name : {"Accept", "Idempotency-Key"})
      if (auto value = out.headers.find(name))
        in.headers.add(name, std::string{*value});
    return std::nullopt;
  } else if constexpr (std::same_as<Input, raw>) {
    out.data = std::move(in.body);
    return std::nullopt;
  } else if constexpr (input_kind_of<Input>() == input_kind::members) {
    return detail::read_members(in, has_body, out);
  } else {
    if (auto bad = check_json_type(in))
      return bad;
    if (auto error = codec::try_decode_into(in.body, out))
      return bad_body(std::move(*error), codec::root_label<Input>());
    return std::nullopt;
  }
}

} // namespace sluice::processor
