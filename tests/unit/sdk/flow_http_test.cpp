// Goal: endpoints and collectors become the description that their options say, and what contradicts
// itself is told with processor, option and rule.

#include <sluice/flow.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

struct key {
  std::string id;
  int limit = 10;
};
struct order {
  std::string id;
  std::vector<int> counts;
  std::map<std::string, int> prices;
};
struct database {
  int id;
};

std::string find(const key& in) { return in.id; }
order change(order in) { return in; }
std::vector<order> accept(order in) { return {in}; }
std::vector<int> numbers(std::vector<int> in) { return in; }
raw untouched(raw in) { return in; }
response whole(request) { return {}; }
void none() {}
void none_at(const request&) {}
void consume(raw) {}
async<std::string> find_later(key in) { co_return in.id; }
stream<std::string> watch(key in) { co_yield in.id; }
async<std::vector<order>> accept_later(order in) { co_return std::vector<order>{std::move(in)}; }

struct with_database {
  explicit with_database(database& db) : db(db) {}
  int process() { return db.id; }
  database& db;
};

std::string mistake(const flow& f) {
  try {
    f.spec();
    return "";
  } catch (const flow_error& e) {
    return e.what();
  }
}

template <auto Function>
std::string endpoint_mistake(endpoint_options options) {
  flow f{"shop"};
  f.endpoint<Function>("lookup", std::move(options));
  return mistake(f);
}

template <auto Function>
std::string collector_mistake(collector_options options) {
  flow f{"shop"};
  f.collector<Function>("ingest", std::move(options));
  return mistake(f);
}

/// What `check` says after one change to a good endpoint.
std::string spec_mistake(const std::function<void(processor_spec&)>& change) {
  processor_spec spec;
  spec.name = processor_name{"lookup"};
  spec.kind = pattern::endpoint;
  spec.http = http_spec{.route = "/orders/{id}"};
  change(spec);
  auto checked = check({flow_name{"shop"}, "", {spec}});
  return checked ? "" : checked.error().message;
}

} // namespace

TEST_CASE("an endpoint is described by its options") {
  flow f{"shop"};
  f.endpoint<find>("lookup", {.route = "/orders/{id}",
                              .method = method::get,
                              .num_replicas = 2,
                              .max_replicas = 5,
                              .num_concurrency = 8,
                              .timeout = 2s,
                              .target_ongoing_requests = 4,
                              .max_queued_requests = 50,
                              .body_bytes_max = 1000,
                              .rate_limit = 0.5,
                              .rate_burst = 3,
                              .cors_origins = {"https://shop.example"},
                              .guard = bearer_token_from_env("ORDERS_TOKEN")});
  auto spec = f.spec().processors.at(0);
  REQUIRE(spec.http);
  CHECK(spec.http->openapi.find("ORDERS_TOKEN") == std::string::npos);
  spec.http->openapi.clear();
  processor_spec expected;
  expected.name = processor_name{"lookup"};
  expected.kind = pattern::endpoint;
  expected.num_cpus = 0.1;
  expected.num_replicas = 2;
  expected.min_replicas = 1;
  expected.max_replicas = 5;
  expected.num_concurrency = 8;
  expected.timeout = 2000ms;
  expected.input_type = "key";
  expected.output_type = "string";
  expected.http = http_spec{.route = "/orders/{id}",
                            .method = method::get,
                            .body_bytes_max = 1000,
                            .max_queued_requests = 50,
                            .target_ongoing_requests = 4,
                            .rate_limit = 0.5,
                            .rate_burst = 3,
                            .cors_origins = {"https://shop.example"}};
  CHECK(spec == expected);
  CHECK(std::get<request_body_factory>(f.bodies().at(processor_name{"lookup"}))() != nullptr);
}

TEST_CASE("what the autoscaler aims at follows from what a replica takes at once, unless it is said") {
  flow f{"shop"};
  f.endpoint<find>("one", {.route = "/a"});
  f.endpoint<find>("threads", {.route = "/b", .num_concurrency = 9});
  f.endpoint<find_later>("coroutines", {.route = "/c"});
  f.collector<accept_later>("accept", {.route = "/d", .sink = io::queue("orders")});
  f.endpoint<find_later>("said", {.route = "/e", .target_ongoing_requests = 7});
  std::vector<std::uint32_t> targets;
  for (const auto& each : f.spec().processors)
    targets.push_back(each.http->target_ongoing_requests);
  CHECK(targets == std::vector<std::uint32_t>{2, 4, 50, 50, 7});
}

