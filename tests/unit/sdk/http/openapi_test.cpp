// Goal: the document has every processor with its types, every reference leads somewhere, and parts of
// several flows do not disturb each other.

#include <sluice/codec/codec.hpp>
#include <sluice/flow.hpp>
#include <sluice/http/openapi.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace sluice;
using http::documented_processor;
namespace json = boost::json;

namespace {

enum class color { red, green };

struct item {
  std::string sku;
  double price;
};

struct key {
  std::string id;
  int limit = 10;
  std::optional<color> shade;
  std::vector<std::string> tags;
};

struct order {
  std::string id;
  std::vector<item> items;
  std::optional<std::string> note;
};

struct strict_note {
  std::string id;
  std::string text;
  static constexpr bool sluice_strict = true;
};

namespace other {
struct item {
  bool different;
};
struct order {
  item only;
};
} // namespace other

std::optional<order> find(const key&) { return std::nullopt; }
order change(order in) { return in; }
strict_note change_note(strict_note in) { return in; }
other::order change_other(other::order in) { return in; }
void drop(const key&) {}
std::string hello() { return {}; }
bytes binary(request) { return {}; }
response whole(request) { return {}; }

template <auto Function>
documented_processor endpoint(std::string name, endpoint_options options, std::string flow_of = "shop") {
  flow f{flow_of};
  f.endpoint<Function>(name, std::move(options));
  auto spec = f.spec().processors.at(0);
  return {flow_name{flow_of}, spec.name, spec.kind, *spec.http};
}

template <auto Function>
documented_processor collector(std::string name, collector_options options) {
  flow f{"shop"};
  f.collector<Function>(name, std::move(options));
  auto spec = f.spec().processors.at(0);
  return {flow_name{"shop"}, spec.name, spec.kind, *spec.http};
}

json::value document(const std::vector<documented_processor>& processors) {
  return json::parse(http::openapi_document("test", processors));
}

/// What stands at a JSON pointer, or null.
const json::value& at(const json::value& in, std::string_view pointer) {
  static const json::value nothing;
  json::error_code error;
  auto found = in.find_pointer(pointer, error);
  return found == nullptr ? nothing : *found;
}

void collect_references(const json::value& in, std::set<std::string>& out) {
  if (in.is_object())
    for (const auto& [name, value] : in.get_object()) {
      if (name == "$ref")
        out.insert(std::string{value.as_string()});
      collect_references(value, out);
    }
  if (in.is_array())
    for (const auto& value : in.get_array())
      collect_references(value, out);
}

/// The rules of OpenAPI 3.1 that a wrong builder would break first.
void check_structure(const json::value& doc) {
  CHECK(at(doc, "/openapi") == "3.1.0");
  CHECK(at(doc, "/info/title").is_string());
  CHECK(at(doc, "/info/version").is_string());
  std::set<std::string> references;
  collect_references(doc, references);
  for (const auto& reference : references) {
    REQUIRE(reference.starts_with("#/"));
    CHECK_MESSAGE(at(doc, reference.substr(1)).is_object(), reference);
  }
  std::set<std::string> ids;
  for (const auto& [path, methods] : at(doc, "/paths").as_object()) {
    std::set<std::string> in_template;
    for (auto open = path.find('{'); open != json::string_view::npos; open = path.find('{', open + 1))
      in_template.insert(std::string{path.substr(open + 1, path.find('}', open) - open - 1)});
    for (const auto& [method, operation] : methods.as_object()) {
      CHECK(std::set<std::string>{"get", "post", "put", "patch", "delete"}.contains(std::string{method}));
      CHECK(ids.insert(std::string{operation.at("operationId").as_string()}).second);
      std::set<std::string> in_path;
      if (auto parameters = operation.as_object().if_contains("parameters"))
        for (const auto& each : parameters->as_array()) {
          CHECK(each.at("schema").is_object());
          if (each.at("in") == "path") {
            CHECK(each.at("required") == true);
            in_path.insert(std::string{each.at("name").as_string()});
          }
        }
      CHECK(in_path == in_template);
      CHECK_FALSE(operation.at("responses").as_object().empty());
      for (const auto& [status, answer] : operation.at("responses").as_object()) {
        CHECK((status == "default" || (status.size() == 3 && status >= "200" && status < "600")));
        CHECK(answer.at("description").is_string());
      }
    }
  }
}

} // namespace

