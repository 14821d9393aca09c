// Goal: requests become arguments by the rules that the builder promises, results become answers, and
// whatever goes wrong is answered once, with the place, and without the server's secrets.

#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

enum class color { red, green };

struct item {
  std::string sku;
  double price;
};

struct order {
  std::string id;
  std::vector<item> items;
  std::optional<std::string> coupon;
};

struct lookup {
  std::string id;
  int limit = 10;
  std::optional<color> shade;
  std::vector<std::string> tags;
  bool full = false;
};

struct strict_lookup {
  std::string id;
  static constexpr bool sluice_strict = true;
};

struct shown_lookup {
  std::string text;
};

struct search {
  std::vector<int> pages = {1, 2};
  std::set<int> kinds = {7};
};

shown_lookup find(const lookup& in) {
  std::string text = in.id + "/" + std::to_string(in.limit);
  if (in.shade)
    text += *in.shade == color::red ? "/red" : "/green";
  for (const auto& tag : in.tags)
    text += "#" + tag;
  return {text + (in.full ? "/full" : "")};
}

search search_as_read(search in) { return in; }
order echo(order in) { return in; }
std::string hello() { return "hello"; }
void nothing(const lookup&) {}
response bad_status() { return {99}; }
response split_header() { return {200, {{"X-Next", "a\r\nSet-Cookie: b"}}}; }
response spaced_header() { return {200, {{"X Next", "a"}}}; }
std::string no_text() { return "caf\xe9"; }
bytes binary() { return {std::string{"\0\xff", 2}}; }
std::optional<item> maybe(const lookup& in) {
  if (in.id == "none")
    return std::nullopt;
  return item{in.id, 1.5};
}
response whole(request in) {
  return {201, {{"Content-Type", "text/plain"}, {"X-Id", in.id}}, in.body + "?" + in.query};
}
std::vector<int> sorted(std::set<int> in) { return {in.begin(), in.end()}; }
std::string body_as_is(raw in) { return "<" + in.data + ">"; }
double not_a_number() { return std::numeric_limits<double>::quiet_NaN(); }
std::string teapot(const lookup&) { throw http_error{418, "short and \"stout\""}; }
std::string crash(const lookup&) { throw std::runtime_error{"password is\nhunter2"}; }
std::string crash_raw(request) { throw std::runtime_error{"lost"}; }
std::string crash_number(const lookup&) { throw 7; }
std::string strict(const strict_lookup& in) { return in.id; }

struct counter {
  int calls = 0;
  void setup() { calls = 100; }
  int process() { return ++calls; }
  void teardown() { throw std::runtime_error{"cannot stop"}; }
};

async<shown_lookup> find_later(lookup in) {
  co_await sluice::sleep(1ms);
  co_return find(in);
}
async<> wait_only() { co_await sluice::sleep(1ms); }
async<std::optional<std::string>> maybe_later(const lookup& in) { // refers to its argument while it waits
  co_await sluice::sleep(1ms);
  co_return in.id == "none" ? std::nullopt : std::optional{in.id};
}
async<int> throw_later(const lookup& in) {
  co_await sluice::sleep(1ms);
  throw http_error{404, "no " + in.id};
}
async<int> throw_at_once(const lookup&) { throw std::runtime_error{"early"}; }

request with_param(request in, std::string name, std::string value) {
  in.params.emplace_back(std::move(name), std::move(value));
  return in;
}

} // namespace

TEST_CASE("members are filled from path and query by name") {
  auto body = endpoint_of<find>(false);
  CHECK(call(*body, get("/x", "id=7")) == R"(200 application/json {"text":"7/10"})");
  CHECK(call(*body, get("/x", "id=a%20b+c&limit=3&shade=green&full=true"))
        == R"(200 application/json {"text":"a b c/3/green/full"})");
  CHECK(call(*body, with_param(get("/x/7", "limit=2"), "id", "7"))
        == R"(200 application/json {"text":"7/2"})");
  CHECK(call(*body, get("/x", "id=7&other=1&=&&x")) == R"(200 application/json {"text":"7/10"})");
}

TEST_CASE("the path goes before the query") {
  auto body = endpoint_of<find>(false);
  CHECK(call(*body, with_param(get("/x/7", "id=8&id=9"), "id", "7"))
        == R"(200 application/json {"text":"7/10"})");
}

