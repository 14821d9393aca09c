#include <sluice/http/route.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::http;

namespace {

using kind = segment_kind;
using segments = std::vector<route_segment>;

std::string mistake_of(std::string_view route) {
  auto parsed = parse_route(route);
  return parsed ? std::string{} : parsed.error().message;
}

} // namespace

TEST_CASE("a route is split into literals, parameters and a rest") {
  CHECK(*parse_route("/") == segments{});
  CHECK(*parse_route("/orders") == segments{{kind::literal, "orders"}});
  CHECK(*parse_route("/orders/") == segments{{kind::literal, "orders"}});
  CHECK(
    *parse_route("/orders/{id}/lines/{rest...}")
    == segments{
      {kind::literal, "orders"}, {kind::parameter, "id"}, {kind::literal, "lines"}, {kind::rest, "rest"}});
  CHECK(*parse_route("/{_a1}") == segments{{kind::parameter, "_a1"}});
}

TEST_CASE("literals of a route are decoded") {
  CHECK(*parse_route("/gr%C3%BC%C3%9Fe")
        == segments{{kind::literal, "gr\xc3\xbc\xc3\x9f"
                                    "e"}});
  CHECK(*parse_route("/a%2Fb") == segments{{kind::literal, "a/b"}});
}

TEST_CASE("a route that cannot be meant is refused with the rule it breaks") {
  CHECK(mistake_of("") == "must start with '/'");
  CHECK(mistake_of("orders") == "must start with '/'");
  CHECK(mistake_of("//") == "has an empty segment");
  CHECK(mistake_of("/a//b") == "has an empty segment");
  CHECK(mistake_of("/a//") == "has an empty segment");
  CHECK(mistake_of("/{}").starts_with("\"{}\" is no parameter"));
  CHECK(mistake_of("/{1a}").starts_with("\"{1a}\" is no parameter"));
  CHECK(mistake_of("/{a b}").starts_with("must not have blanks"));
  CHECK(mistake_of("/{...}").starts_with("\"{...}\" is no parameter"));
  CHECK(mistake_of("/a{id}") == "a parameter takes a whole segment, \"a{id}\" has more");
  CHECK(mistake_of("/{id}.json") == "a parameter takes a whole segment, \"{id}.json\" has more");
  CHECK(mistake_of("/{a}{b}").starts_with("\"{a}{b}\" is no parameter"));
  CHECK(mistake_of("/a}") == "a parameter takes a whole segment, \"a}\" has more");
  CHECK(mistake_of("/{rest...}/more") == "\"{rest...}\" must be the last segment");
  CHECK(mistake_of("/{id}/x/{id}") == "has two parameters \"id\"");
  CHECK(mistake_of("/{id}/x/{id...}") == "has two parameters \"id\"");
  CHECK(mistake_of("/a?b").starts_with("must not have blanks"));
  CHECK(mistake_of("/a#b").starts_with("must not have blanks"));
  CHECK(mistake_of("/a\\b").starts_with("must not have blanks"));
  CHECK(mistake_of("/\x01").starts_with("must not have blanks"));
  CHECK(mistake_of("/gr\xc3\xbc").starts_with("must not have blanks"));
  CHECK(mistake_of("/a%2") == "\"a%2\" has a '%' without two hex digits");
  CHECK(mistake_of("/a/../b") == "has a segment \"..\", which clients take away");
  CHECK(mistake_of("/a/%2e") == "has a segment \".\", which clients take away");
}

TEST_CASE("routes that no request can tell apart have one shape") {
  CHECK(route_shape("/orders/{id}") == "/orders/{}");
  CHECK(route_shape("/orders/{id}/") == route_shape("/orders/{key}"));
  CHECK(route_shape("/files/{path...}") == route_shape("/files/{rest...}"));
  CHECK(route_shape("/files/{path...}") != route_shape("/files/{path}"));
  CHECK(route_shape("/") == "/");
  CHECK(route_shape("/a%2Fb") != route_shape("/a/b"));
  CHECK(route_shape("/%6Frders") == route_shape("/orders"));
  CHECK(route_shape("/%7B%7D") != route_shape("/{id}"));
}
