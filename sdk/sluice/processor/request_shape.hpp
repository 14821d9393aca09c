#pragma once

#include <sluice/codec/schema.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/callable.hpp>
#include <sluice/processor/request_input.hpp>
#include <sluice/processor/request_processor.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

/// What a flow knows of the types of an endpoint or collector, without them.
namespace sluice::processor {

/// A member of a struct that is an argument.
struct request_member {
  text_member text;
  bool is_required_in_body = false;
  bool is_required_in_query = false;
  std::string schema;           ///< JSON Schema of the member
  std::string parameter_schema; ///< the same as path or query have it, where nothing is null
  std::string default_value;    ///< JSON; empty if it is required or null
};

/// What an answer is made of.
enum class output_kind : std::uint8_t { nothing, json, text, bytes, response, stream, records };

struct request_shape {
  input_kind input = input_kind::none;
  std::string input_label; ///< for people; empty = none
  std::string input_schema;
  std::vector<request_member> members; ///< of `input_kind::members`
  bool is_strict = false;

  output_kind output = output_kind::nothing;
  bool is_output_optional = false; ///< none is 404
  std::string output_label;
  std::string output_schema;

  std::map<std::string, std::string> schemas; ///< what the others refer to
};

/// Names the first rule that route, method and argument break together: "route: {id} ...". Empty: none.
std::string find_mismatch(const request_shape& shape, std::string_view route, method by);

/// The rule that the errors of a route break: "399 is no status of an error ...". Empty: none.
std::string find_mistake(const std::vector<documented_error>& errors);

/// The JSON of `http_spec::openapi`. With `errors` the list of statuses is whole; without, `default` stands for what user
/// code throws. @pre `errors` have no mistake
std::string describe_operation(const request_shape& shape, std::string_view route, method by,
                               const std::optional<route_guard>& guard,
                               const std::vector<documented_error>& errors);

template <class Output>
std::string output_label() {
  if constexpr (std::is_void_v<Output>)
    return {};
  else if constexpr (is_stream<Output> || is_generator<Output>)
    return "stream of " + codec::type_label<typename detail::unwrap_many<Output>::type>();
  else
    return codec::type_label<Output>();
}

namespace detail {

template <class T>
std::string parameter_schema(codec::schema_set& schemas) {
  if constexpr (codec::optional_type<T>)
    return parameter_schema<typename T::value_type>(schemas);
  else
    return schemas.of<T>();
}

template <class Input, std::size_t... I>
void add_members(request_shape& shape, codec::schema_set& schemas, std::index_sequence<I...>) {
  [[maybe_unused]] const Input defaults{};
  auto add = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
    using type = boost::pfr::tuple_element_t<At, Input>;
    request_member member{.text = text_members_v<Input>[At],
                          .is_required_in_body = is_required<Input>(At, true),
                          .is_required_in_query = is_required<Input>(At, false),
                          .schema = schemas.of<type>(),
                          .parameter_schema = parameter_schema<type>(schemas),
                          .default_value = {}};
    std::string value;
    if (!member.is_required_in_body && codec::encode(boost::pfr::get<At>(defaults), value) && value != "null")
      member.default_value = std::move(value);
    shape.members.push_back(std::move(member));
  };
  (add(std::integral_constant<std::size_t, I>{}), ...);
}

template <class Input>
void add_input(request_shape& shape, codec::schema_set& schemas) {
  shape.input = input_kind_of<Input>();
  if constexpr (!std::is_void_v<Input>)
    shape.input_label = codec::type_label<Input>();
  if constexpr (input_kind_of<Input>() == input_kind::members) {
    shape.is_strict = codec::is_strict<Input>();
    shape.input_schema = schemas.of<Input>();
    add_members<Input>(shape, schemas, std::make_index_sequence<text_members_v<Input>.size()>{});
  } else if constexpr (input_kind_of<Input>() == input_kind::body) {
    shape.input_schema = schemas.of<Input>();
  }
}

template <class Output>
void add_output(request_shape& shape, codec::schema_set& schemas) {
  if constexpr (std::is_void_v<Output>) {
    shape.output = output_kind::nothing;
  } else if constexpr (std::same_as<Output, response>) {
    shape.output = output_kind::response;
  } else if constexpr (std::same_as<Output, std::string>) {
    shape.output = output_kind::text;
  } else if constexpr (std::same_as<Output, bytes>) {
    shape.output = output_kind::bytes;
  } else if constexpr (is_stream<Output> || is_generator<Output>) {
    shape.output = output_kind::stream;
    shape.output_schema = schemas.of<typename unwrap_many<Output>::type>();
  } else if constexpr (codec::optional_type<Output>) {
    add_output<typename Output::value_type>(shape, schemas);
    shape.is_output_optional = true;
  } else {
    shape.output = output_kind::json;
    shape.output_schema = schemas.of<Output>();
  }
}

} // namespace detail

template <class Target>
request_shape endpoint_shape() {
  using traits = request_traits<Target>;
  request_shape shape;
  codec::schema_set schemas;
  detail::add_input<typename traits::input>(shape, schemas);
  detail::add_output<typename traits::returned>(shape, schemas);
  shape.output_label = output_label<typename traits::returned>();
  shape.schemas = schemas.components();
  return shape;
}

template <class Target>
request_shape collector_shape() {
  using traits = request_traits<Target>;
  request_shape shape;
  codec::schema_set schemas;
  detail::add_input<typename traits::input>(shape, schemas);
  shape.output = output_kind::records;
  shape.output_label = output_label<typename detail::unwrap_many<typename traits::returned>::type>();
  shape.schemas = schemas.components();
  return shape;
}

} // namespace sluice::processor