TEST_CASE("a GET has its parameters, what it returns and how it fails") {
  auto doc = document({endpoint<find>("find", {.route = "/orders/{id}"})});
  check_structure(doc);
  auto get = at(doc, "/paths/~1orders~1{id}/get");
  CHECK(get.at("operationId") == "shop.find");
  CHECK(get.at("tags") == json::value{"shop"});
  CHECK(get.at("parameters") == json::parse(R"([
    {"name":"id","in":"path","required":true,"schema":{"type":"string","minLength":1}},
    {"name":"limit","in":"query","required":false,"schema":{"type":"integer","format":"int32",
      "minimum":-2147483648,"maximum":2147483647,"default":10}},
    {"name":"shade","in":"query","required":false,"schema":{"type":"string","enum":["red","green"]}},
    {"name":"tags","in":"query","required":false,"schema":{"type":"array","items":{"type":"string"}}}])"));
  CHECK_FALSE(get.as_object().contains("requestBody"));
  auto result = at(get, "/responses/200/content/application~1json/schema/$ref");
  REQUIRE(result.is_string());
  auto schema = at(doc, std::string{result.as_string()}.substr(1));
  CHECK(at(schema, "/properties/id/type") == "string");
  CHECK(at(schema, "/required") == json::value{"id", "items"});
  for (const char* status : {"404", "422", "429", "500", "502", "503", "504", "405", "400"})
    CHECK(at(get, std::string{"/responses/"} + status).is_object());
  CHECK(at(get, "/responses/422/content/application~1json/schema/$ref")
        == "#/components/schemas/sluice.error");
}

TEST_CASE("a body is the whole struct, or what the path leaves of it") {
  auto doc = document({endpoint<change>("create", {.route = "/orders", .method = method::post}),
                       endpoint<change>("change", {.route = "/orders/{id}", .method = method::put})});
  check_structure(doc);
  auto create = at(doc, "/paths/~1orders/post");
  CHECK(at(create, "/requestBody/required") == true);
  CHECK(at(create, "/requestBody/content/application~1json/schema/$ref").is_string());
  CHECK_FALSE(create.as_object().contains("parameters"));
  for (const char* status : {"200", "400", "413", "415", "422"})
    CHECK(at(create, std::string{"/responses/"} + status).is_object());
  auto rest = at(doc, "/paths/~1orders~1{id}/put/requestBody/content/application~1json/schema");
  CHECK(at(rest, "/required") == json::value{"items"});
  CHECK(at(rest, "/properties/items").is_object());
  CHECK(at(rest, "/properties/id").is_null());
}

TEST_CASE("results that are no JSON are described as what they are") {
  auto doc = document({endpoint<drop>("drop", {.route = "/orders/{id}", .method = method::delete_}),
                       endpoint<hello>("hello", {.route = "/"}),
                       endpoint<binary>("binary", {.route = "/files/{rest...}", .method = method::post}),
                       endpoint<whole>("whole", {.route = "/whole/{any}"})});
  check_structure(doc);
  CHECK(at(doc, "/paths/~1orders~1{id}/delete/responses/204").is_object());
  CHECK(at(doc, "/paths/~1orders~1{id}/delete/responses/200").is_null());
  CHECK(at(doc, "/paths/~1/get/responses/200/content/text~1plain/schema/type") == "string");
  CHECK(at(doc, "/paths/~1files~1{rest}/post/responses/200/content/application~1octet-stream").is_object());
  CHECK(at(doc, "/paths/~1files~1{rest}/post/requestBody/content/*~1*").is_object());
  CHECK(at(doc, "/paths/~1whole~1{any}/get/responses/default/content").is_null());
}

TEST_CASE(
  "what a program says that it throws is told with the schema of errors, and nothing else is allowed") {
  const std::vector<documented_error> taken{{409, "It is \"taken\""}, {404, "No such customer"}};
  auto doc =
    document({endpoint<change>("change", {.route = "/orders", .method = method::post, .errors = taken}),
              collector<change>("ingest", {.route = "/in", .sink = io::queue("in"), .errors = taken}),
              endpoint<change>("other", {.route = "/other", .method = method::post})});
  check_structure(doc);
  for (const char* path : {"/paths/~1orders/post/responses", "/paths/~1in/post/responses"}) {
    auto all = at(doc, path);
    CHECK(at(all, "/409/description") == "It is \"taken\"");
    CHECK(at(all, "/404/description") == "No such customer");
    CHECK(at(all, "/409/content/application~1json/schema/$ref") == "#/components/schemas/sluice.error");
    CHECK(at(all, "/default").is_null());
    for (const char* status :
         {"400", "403", "405", "408", "413", "414", "415", "422", "429", "431", "500", "502", "503", "504"})
      CHECK_MESSAGE(at(all, std::string{"/"} + status).is_object(), status);
  }
  CHECK(at(doc, "/paths/~1other/post/responses/default/content/application~1json").is_object());
}