TEST_CASE(
  "many coroutines of a route run side by side unless it says how many; other code asks for threads") {
  flow f{"shop"};
  f.endpoint<find>("find", {.route = "/a"});
  f.endpoint<find_later>("find-later", {.route = "/b"});
  f.endpoint<find_later>("find-one", {.route = "/c", .num_concurrency = 1});
  f.endpoint<watch>("watch", {.route = "/d"});
  f.collector<accept>("accept", {.route = "/e", .sink = io::queue("orders")});
  f.collector<accept_later>("accept-later", {.route = "/f", .sink = io::queue("orders")});
  f.collector<accept_later>("accept-two", {.route = "/g", .sink = io::queue("orders"), .num_concurrency = 2});
  f.websocket<find>("echo", {.route = "/h"});
  f.websocket<find_later>("echo-later", {.route = "/i"});
  f.websocket<find_later>("echo-three", {.route = "/j", .num_concurrency = 3});
  std::vector<std::uint32_t> counts;
  for (const auto& each : f.spec().processors)
    counts.push_back(each.num_concurrency);
  CHECK(counts == std::vector<std::uint32_t>{1, 100, 1, 100, 1, 100, 2, 1, 100, 3});
}

TEST_CASE("a collector takes POST and has a sink") {
  flow f{"shop"};
  f.collector<accept>("ingest", {.route = "/orders", .sink = io::queue("orders")});
  auto spec = f.spec().processors.at(0);
  CHECK(spec.kind == pattern::collector);
  CHECK(spec.source == io_spec{});
  CHECK(spec.sink == io::queue("orders"));
  CHECK(spec.input_type == "order");
  CHECK(spec.output_type == "order");
  CHECK(spec.http->method == method::post);
  CHECK(spec.http->route == "/orders");
  CHECK(
    collector_mistake<accept>({.route = "/orders"})
    == "processor \"ingest\": sink: is missing; say where the results go, or sluice::empty() to drop them");
}

TEST_CASE("a description of HTTP processors reads back as the same flow") {
  flow f{"shop"};
  f.endpoint<find>("lookup", {.route = "/orders/{id}", .cors_origins = {"*"}})
    .endpoint<change>("change", {.route = "/orders/{id}", .method = method::put})
    .endpoint<none>("remove", {.route = "/orders", .method = method::delete_})
    .collector<accept>("ingest", {.route = "/orders", .sink = io::queue("orders")})
    .consumer<consume>("audit", {.source = io::queue("orders")});
  auto spec = f.spec();
  CHECK(flow_spec_from_json(to_json(spec)) == spec);
  CHECK(to_json(spec).find("\"method\": \"DELETE\"") != std::string::npos);
}

TEST_CASE("a method that is none is named with its path") {
  auto spec = flow_spec_from_json(R"({"sluice":"9","flow":{"name":"f","processors":[
    {"name":"p","pattern":"endpoint","http":{"route":"/","method":"get"}}]}})");
  REQUIRE_FALSE(spec);
  CHECK(spec.error().message
        == "description.flow.processors[0].http.method: expected a method such as GET, got \"get\"");
}

TEST_CASE("route, method and argument fit each other") {
  CHECK(endpoint_mistake<find>({.route = "/orders/{id}"}) == "");
  CHECK(endpoint_mistake<find>({.route = "/orders"}) == ""); // from the query
  CHECK(endpoint_mistake<find>({.route = "/orders/{key}"})
        == "processor \"lookup\": route: {key} goes nowhere: key has no such member");
  CHECK(
    endpoint_mistake<change>({.route = "/orders/{counts}", .method = method::put})
    == "processor \"lookup\": route: {counts} cannot be read from a path: it is no single value in order");
  CHECK(endpoint_mistake<change>({.route = "/orders/{id}"})
        == "processor \"lookup\": method: GET has no body, and order.prices cannot be read from a query");
  CHECK(endpoint_mistake<numbers>({.route = "/numbers", .method = method::delete_})
        == "processor \"lookup\": method: DELETE has no body, which is what the argument is read from");
  CHECK(endpoint_mistake<numbers>({.route = "/numbers/{id}", .method = method::post})
        == "processor \"lookup\": route: {id} goes nowhere: the argument is the body; take a struct with "
           "this member");
  CHECK(collector_mistake<untouched>({.route = "/", .method = method::get, .sink = io::queue("q")})
          .find("has no body")
        != std::string::npos);
  CHECK(endpoint_mistake<whole>({.route = "/{any}/{rest...}"}) == "");
  CHECK(endpoint_mistake<none>({.route = "/{any}"}) == "");
}

TEST_CASE("routes are checked") {
  CHECK(endpoint_mistake<none>({}) == "processor \"lookup\": route: is missing");
  CHECK(endpoint_mistake<none>({.route = "orders"}) == "processor \"lookup\": route: must start with '/'");
  CHECK(endpoint_mistake<none>({.route = "/{rest...}/x"})
        == "processor \"lookup\": route: \"{rest...}\" must be the last segment");
  CHECK(endpoint_mistake<none>({.route = "/" + std::string(1024, 'x')})
        == "processor \"lookup\": route: has more than 1024 bytes");
}