TEST_CASE("a list takes any number of query fields, another member one") {
  auto body = endpoint_of<find>(false);
  CHECK(call(*body, get("/x", "tags=a&id=7&tags=b")) == R"(200 application/json {"text":"7/10#a#b"})");
  CHECK(call(*body, get("/x", "id=7&id=7"))
        == R"(422 application/json {"error":"given twice","path":"id","in":"query"})");
}

TEST_CASE("a list that the query gives takes the place of its default, as one of a body does") {
  auto body = endpoint_of<search_as_read>(false);
  CHECK(call(*body, get("/x")) == R"(200 application/json {"pages":[1,2],"kinds":[7]})");
  CHECK(call(*body, get("/x", "pages=3&kinds=8&pages=4"))
        == R"(200 application/json {"pages":[3,4],"kinds":[8]})");
  auto with_body = endpoint_of<search_as_read>(true);
  CHECK(call(*with_body, post(R"({"pages":[3,4]})"))
        == R"(200 application/json {"pages":[3,4],"kinds":[7]})");
}

TEST_CASE("what does not convert is told with its place") {
  auto body = endpoint_of<find>(false);
  CHECK(call(*body, get("/x", "id=7&limit=many"))
        == R"(422 application/json {"error":"expected integer, got \"many\"","path":"limit","in":"query"})");
  CHECK(
    call(*body, get("/x", "id=7&shade=blue"))
    == R"(422 application/json {"error":"expected one of red, green, got \"blue\"","path":"shade","in":"query"})");
  CHECK(call(*body, get("/x", "limit=3"))
        == R"(422 application/json {"error":"missing, expected string","path":"id","in":"query"})");
  CHECK(call(*body, with_param(get("/x/7"), "limit", "9999999999")).starts_with("422 "));
  CHECK(call(*body, with_param(get("/x/7"), "limit", "x"))
        == R"(422 application/json {"error":"expected integer, got \"x\"","path":"limit","in":"path"})");
  CHECK(call(*body, get("/x", "id=%ff"))
        == R"(422 application/json {"error":"expected text in UTF-8","path":"id","in":"query"})");
}

TEST_CASE("a query that cannot be decoded is malformed, whether or not the field is known") {
  auto body = endpoint_of<find>(false);
  const std::string rule = R"({"error":"a '%' is not followed by two hex digits","path":)";
  for (const char* query : {"id=%zz", "id=7%", "id=%4", "limit=3&id=%4g&limit=%", "i%64=%&x"})
    CHECK(call(*body, get("/x", query)) == "400 application/json " + rule + R"("id","in":"query"})");
  CHECK(call(*body, get("/x", "id=7&other=%zz"))
        == "400 application/json " + rule + R"("other","in":"query"})");
  CHECK(call(*body, get("/x", "id=7&a%z=1&b")) == "400 application/json " + rule + R"("a%z","in":"query"})");
  CHECK(call(*body, get("/x", "id=%2525%26")) == R"(200 application/json {"text":"%25&/10"})");
}

TEST_CASE("a strict struct refuses query fields that it does not have") {
  auto body = endpoint_of<strict>(false);
  CHECK(call(*body, get("/x", "id=7")) == "200 text/plain; charset=utf-8 7");
  CHECK(call(*body, get("/x", "id=7&idd=8"))
        == R"(422 application/json {"error":"no such query field","path":"idd","in":"query"})");
}

TEST_CASE("a body is JSON, and what is wrong with it is told with its place") {
  auto body = endpoint_of<echo>(true);
  CHECK(call(*body, post(R"({"id":"a","items":[{"sku":"x","price":2}],"more":1})"))
        == R"(200 application/json {"id":"a","items":[{"sku":"x","price":2}],"coupon":null})");
  CHECK(
    call(*body, post(R"({"id":"a","items":[{"sku":"x","price":"2"}]})"))
    == R"(422 application/json {"error":"expected number, got string","path":"items[0].price","in":"body"})");
  CHECK(call(*body, post(R"({"items":[]})"))
        == R"(422 application/json {"error":"missing, expected string","path":"id","in":"body"})");
  CHECK(call(*body, post("[]"))
        == R"(422 application/json {"error":"expected object, got array","in":"body"})");
  CHECK(call(*body, post("{\"id\":\n tru}"))
        == R"(400 application/json {"error":"not valid JSON at byte 8 (line 2, column 2): expected string",)"
           R"("byte":8,"line":2,"column":2,"path":"id","in":"body"})");
  CHECK(call(*body, post(""))
        == R"(422 application/json {"error":"missing, expected string","path":"id","in":"body"})");
}