TEST_CASE(
  "a status of the program that Sluice answers with, too, has both reasons; that there is none is its own") {
  auto doc = document(
    {endpoint<find>("find", {.route = "/a/{id}", .errors = {{404, "No such order"}, {503, "Closed"}}}),
     endpoint<hello>("hello", {.route = "/b",
                               .method = method::post,
                               .guard = api_key_from_env("X-Key", "KEY"),
                               .errors = {{403, "Not yours"}}})});
  check_structure(doc);
  CHECK(at(doc, "/paths/~1a~1{id}/get/responses/404/description") == "No such order");
  CHECK(at(doc, "/paths/~1a~1{id}/get/responses/503/description")
        == "Closed; or: Too busy; try again after the time in Retry-After");
  CHECK(at(doc, "/paths/~1a~1{id}/get/responses/403").is_null());
  CHECK(at(doc, "/paths/~1b/post/responses/403/description")
        == "Not yours; or: The key is wrong; or: The page that asks is of another site");
}

TEST_CASE("what a program makes itself may be anything, whatever it says that it throws") {
  auto doc = document({endpoint<whole>("whole", {.route = "/whole/{any}", .errors = {{409, "Taken"}}})});
  check_structure(doc);
  auto all = at(doc, "/paths/~1whole~1{any}/get/responses");
  CHECK(at(all, "/409/description") == "Taken");
  CHECK(at(all, "/409/content").is_null());
  CHECK(at(all, "/default").is_object());
}

TEST_CASE("a collector confirms") {
  auto doc = document({collector<change>("ingest", {.route = "/orders", .sink = io::queue("orders")})});
  check_structure(doc);
  CHECK(at(doc, "/paths/~1orders/post/responses/200/content/application~1json/schema/$ref")
        == "#/components/schemas/sluice.collected");
  CHECK(at(doc, "/paths/~1orders/post/responses/422/description")
        == "A value is missing, given twice or of the wrong type, or the Idempotency-Key belongs to another "
           "request");
  CHECK(at(doc, "/paths/~1orders/post/parameters/0/name") == "Idempotency-Key");
  CHECK(at(doc, "/paths/~1orders/post/parameters/0/in") == "header");
  CHECK(at(doc, "/paths/~1orders/post/parameters/0/required") == false);
}

TEST_CASE("a guard is a security scheme, and its secret is nowhere") {
  auto doc = document(
    {endpoint<hello>("a", {.route = "/a", .guard = bearer_token_from_env("SECRET_VARIABLE")}),
     endpoint<hello>("b", {.route = "/b", .guard = api_key_from_env("X-Api-Key", "SECRET_VARIABLE")}),
     endpoint<hello>("c", {.route = "/c"})});
  check_structure(doc);
  CHECK(at(doc, "/components/securitySchemes")
        == json::parse(R"({"X-Api-Key":{"type":"apiKey","in":"header","name":"X-Api-Key"},
                           "bearer":{"type":"http","scheme":"bearer"}})"));
  CHECK(at(doc, "/paths/~1a/get/security") == json::parse(R"([{"bearer":[]}])"));
  CHECK(at(doc, "/paths/~1a/get/responses/401").is_object());
  CHECK(at(doc, "/paths/~1a/get/responses/403").is_null());
  CHECK(at(doc, "/paths/~1b/get/responses/403").is_object());
  CHECK(at(doc, "/paths/~1c/get/security").is_null());
  CHECK(json::serialize(doc).find("SECRET_VARIABLE") == std::string::npos);
}

TEST_CASE("schemas of one name and different contents are kept apart, equal ones are one") {
  auto mine = endpoint<change>("change", {.route = "/a", .method = method::post});
  auto again = endpoint<change>("change", {.route = "/b", .method = method::post}, "copy");
  auto theirs = endpoint<change_other>("change", {.route = "/c", .method = method::post}, "other");
  // As a program of its own would call them, whose types are in no namespace.
  for (std::string_view name : {"order", "item"}) {
    std::string before = "other." + std::string{name};
    for (auto found = theirs.http.openapi.find(before); found != std::string::npos;
         found = theirs.http.openapi.find(before))
      theirs.http.openapi.replace(found, before.size(), name);
  }
  auto doc = document({mine, again, theirs});
  check_structure(doc);
  auto schema_of = [&](std::string_view path) {
    return std::string{
      at(doc, std::string{path} + "/post/responses/200/content/application~1json/schema/$ref").as_string()};
  };
  CHECK(schema_of("/paths/~1a") == schema_of("/paths/~1b"));
  CHECK(schema_of("/paths/~1a") != schema_of("/paths/~1c"));
  auto other_item = at(doc, schema_of("/paths/~1c").substr(1) + "/properties/only/$ref");
  CHECK(at(doc, std::string{other_item.as_string()}.substr(1) + "/properties/different/type") == "boolean");
}

