#include <sluice/codec/schema_text.hpp>
#include <sluice/http/openapi.hpp>
#include <sluice/http/route.hpp>
#include <sluice/processor/request_shape.hpp>
#include <sluice/processor/websocket_shape.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace sluice::processor {

namespace {

using codec::quoted;

constexpr std::string_view error_name = "sluice.error";
constexpr std::string_view error_schema =
  R"({"type":"object","properties":{"error":{"type":"string"},"success":{"const":false},)"
  R"("path":{"type":"string","description":"the member that is wrong"},)"
  R"("in":{"type":"string","enum":["path","query","body"]},"byte":{"type":"integer"},"line":{"type":"integer"},)"
  R"("column":{"type":"integer"},"id":{"type":"string","description":"under which the logs say more"}},)"
  R"("required":["error"]})";
constexpr std::size_t description_bytes_max = 1024;
constexpr std::string_view other_site = "The page that asks is of another site";
constexpr std::string_view too_many = "Too many requests; try again after the time in Retry-After";
constexpr std::string_view collected_name = "sluice.collected";
constexpr std::string_view collected_schema =
  R"({"type":"object","properties":{"success":{"const":true}},"required":["success"]})";

std::string reference(std::string_view name) {
  return R"({"$ref":"#/components/schemas/)" + std::string{name} + "\"}";
}

json_text answer(std::string_view description, std::string_view media_type = {},
                 std::string_view schema = {}) {
  std::string text = R"({"description":)" + quoted(description);
  if (!media_type.empty())
    text.append(R"(,"content":{)")
      .append(quoted(media_type))
      .append(R"(:{"schema":)")
      .append(schema)
      .append("}}");
  return {text + "}"};
}

/// Builds the documentation of one operation.
class operation_builder {
public:
  operation_builder(const request_shape& shape, std::string_view route, method by)
    : shape_(shape), by_(by), has_body_(method_has_body(by)) {
    if (auto segments = http::parse_route(route))
      segments_ = std::move(*segments);
    out_.schemas.emplace(error_name, json_text{std::string{error_schema}});
    for (const auto& [name, schema] : shape.schemas)
      out_.schemas.emplace(name, json_text{schema});
  }

  /// Of a WebSocket: what goes over it is beside what OpenAPI describes.
  std::string websocket_text(const websocket_shape& messages, const std::optional<route_guard>& guard) {
    add_parameters();
    add("101", json_text{R"({"description":"A WebSocket: takes and sends messages","x-websocket":{"takes":)"
                         + messages.input_schema + R"(,"sends":)" + messages.output_schema + "}}"});
    note("400", "The request is malformed");
    note("403", other_site);
    note("405", "The path has other methods");
    note("426", "The request asks for no WebSocket");
    note("429", too_many);
    note("502", "The replica was lost with the request");
    note("503", "Too many connections; try again after the time in Retry-After");
    note("504", "It took too long");
    note("default", "Refused");
    if (guard)
      add_guard(*guard);
    add_failures();
    return http::to_json(out_);
  }

  std::string text(const std::optional<route_guard>& guard, const std::vector<documented_error>& errors) {
    add_parameters();
    add_body();
    add_success();
    note_failures();
    if (guard)
      add_guard(*guard);
    note_errors(errors);
    add_failures();
    return http::to_json(out_);
  }

private:
  bool is_in_path(std::string_view name) const {
    return std::ranges::any_of(segments_, [&](const auto& each) {
      return each.kind != http::segment_kind::literal && each.text == name;
    });
  }

  void add_parameters() {
    for (const auto& segment : segments_)
      if (segment.kind != http::segment_kind::literal)
        add_path_parameter(segment);
    if (shape_.output == output_kind::records)
      out_.parameters.push_back(
        {.name = "Idempotency-Key",
         .in = "header",
         .required = false,
         .description = "the same request under the same key again is stored once, where the sink is a queue",
         .schema = {R"({"type":"string","minLength":1})"}});
    if (has_body_)
      return;
    for (const auto& member : shape_.members) {
      if (is_in_path(member.text.name))
        continue;
      auto schema = member.parameter_schema;
      if (!member.default_value.empty())
        schema = codec::with_member(std::move(schema), "default", member.default_value);
      out_.parameters.push_back({.name = std::string{member.text.name},
                                 .in = "query",
                                 .required = member.is_required_in_query,
                                 .description = {},
                                 .schema = {std::move(schema)}});
    }
  }