TEST_CASE("the pages of Sluice itself are nobody's route, whatever the method") {
  CHECK(endpoint_mistake<none>({.route = "/docs"})
        == "processor \"lookup\": route: /docs is a page of Sluice itself, as /openapi.json and /docs are; "
           "take another path");
  CHECK(endpoint_mistake<none>({.route = "/docs/", .method = method::post}) != "");
  CHECK(endpoint_mistake<none>({.route = "/openapi%2ejson"}) != "");
  CHECK(collector_mistake<accept>({.route = "/openapi.json", .sink = io::queue("q")}) != "");
  flow socket{"shop"};
  socket.websocket<find>("echo", {.route = "/docs"});
  CHECK(mistake(socket) != "");
  for (const char* good : {"/docs/api", "/Docs", "/openapi.json/x", "/{rest...}", "/{page}"})
    CHECK(endpoint_mistake<none>({.route = good}) == "");
}

TEST_CASE("two processors on one route are both named") {
  flow f{"shop"};
  f.endpoint<find>("lookup", {.route = "/orders/{id}"})
    .endpoint<change>("change", {.route = "/orders/{id}", .method = method::put})
    .endpoint<whole>("other", {.route = "/orders/{key}"});
  CHECK(mistake(f)
        == "processor \"other\": route: GET /orders/{key} is taken by processor \"lookup\" (/orders/{id})");
}

TEST_CASE("methods that a pattern cannot have are refused") {
  CHECK(endpoint_mistake<none>({.route = "/", .method = method::head})
        == "processor \"lookup\": method: HEAD and OPTIONS are answered by the ingress itself");
  CHECK(collector_mistake<accept>({.route = "/", .method = method::put, .sink = io::queue("q")})
        == "processor \"ingest\": method: a collector takes POST or GET");
}

