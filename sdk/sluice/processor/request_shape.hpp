#pragma once

#include <sluice/http/message.hpp>
#include <sluice/processor/callable.hpp>
#include <sluice/processor/request_input.hpp>
#include <sluice/processor/request_processor.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

/// What a flow knows of the types of an endpoint or collector, without them.
namespace sluice::processor {

struct request_member {
  text_member text;
  bool is_required_in_body = false;
  bool is_required_in_query = false;
};

struct request_shape {
  input_kind kind = input_kind::none;
  std::string input_label; ///< for people; empty = none
  std::string output_label;
  std::vector<request_member> members; ///< of `input_kind::members`
  bool is_strict = false;
};

/// Names the first rule that route, method and argument break together: "route: {id} ...". Empty: none.
std::string find_mismatch(const request_shape& shape, std::string_view route, method by);

template <class Output>
std::string output_label() {
  if constexpr (std::is_void_v<Output>)
    return {};
  else
    return codec::type_label<Output>();
}

template <class Input>
request_shape input_shape() {
  request_shape shape;
  shape.kind = input_kind_of<Input>();
  if constexpr (!std::is_void_v<Input>)
    shape.input_label = codec::type_label<Input>();
  if constexpr (input_kind_of<Input>() == input_kind::members) {
    shape.is_strict = codec::is_strict<Input>();
    constexpr auto& members = text_members_v<Input>;
    for (std::size_t i = 0; i < members.size(); ++i)
      shape.members.push_back({members[i], is_required<Input>(i, true), is_required<Input>(i, false)});
  }
  return shape;
}

template <class Target>
request_shape endpoint_shape() {
  using traits = request_traits<Target>;
  auto shape = input_shape<typename traits::input>();
  shape.output_label = output_label<typename traits::returned>();
  return shape;
}

template <class Target>
request_shape collector_shape() {
  using traits = request_traits<Target>;
  auto shape = input_shape<typename traits::input>();
  shape.output_label = output_label<typename detail::unwrap_many<typename traits::returned>::type>();
  return shape;
}

} // namespace sluice::processor