TEST_CASE("paths that differ in the names of parameters are one path") {
  auto doc = document({endpoint<find>("find", {.route = "/orders/{id}"}),
                       endpoint<whole>("whole", {.route = "/orders/{name}", .method = method::delete_})});
  check_structure(doc);
  CHECK(at(doc, "/paths").as_object().size() == 1);
  CHECK(at(doc, "/paths/~1orders~1{id}/delete/parameters/0/name") == "id");
}

TEST_CASE("routes that would have the same text are told apart") {
  auto doc = document(
    {endpoint<find>("find", {.route = "/files/{id}"}), endpoint<find>("rest", {.route = "/files/{id...}"})});
  check_structure(doc);
  CHECK(at(doc, "/paths").as_object().size() == 2);
  CHECK(at(doc, "/paths/~1files~1{id}/get/parameters/0/name") == "id");
  CHECK(at(doc, "/paths/~1files~1{id_}/get/parameters/0/name") == "id_");
}

TEST_CASE("an operation has an id of its own, however names are put together") {
  auto doc =
    document({endpoint<hello>("b.c", {.route = "/a"}, "a"), endpoint<hello>("c", {.route = "/b"}, "a.b"),
              // While an update changes a route, both versions have one.
              endpoint<hello>("d", {.route = "/old"}, "a"), endpoint<hello>("d", {.route = "/new"}, "a")});
  check_structure(doc);
  CHECK(at(doc, "/paths/~1a/get/operationId") == "a.b.c");
  CHECK(at(doc, "/paths/~1b/get/operationId") == "a.b.c_2");
  CHECK(at(doc, "/paths/~1new/get/operationId") == "a.d_2");
}

TEST_CASE("a security scheme has a name that OpenAPI allows, and is not mixed up with another") {
  const auto key = [](std::string name, std::string header) {
    return endpoint<hello>(name, {.route = "/" + name, .guard = api_key_from_env(std::move(header), "KEY")});
  };
  auto doc = document({endpoint<hello>("a", {.route = "/a", .guard = bearer_token_from_env("TOKEN")}),
                       key("b", "bearer"), key("c", "X~Key"), key("d", "X!Key")});
  check_structure(doc);
  CHECK(at(doc, "/components/securitySchemes") == json::parse(R"({"bearer":{"type":"http","scheme":"bearer"},
                           "bearer_2":{"type":"apiKey","in":"header","name":"bearer"},
                           "X_Key":{"type":"apiKey","in":"header","name":"X~Key"},
                           "X_Key_2":{"type":"apiKey","in":"header","name":"X!Key"}})"));
  CHECK(at(doc, "/paths/~1a/get/security") == json::parse(R"([{"bearer":[]}])"));
  CHECK(at(doc, "/paths/~1b/get/security") == json::parse(R"([{"bearer_2":[]}])"));
  CHECK(at(doc, "/paths/~1d/get/security") == json::parse(R"([{"X_Key_2":[]}])"));
}

TEST_CASE("a body that refuses unknown members may have those of the path, which are skipped") {
  auto doc = document({endpoint<change_note>("change", {.route = "/notes/{id}", .method = method::put})});
  check_structure(doc);
  auto schema = at(doc, "/paths/~1notes~1{id}/put/requestBody/content/application~1json/schema");
  CHECK(at(schema, "/additionalProperties") == false);
  CHECK(at(schema, "/required") == json::parse(R"(["text"])"));
  CHECK(at(schema, "/properties/id").is_object());
  CHECK(at(schema, "/properties/id/type").is_null());
}

TEST_CASE("what is not documented, or not readable, is left out") {
  documented_processor bare{flow_name{"a"}, processor_name{"b"}, pattern::endpoint, {.route = "/"}};
  documented_processor broken = bare;
  broken.http.openapi = "{";
  auto doc = document({bare, broken});
  check_structure(doc);
  CHECK(at(doc, "/paths").as_object().empty());
}

TEST_CASE("the same processors make the same document") {
  std::vector<documented_processor> all{
    endpoint<find>("find", {.route = "/orders/{id}"}),
    endpoint<change>("change", {.route = "/orders", .method = method::post})};
  CHECK(http::openapi_document("t", all) == http::openapi_document("t", all));
}
