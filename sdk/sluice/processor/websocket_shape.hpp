#pragma once

#include <sluice/codec/schema.hpp>
#include <sluice/processor/guard.hpp>
#include <sluice/processor/websocket.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::processor {

/// What a flow knows of the messages of a WebSocket, without their types.
struct websocket_shape {
  std::string input_label;                         ///< for people
  std::string input_schema;                        ///< JSON Schema of what clients send
  std::string output_label;                        ///< of what they get
  std::string output_schema;                       ///< JSON Schema
  std::map<std::string, std::string> schemas = {}; ///< what the others refer to
};

/// The JSON of `http_spec::openapi`: a GET that is answered with 101.
std::string describe_websocket(const websocket_shape& shape, std::string_view route,
                               const std::optional<route_guard>& guard);

namespace detail {

template <class Message>
std::string message_schema(codec::schema_set& schemas) {
  if constexpr (std::same_as<Message, bytes>)
    return R"({"type":"string","format":"binary"})";
  else
    return schemas.of<Message>();
}

} // namespace detail

template <class Target>
websocket_shape websocket_shape_of() {
  using traits = websocket_traits<Target>;
  codec::schema_set schemas;
  websocket_shape shape;
  shape.input_label = codec::type_label<typename traits::input>();
  shape.output_label = codec::type_label<typename traits::output>();
  shape.input_schema = detail::message_schema<typename traits::input>(schemas);
  shape.output_schema = detail::message_schema<typename traits::output>(schemas);
  shape.schemas = schemas.components();
  return shape;
}

} // namespace sluice::processor
