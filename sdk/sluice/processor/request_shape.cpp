#include <sluice/http/route.hpp>
#include <sluice/processor/request_shape.hpp>

#include <algorithm>

namespace sluice::processor {

namespace {

const request_member* find(const request_shape& shape, std::string_view name) {
  auto found = std::ranges::find_if(shape.members, [&](const auto& each) { return each.text.name == name; });
  return found == shape.members.end() ? nullptr : &*found;
}

std::string check_parameter(const request_shape& shape, const std::string& name) {
  const auto parameter = "route: {" + name + "} ";
  switch (shape.input) {
  case input_kind::none:
  case input_kind::request:
    return {};
  case input_kind::raw:
  case input_kind::body:
    return parameter + "goes nowhere: the argument is the body; take a struct with this member";
  case input_kind::members:
    break;
  }
  const auto* member = find(shape, name);
  if (member == nullptr)
    return parameter + "goes nowhere: " + shape.input_label + " has no such member";
  if (member->text.read == nullptr || member->text.is_list)
    return parameter + "cannot be read from a path: it is no single value in " + shape.input_label;
  return {};
}

} // namespace

std::string find_mismatch(const request_shape& shape, std::string_view route, method by) {
  auto segments = http::parse_route(route);
  if (!segments)
    return {}; // told by `check`
  for (const auto& segment : *segments)
    if (segment.kind != http::segment_kind::literal)
      if (auto mistake = check_parameter(shape, segment.text); !mistake.empty())
        return mistake;
  if (method_has_body(by))
    return {};
  const auto name = std::string{to_string(by)};
  if (shape.input == input_kind::raw || shape.input == input_kind::body)
    return "method: " + name + " has no body, which is what the argument is read from";
  for (const auto& member : shape.members)
    if (member.text.read == nullptr)
      return "method: " + name + " has no body, and " + shape.input_label + "."
             + std::string{member.text.name} + " cannot be read from a query";
  return {};
}

} // namespace sluice::processor