  void add_path_parameter(const http::route_segment& segment) {
    auto member = std::ranges::find_if(
      shape_.members, [&](const request_member& each) { return each.text.name == segment.text; });
    std::string schema = member == shape_.members.end() ? R"({"type":"string"})" : member->parameter_schema;
    const bool is_rest = segment.kind == http::segment_kind::rest;
    if (!is_rest && schema == R"({"type":"string"})")
      schema = R"({"type":"string","minLength":1})";
    out_.parameters.push_back(
      {.name = segment.text,
       .in = "path",
       .required = true,
       .description =
         is_rest ? std::optional<std::string>{"the rest of the path, with its slashes"} : std::nullopt,
       .schema = {std::move(schema)}});
  }

  void add_body() {
    if (!has_body_)
      return;
    switch (shape_.input) {
    case input_kind::none:
      break;
    case input_kind::request:
    case input_kind::raw:
      out_.request_body = json_text{R"({"content":{"*/*":{}}})"};
      break;
    case input_kind::body:
      set_json_body(shape_.input_schema, true);
      break;
    case input_kind::members:
      add_members_body();
    }
  }

  /// Of a struct with members in the path, the rest.
  void add_members_body() {
    std::string properties;
    std::string required;
    bool is_whole = true;
    for (const auto& member : shape_.members) {
      if (is_in_path(member.text.name)) {
        is_whole = false;
        if (shape_.is_strict) // it may be there all the same
          properties.append(properties.empty() ? "" : ",")
            .append(quoted(member.text.name))
            .append(R"(:{"description":"comes from the path; what is here is skipped"})");
        continue;
      }
      auto schema = member.schema;
      if (!member.default_value.empty())
        schema = codec::with_member(std::move(schema), "default", member.default_value);
      properties.append(properties.empty() ? "" : ",")
        .append(quoted(member.text.name))
        .append(":")
        .append(schema);
      if (member.is_required_in_body)
        required.append(required.empty() ? "" : ",").append(quoted(member.text.name));
    }
    std::string rest = R"({"type":"object","properties":{)" + properties + "}}";
    if (!required.empty())
      rest = codec::with_member(std::move(rest), "required", "[" + required + "]");
    if (shape_.is_strict)
      rest = codec::with_member(std::move(rest), "additionalProperties", "false");
    set_json_body(is_whole ? shape_.input_schema : rest, !required.empty());
  }

  void set_json_body(const std::string& schema, bool is_required) {
    out_.request_body = json_text{std::string{R"({"required":)"} + (is_required ? "true" : "false")
                                  + R"(,"content":{"application/json":{"schema":)" + schema + "}}}"};
  }

  void add_success() {
    switch (shape_.output) {
    case output_kind::nothing:
      add("204", answer("Done"));
      break;
    case output_kind::json:
      add("200", answer("Done", "application/json", shape_.output_schema));
      break;
    case output_kind::text:
      add("200", answer("Done", "text/plain", R"({"type":"string"})"));
      break;
    case output_kind::bytes:
      add("200", answer("Done", "application/octet-stream", "{}"));
      break;
    case output_kind::response:
      add("200", answer("What the program answers"));
      break;
    case output_kind::stream:
      add("200",
          json_text{R"({"description":"One after the other","content":{"text/event-stream":{"schema":{}},)"
                    R"("application/x-ndjson":{"schema":)"
                    + shape_.output_schema + "}}}"});
      break;
    case output_kind::records:
      out_.schemas.emplace(collected_name, json_text{std::string{collected_schema}});
      add("200", answer("Its sink has confirmed it", "application/json", reference(collected_name)));
    }
  }

  /// What Sluice itself answers.
  void note_failures() {
    if (reads_json())
      note("415", "The body is not JSON");
    note("400", reads_json() ? "The request or its body is malformed" : "The request is malformed");
    std::string refused;
    if (shape_.input == input_kind::members || reads_json())
      refused = "A value is missing, given twice or of the wrong type";
    if (shape_.output == output_kind::records)
      refused +=
        std::string{refused.empty() ? "The" : ", or the"} + " Idempotency-Key belongs to another request";
    if (!refused.empty())
      note("422", refused);
    if (has_body_)
      note("413", "The body is too large");
    if (by_ != method::get)
      note("403", other_site);
    note("405", "The path has other methods");
    note("429", too_many);
    note("500", "The program failed; the logs have the id");
    note("502", "The replica was lost with the request");
    note("503", "Too busy; try again after the time in Retry-After");
    note("504", "It took too long");
  }

  /// What the program answers. If it says so, the list is whole: no `default`, which would allow anything, but what is
  /// answered before there is a route.
  void note_errors(const std::vector<documented_error>& errors) {
    if (shape_.output == output_kind::response) {
      note("default", "What the program answers");
    } else if (errors.empty()) {
      note("default", "Refused");
    } else {
      note("408", "The request came too slowly");
      note("414", "The request line is too long");
      note("431", "The header fields are too long or too many");
    }
    for (const auto& each : errors)
      note(std::to_string(each.status), each.description);
    if (shape_.is_output_optional && !failures_.contains("404"))
      note("404", "There is none");
  }

  bool reads_json() const {
    return has_body_ && (shape_.input == input_kind::members || shape_.input == input_kind::body);
  }

  void add_guard(const route_guard& guard) {
    note("401", "Credentials are missing or wrong");
    if (guard.what == route_guard::kind::bearer) {
      out_.security_schemes.emplace("bearer", json_text{R"({"type":"http","scheme":"bearer"})"});
      return;
    }
    note("403", "The key is wrong");
    out_.security_schemes.emplace(
      guard.header, json_text{R"({"type":"apiKey","in":"header","name":)" + quoted(guard.header) + "}"});
  }

  void add(std::string status, json_text response) {
    out_.responses.emplace(std::move(status), std::move(response));
  }

  /// Of two reasons for one status both are told, the later one first: what the program says goes before what Sluice does.
  void note(const std::string& status, std::string_view why) {
    auto& text = failures_[status];
    text = text.empty() ? std::string{why} : std::string{why} + "; or: " + text;
  }

  /// With the schema of errors, or of anything where the program may answer so itself.
  void add_failures() {
    for (const auto& [status, why] : failures_)
      add(status, shape_.output == output_kind::response
                    ? answer(why)
                    : answer(why, "application/json", reference(error_name)));
  }

  const request_shape& shape_;
  method by_;
  bool has_body_;
  std::map<std::string, std::string> failures_; ///< by status, why
  std::vector<http::route_segment> segments_;
  http::operation_document out_;
};

} // namespace

std::string find_mistake(const std::vector<documented_error>& errors) {
  std::set<unsigned> known;
  for (const auto& each : errors) {
    const auto status = std::to_string(each.status);
    if (each.status < 400 || each.status > 599)
      return status + " is no status of an error, which are 400 to 599";
    if (!known.insert(each.status).second)
      return status + " is given twice";
    if (each.description.empty())
      return status + " has no description: say what it means here";
    if (each.description.size() > description_bytes_max)
      return "the description of " + status + " has more than " + std::to_string(description_bytes_max)
             + " bytes";
  }
  return {};
}

std::string describe_operation(const request_shape& shape, std::string_view route, method by,
                               const std::optional<route_guard>& guard,
                               const std::vector<documented_error>& errors) {
  return operation_builder{shape, route, by}.text(guard, errors);
}

std::string describe_websocket(const websocket_shape& shape, std::string_view route,
                               const std::optional<route_guard>& guard) {
  request_shape path; // of the request nothing but the path's parameters is known
  path.input = input_kind::request;
  path.schemas = shape.schemas;
  return operation_builder{path, route, method::get}.websocket_text(shape, guard);
}

} // namespace sluice::processor