TEST_CASE("what the route names comes from the path, the rest from query or body, but not from both") {
  auto body = endpoint_of<echo>(true);
  CHECK(call(*body, with_param(post(R"({"items":[],"coupon":"c"})"), "id", "7"))
        == R"(200 application/json {"id":"7","items":[],"coupon":"c"})");
  CHECK(call(*body, with_param(post(R"({"id":8,"items":[],"coupon":"c"})"), "id", "7"))
        == R"(200 application/json {"id":"7","items":[],"coupon":"c"})");
  auto in = post(R"({"id":"7","items":[]})");
  in.query = "coupon=q";
  CHECK(call(*body, in) == R"(200 application/json {"id":"7","items":[],"coupon":"q"})");
  for (const char* coupon : {R"("c")", R"("q")", "null", "[1]"}) {
    in.body = R"({"id":"7","coupon":)" + std::string{coupon} + R"(,"items":[]})";
    CHECK(call(*body, in)
          == R"(422 application/json {"error":"given in the query, too","path":"coupon","in":"body"})");
  }
  in.body = R"({"coupon":"c",)";
  CHECK(call(*body, in).starts_with("400 "));
  auto strict_in = with_param(post(R"({"id":"8"})"), "id", "7");
  strict_in.query = "id=9";
  CHECK(call(*endpoint_of<strict>(true), strict_in) == "200 text/plain; charset=utf-8 7");
  in.query = "items=q";
  CHECK(call(*body, in)
        == R"(422 application/json {"error":"cannot be given here","path":"items","in":"query"})");
  CHECK(call(*body, with_param(post(R"({"items":[})"), "id", "7")).starts_with("400 "));
}

TEST_CASE("a body of another type is refused as such") {
  auto body = endpoint_of<echo>(true);
  const std::string good = R"({"id":"a","items":[]})";
  for (const char* type : {"application/json", "Application/JSON; charset=utf-8", "application/problem+json",
                           "application/json;charset=\"UTF-8\"; v=1", ""})
    CHECK(call(*body, post(good, type)).starts_with("200 "));
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                           "application/+json", "application/json; charset=latin1", "json"})
    CHECK(call(*body, post(good, type)).starts_with("415 "));
  CHECK(
    call(*body, post(good, "text/plain"))
    == R"(415 application/json {"error":"expected a body of Content-Type application/json, got text/plain"})");
  CHECK(call(*body, with_param(post("", "text/plain"), "id", "7")).starts_with("422 ")); // there is none
}

TEST_CASE("a body may be another JSON type, or taken as it is") {
  CHECK(call(*endpoint_of<sorted>(true), post("[3,1,3]")) == "200 application/json [1,3]");
  CHECK(call(*endpoint_of<sorted>(true), post("[3,\"x\"]"))
        == R"(422 application/json {"error":"expected integer, got string","path":"[1]","in":"body"})");
  CHECK(call(*endpoint_of<sorted>(true), post("")).starts_with("400 "));
  CHECK(call(*endpoint_of<body_as_is>(true), post("no json", "text/x"))
        == "200 text/plain; charset=utf-8 <no json>");
}

TEST_CASE("the result's type says what the answer is") {
  CHECK(call(*endpoint_of<hello>(false), get("/")) == "200 text/plain; charset=utf-8 hello");
  CHECK(call(*endpoint_of<nothing>(false), get("/", "id=1")) == "204");
  CHECK(call(*endpoint_of<binary>(false), get("/"))
        == std::string{"200 application/octet-stream \0\xff", 31});
  CHECK(call(*endpoint_of<maybe>(false), get("/", "id=x"))
        == R"(200 application/json {"sku":"x","price":1.5})");
  CHECK(call(*endpoint_of<maybe>(false), get("/", "id=none"))
        == R"(404 application/json {"error":"not found"})");
  auto in = post("b", "text/plain");
  in.query = "q";
  CHECK(call(*endpoint_of<whole>(true), in) == "201 text/plain b?q");
}