TEST_CASE("HTTP options have ranges") {
  CHECK(endpoint_mistake<none>({.route = "/", .body_bytes_max = 0})
        == "processor \"lookup\": body_bytes_max: must be from 1 to 16777216, is 0");
  CHECK(endpoint_mistake<none>({.route = "/", .body_bytes_max = (16u << 20) + 1}).find("body_bytes_max")
        != std::string::npos);
  CHECK(endpoint_mistake<none>({.route = "/", .target_ongoing_requests = 0})
        == "processor \"lookup\": target_ongoing_requests: must be from 1 to 100000, is 0");
  CHECK(endpoint_mistake<none>({.route = "/", .rate_limit = -1})
        == "processor \"lookup\": rate_limit: must be from 0 to 1000000 requests per second, is -1.000000");
  CHECK(endpoint_mistake<none>({.route = "/", .rate_burst = 5})
        == "processor \"lookup\": rate_burst: is of no use without a rate_limit");
  CHECK(endpoint_mistake<none>({.route = "/", .max_queued_requests = 0}) == "");
  CHECK(endpoint_mistake<none>({.route = "/", .max_queued_requests = 100'001})
        == "processor \"lookup\": max_queued_requests: must be from 0 to 100000, is 100001");
  CHECK(endpoint_mistake<none>({.route = "/", .timeout = 25h})
        == "processor \"lookup\": timeout: must not be above 24 hours");
}

TEST_CASE("CORS origins are written as browsers send them") {
  auto told = [](std::string origin) {
    return endpoint_mistake<none>({.route = "/", .cors_origins = {std::move(origin)}});
  };
  for (const char* good : {"*", "https://example.org", "http://localhost:8080", "https://[::1]:8443"})
    CHECK(told(good) == "");
  CHECK(told("https://example.org/")
        == "processor \"lookup\": cors_origins: \"https://example.org/\" is no origin such as "
           "https://example.org:8443, and not \"*\"");
  for (const char* bad : {"", "example.org", "https://", "https://a b", "https://*.example.org"})
    CHECK(told(bad) != "");
}

TEST_CASE("guards are checked") {
  CHECK(endpoint_mistake<none>({.route = "/", .guard = bearer_token_from_env("")})
        == "processor \"lookup\": guard: \"\" is no name of an environment variable");
  CHECK(endpoint_mistake<none>({.route = "/", .guard = api_key_from_env("X Key", "KEY")})
        == "processor \"lookup\": guard: \"X Key\" is no name of a header field");
}

TEST_CASE("errors that are documented are errors, each once, with what they mean") {
  auto told = [](std::vector<documented_error> errors) {
    auto of_endpoint = endpoint_mistake<none>({.route = "/", .errors = errors});
    const auto of_collector =
      collector_mistake<accept>({.route = "/", .sink = io::queue("q"), .errors = std::move(errors)});
    CHECK(of_endpoint.substr(std::min(of_endpoint.size(), of_endpoint.find("errors: ")))
          == of_collector.substr(std::min(of_collector.size(), of_collector.find("errors: "))));
    return of_endpoint;
  };
  CHECK(told({{400, "a"}, {404, "b"}, {599, "c"}}) == "");
  CHECK(told({{399, "a"}})
        == "processor \"lookup\": errors: 399 is no status of an error, which are 400 to 599");
  CHECK(told({{600, "a"}}) != "");
  CHECK(told({{409, "taken"}, {404, "none"}, {409, "sold"}})
        == "processor \"lookup\": errors: 409 is given twice");
  CHECK(told({{409, ""}}) == "processor \"lookup\": errors: 409 has no description: say what it means here");
  CHECK(told({{409, std::string(1025, 'x')}})
        == "processor \"lookup\": errors: the description of 409 has more than 1024 bytes");
}

TEST_CASE("only what takes requests has a route, only what takes records a source") {
  CHECK(spec_mistake([](auto&) {}) == "");
  CHECK(spec_mistake([](auto& p) { p.http.reset(); }) == "processor \"lookup\": route: is missing");
  CHECK(spec_mistake([](auto& p) { p.source = io::queue("q"); })
        == "processor \"lookup\": source: must not be given; pattern: endpoint");
  CHECK(spec_mistake([](auto& p) { p.sink = io::queue("q"); })
        == "processor \"lookup\": sink: must not be given; pattern: endpoint");
  CHECK(spec_mistake([](auto& p) {
          p.kind = pattern::consumer;
          p.source = io::queue("q");
          p.sink = io::empty();
        })
        == "processor \"lookup\": route: must not be given to a consumer");
  CHECK(spec_mistake([](auto& p) {
          p.kind = pattern::websocket;
          p.http->method = method::post;
        })
        == "processor \"lookup\": method: a websocket opens with GET");
}

TEST_CASE("what a class takes must be provided, once") {
  flow f{"shop"};
  f.endpoint<with_database>("lookup", {.route = "/"});
  CHECK(mistake(f)
        == "processor \"lookup\": takes a database, which nothing provides; say flow.provide<database>(...)");
  f.provide<database>([] { return database{7}; });
  CHECK(mistake(f) == "");
  f.provide<database>([] { return database{8}; }, scope::replica);
  CHECK(mistake(f) == "flow \"shop\": provide: database is provided twice");
}

namespace {

struct guest {
  explicit guest(database&) {}
  void open(connection<order>& to) { to.join("lobby"); }
  void process(const key&) {}
};

} // namespace

TEST_CASE("a WebSocket becomes a route of GET with its bounds and messages") {
  flow f{"shop"};
  f.websocket<find>("echo", {.route = "/echo/{name}",
                             .num_concurrency = 4,
                             .max_connections = 7,
                             .target_connections = 5,
                             .message_bytes_max = 2000,
                             .rate_limit = 6,
                             .cors_origins = {"https://a.example"}});
  auto spec = f.spec();
  REQUIRE(spec.processors.size() == 1);
  const auto& echo = spec.processors[0];
  CHECK(echo.kind == pattern::websocket);
  CHECK(echo.num_cpus == 0.1);
  CHECK(echo.num_concurrency == 4);
  CHECK(echo.input_type == "key");
  CHECK(echo.output_type == "string");
  REQUIRE(echo.http);
  CHECK(echo.http->method == method::get);
  CHECK(echo.http->body_bytes_max == 2000);
  CHECK(echo.http->max_connections == 7);
  CHECK(echo.http->rate_limit == 6);
  CHECK(echo.http->target_ongoing_requests == 5);
  CHECK(echo.http->openapi.find("\"101\"") != std::string::npos);
  CHECK(echo.http->openapi.find("\"name\"") != std::string::npos);
  CHECK(flow_spec_from_json(to_json(spec)) == spec);
  CHECK(std::holds_alternative<request_body_factory>(f.bodies().at(processor_name{"echo"})));
}

TEST_CASE("what a WebSocket may not be is told with option and rule") {
  flow none{"shop"};
  none.websocket<find>("echo", {.route = "/echo", .max_connections = 0});
  CHECK(mistake(none) == "processor \"echo\": max_connections: must be from 1 to 1000000, is 0");
  flow wild{"shop"};
  wild.websocket<find>("echo", {.route = "/echo", .cors_origins = {"example.org"}});
  CHECK(mistake(wild).find("cors_origins") != std::string::npos);
  flow needy{"shop"};
  needy.websocket<guest>("chat", {.route = "/chat"});
  CHECK(mistake(needy).find("flow.provide<database>") != std::string::npos);
  flow taken{"shop"};
  taken.websocket<find>("echo", {.route = "/echo/{a}"});
  taken.endpoint<none_at>("page", {.route = "/echo/{b}"});
  CHECK(mistake(taken).find("is taken by processor") != std::string::npos);
}
