#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::http {

/// The pages that every ingress answers itself, whatever the method: no route may be one of them, and a pattern that
/// covers them ("/{name}", "/{rest...}") does not get them. One flow could hide those of all others otherwise.
constexpr std::string_view openapi_path = "/openapi.json";
constexpr std::string_view docs_path = "/docs";

enum class segment_kind : std::uint8_t {
  literal,   ///< "orders"
  parameter, ///< "{id}": one segment that is not empty
  rest       ///< "{path...}": all that is left, possibly nothing; only at the end
};

struct route_segment {
  segment_kind kind = segment_kind::literal;
  std::string text; ///< the literal, decoded, or the parameter's name

  friend bool operator==(const route_segment&, const route_segment&) = default;
};

/// Splits "/orders/{id}/lines/{rest...}". "/" has no segments; a '/' at the end says nothing:
/// "/orders/" is "/orders". Fails with the rule that is broken: no '/' in front, an empty segment, a
/// parameter without a proper name, two of one name, a rest that is not the last, a stray brace, a
/// blank or control character, '?' or '#', a bad %xx.
result<std::vector<route_segment>> parse_route(std::string_view route);

/// What two routes have in common if no request can tell them apart: names of parameters do not count.
/// "/orders/{id}/" gives "/orders/{}", a rest "/{...}". @pre the route parses
std::string route_shape(std::string_view route);

} // namespace sluice::http