TEST_CASE("an http_error keeps its status, another exception is nobody's business but the log's") {
  captured_log log;
  CHECK(call(*endpoint_of<teapot>(false), get("/", "id=1"))
        == R"(418 application/json {"error":"short and \"stout\""})");
  CHECK(log.text().empty());
  CHECK(call(*endpoint_of<crash>(false), get("/", "id=1"))
        == R"(500 application/json {"error":"internal error","id":"req-1"})");
  CHECK(log.text() == "error: processor \"lookup\": request req-1: password is hunter2\n");
  CHECK(call(*endpoint_of<crash_raw>(false), get("/"))
        == R"(500 application/json {"error":"internal error","id":"req-1"})");
  CHECK(call(*endpoint_of<crash_number>(false), get("/", "id=1"))
        == R"(500 application/json {"error":"internal error","id":"req-1"})");
  CHECK(call(*endpoint_of<not_a_number>(false), get("/"))
        == R"(500 application/json {"error":"internal error","id":"req-1"})");
  CHECK(log.text().find("the result cannot be written: value: JSON has no number for NaN\n")
        != std::string::npos);
}

TEST_CASE("an answer that cannot be sent is an exception that says why") {
  captured_log log;
  const auto failed = R"(500 application/json {"error":"internal error","id":"req-1"})";
  CHECK(call(*endpoint_of<bad_status>(false), get("/")) == failed);
  CHECK(log.text().find("the response is no valid HTTP: its status 99 is none from 200 to 999\n")
        != std::string::npos);
  CHECK(call(*endpoint_of<split_header>(false), get("/")) == failed);
  CHECK(log.text().find("the value of its header field X-Next has a line end or another control character\n")
        != std::string::npos);
  CHECK(call(*endpoint_of<spaced_header>(false), get("/")) == failed);
  CHECK(log.text().find("\"X Next\" is no name of a header field\n") != std::string::npos);
  CHECK(call(*endpoint_of<no_text>(false), get("/")) == failed);
  CHECK(log.text().find("text that is not valid UTF-8; use sluice::bytes") != std::string::npos);
}

TEST_CASE("a class is set up before its first request and torn down after its last") {
  auto body = endpoint_of<processor::class_target<counter>>(false);
  CHECK(body->setup());
  CHECK(call(*body, get("/")) == "200 application/json 101");
  CHECK(call(*body, get("/")) == "200 application/json 102");
  CHECK(body->teardown().error() == failure{errc::internal, "cannot stop"});
}

TEST_CASE("a sync body called as async answers at once") {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/"));
  int done_count = 0;
  auto body = endpoint_of<hello>(false);
  CHECK_FALSE(body->is_async());
  body->handle_async(exchange, results, where, [&](bool to_sink) { done_count += to_sink ? 100 : 1; });
  CHECK(done_count == 1);
  CHECK(shown(*exchange->seen->answer()) == "200 text/plain; charset=utf-8 hello");
}

namespace {

/// Runs a request of an async body for a millisecond.
std::string call_async(request_body& body, request in) {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  int done_count = 0;
  CHECK(body.is_async());
  body.handle_async(exchange, results, where, [&](bool to_sink) { done_count += to_sink ? 100 : 1; });
  where.advance(1ms);
  CHECK(done_count == 1);
  CHECK(exchange->seen->ends() == 1);
  return shown(*exchange->seen->answer());
}

} // namespace

TEST_CASE("a coroutine answers when it ends") {
  CHECK(call_async(*endpoint_of<find_later>(false), get("/", "id=7"))
        == R"(200 application/json {"text":"7/10"})");
  CHECK(call_async(*endpoint_of<wait_only>(false), get("/")) == "204");
  CHECK(call_async(*endpoint_of<maybe_later>(false), get("/", "id=7")) == "200 text/plain; charset=utf-8 7");
  CHECK(call_async(*endpoint_of<maybe_later>(false), get("/", "id=none")).starts_with("404 "));
}

TEST_CASE("failures of coroutines are answered once, wherever they come from") {
  captured_log log;
  CHECK(call_async(*endpoint_of<throw_later>(false), get("/", "id=7"))
        == R"(404 application/json {"error":"no 7"})");
  CHECK(call_async(*endpoint_of<throw_at_once>(false), get("/", "id=7"))
        == R"(500 application/json {"error":"internal error","id":"req-1"})");
  CHECK(log.text() == "error: processor \"lookup\": request req-1: early\n");
  CHECK(call_async(*endpoint_of<find_later>(false), get("/")).starts_with("422 "));
}

TEST_CASE("a coroutine whose executor ends leaves its exchange open") {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/", "id=7"));
  std::weak_ptr<fake_exchange> open = exchange;
  auto body = endpoint_of<find_later>(false);
  body->handle_async(std::move(exchange), results, where, [](bool) { FAIL("nothing was done"); });
  CHECK_FALSE(open.expired());
  where.drop_all();
  CHECK(open.expired());
}
