#include "actors/ingress/routing_policy.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace sluice::ingress;

namespace {

route_entry route(method by, std::string path) {
  route_entry made;
  made.http.method = by;
  made.http.route = std::move(path);
  return made;
}

route_matcher matcher(std::vector<route_entry> routes) { return route_matcher{routes}; }

using params = std::vector<std::pair<std::string, std::string>>;

constexpr auto get = method::get;
constexpr auto post = method::post;

} // namespace

TEST_CASE("a path leads to its route") {
  auto routes = matcher({route(get, "/"), route(get, "/orders"), route(post, "/orders"),
                         route(get, "/orders/{id}"), route(get, "/orders/{id}/lines/{line}")});
  CHECK(routes.match(get, "/").route == 0);
  CHECK(routes.match(get, "/orders").route == 1);
  CHECK(routes.match(post, "/orders").route == 2);
  CHECK(routes.match(get, "/orders/7").route == 3);
  CHECK(routes.match(get, "/orders/7").params == params{{"id", "7"}});
  CHECK(routes.match(get, "/orders/7/lines/a b").params == params{{"id", "7"}, {"line", "a b"}});
}

TEST_CASE("what no route has is not found, with nothing allowed") {
  auto routes = matcher({route(get, "/orders/{id}")});
  for (auto path : {"", "*", "/", "/order", "/orders", "/orders/", "/orders//", "//", "/Orders/7",
                    "/orders/7/8", "orders/7", "/orders/7//"}) {
    CAPTURE(path);
    auto found = routes.match(get, path);
    CHECK_FALSE(found.route);
    CHECK(found.allowed.empty());
  }
  CHECK_FALSE(route_matcher{}.match(get, "/").route);
}

TEST_CASE("a slash at the end of route or path says nothing") {
  auto routes = matcher({route(get, "/a"), route(get, "/b/"), route(get, "/c/{id}")});
  CHECK(routes.match(get, "/a/").route == 0);
  CHECK(routes.match(get, "/b").route == 1);
  CHECK(routes.match(get, "/b/").route == 1);
  CHECK(routes.match(get, "/c/7/").params == params{{"id", "7"}});
  CHECK_FALSE(routes.match(get, "/a//").route);
}

TEST_CASE("a path with another method says which it has") {
  auto routes = matcher({route(get, "/a"), route(method::delete_, "/a"), route(post, "/b")});
  auto found = routes.match(method::put, "/a");
  CHECK_FALSE(found.route);
  CHECK(found.allowed.text() == "GET, HEAD, DELETE, OPTIONS");
  CHECK(routes.match(get, "/b").allowed.text() == "POST, OPTIONS");
}

TEST_CASE("HEAD finds the route of GET and OPTIONS what is allowed") {
  auto routes = matcher({route(get, "/a"), route(post, "/b")});
  CHECK(routes.match(method::head, "/a").route == 0);
  CHECK_FALSE(routes.match(method::head, "/b").route);
  auto asked = routes.match(method::options, "/a");
  CHECK_FALSE(asked.route);
  CHECK(asked.allowed.text() == "GET, HEAD, OPTIONS");
}

TEST_CASE("a literal goes before a parameter and that before a rest") {
  auto routes = matcher({route(get, "/{rest...}"), route(get, "/{a}"), route(get, "/x"), route(get, "/{a}/y"),
                         route(get, "/x/{b}")});
  CHECK(routes.match(get, "/x").route == 2);
  CHECK(routes.match(get, "/z").route == 1);
  CHECK(routes.match(get, "/x/y").route == 4);
  CHECK(routes.match(get, "/z/y").route == 3);
  CHECK(routes.match(get, "/z/z").route == 0);
  CHECK(routes.match(get, "/").route == 0);
}

TEST_CASE("a literal that leads nowhere is given up for a parameter") {
  auto routes = matcher({route(get, "/a/b/d"), route(get, "/a/{x}/c"), route(get, "/{y}/b/c/{z}")});
  auto found = routes.match(get, "/a/b/c");
  CHECK(found.route == 1);
  CHECK(found.params == params{{"x", "b"}});
  auto far = routes.match(get, "/a/b/c/e");
  CHECK(far.route == 2);
  CHECK(far.params == params{{"y", "a"}, {"z", "e"}});
}

TEST_CASE("a literal without the method is given up for a parameter that has it") {
  auto routes = matcher({route(post, "/orders/new"), route(get, "/orders/{id}")});
  CHECK(routes.match(post, "/orders/new").route == 0);
  CHECK(routes.match(get, "/orders/new").params == params{{"id", "new"}});
  CHECK(routes.match(method::put, "/orders/new").allowed.text() == "GET, HEAD, POST, OPTIONS");
  CHECK(routes.match(post, "/orders/7").allowed.text() == "GET, HEAD, OPTIONS");
}

TEST_CASE("a rest takes what is left, also nothing") {
  auto routes = matcher({route(get, "/files/{owner}/{path...}")});
  CHECK(routes.match(get, "/files/a/b/c.txt").params == params{{"owner", "a"}, {"path", "b/c.txt"}});
  CHECK(routes.match(get, "/files/a/b/").params == params{{"owner", "a"}, {"path", "b/"}});
  CHECK(routes.match(get, "/files/a").params == params{{"owner", "a"}, {"path", ""}});
  CHECK(routes.match(get, "/files/a/").params == params{{"owner", "a"}, {"path", ""}});
  CHECK(routes.match(get, "/files/a/b//c").params == params{{"owner", "a"}, {"path", "b//c"}});
  CHECK_FALSE(routes.match(get, "/files").route);
}

TEST_CASE("a rest never leads out of its folder") {
  auto routes = matcher({route(get, "/files/{path...}")});
  for (auto path : {"/files/..", "/files/../x", "/files/a/../x", "/files/%2e%2e/x", "/files/..%2Fx",
                    "/files/a%2F..", "/files/.%2E"}) {
    CAPTURE(path);
    CHECK_FALSE(routes.match(get, path).route);
  }
  CHECK(routes.match(get, "/files/..a/b..").route == 0);
}

TEST_CASE("segments are decoded after the path is split") {
  auto routes = matcher({route(get, "/gr%C3%BC%C3%9Fe/{name}"), route(get, "/f/{rest...}")});
  CHECK(routes
          .match(get, "/gr\xc3\xbc\xc3\x9f"
                      "e/x")
          .route
        == 0);
  CHECK(routes.match(get, "/%67r%C3%BC%c3%9fe/a%2Fb%20c+d").params == params{{"name", "a/b c+d"}});
  CHECK(routes.match(get, "/f/a%20b/c%2Fd").params == params{{"rest", "a b/c/d"}});
  CHECK_FALSE(routes.match(get, "/f%2Fa").route);
}

TEST_CASE("a parameter that does not decode is malformed") {
  auto routes = matcher({route(get, "/a/{id}"), route(get, "/f/{rest...}")});
  for (auto path : {"/a/%", "/a/%2", "/a/%zz", "/f/x/%g0"}) {
    CAPTURE(path);
    CHECK(routes.match(get, path).is_malformed);
  }
  CHECK_FALSE(routes.match(get, "/a/%41").is_malformed);
  CHECK_FALSE(routes.match(get, "/%zz").route);
}

TEST_CASE("parameters of one place may have a name per method") {
  auto routes = matcher({route(get, "/o/{id}"), route(post, "/o/{key}")});
  CHECK(routes.match(get, "/o/1").params == params{{"id", "1"}});
  CHECK(routes.match(post, "/o/1").params == params{{"key", "1"}});
}

TEST_CASE("a bad route and the second of two equal ones are left out") {
  auto routes = matcher({route(get, "no slash"), route(get, "/a/{x}"), route(get, "/a/{y}"),
                         route(method::head, "/h"), route(method::options, "/o")});
  CHECK(routes.match(get, "/a/1").route == 1);
  CHECK_FALSE(routes.match(method::head, "/h").route);
  CHECK(routes.match(method::options, "/o").allowed.empty());
}

TEST_CASE("every route of a large table is found among the others") {
  std::vector<route_entry> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(route(get, "/s" + std::to_string(i % 17) + "/r" + std::to_string(i)));
    all.push_back(route(post, "/s" + std::to_string(i % 17) + "/{id}/r" + std::to_string(i)));
  }
  route_matcher routes{all};
  for (std::size_t i = 0; i < 300; ++i) {
    auto place = "/s" + std::to_string(i % 17);
    auto name = "/r" + std::to_string(i);
    CHECK(routes.match(get, place + name).route == 2 * i);
    CHECK(routes.match(post, place + "/x" + name).route == 2 * i + 1);
  }
}

// ---- which replica ----------------------------------------------------------------------

namespace {

/// Loads of targets; negative = takes nothing.
std::optional<std::size_t> chosen(std::size_t local_count, const std::vector<int>& loads,
                                  std::uint64_t random) {
  auto load_of = [&](std::size_t i) {
    return loads.at(i) < 0 ? std::nullopt : std::optional{static_cast<std::uint32_t>(loads[i])};
  };
  return choose_target(local_count, loads.size(), load_of, random);
}

/// How often each is chosen over many draws.
std::map<std::size_t, int> shares(std::size_t local_count, const std::vector<int>& loads) {
  std::map<std::size_t, int> counts;
  std::uint64_t state = 1;
  for (int i = 0; i < 3000; ++i)
    if (auto one = chosen(local_count, loads, next_random(state)))
      ++counts[*one];
  return counts;
}

} // namespace

TEST_CASE("nobody is chosen where nobody takes anything") {
  CHECK_FALSE(chosen(0, {}, 7));
  CHECK_FALSE(chosen(1, {-1}, 7));
  CHECK_FALSE(chosen(2, {-1, -1, -1}, 7));
}

TEST_CASE("of two targets the less busy one is chosen") {
  for (std::uint64_t i = 0; i < 200; ++i) {
    auto random = i * 0x1234'5678'9abc'def1;
    CHECK(chosen(2, {3, 2}, random) == 1);
    CHECK(chosen(0, {0, 2}, random) == 0);
  }
}

TEST_CASE("the busiest of many is never chosen and idle ones share") {
  auto counts = shares(4, {5, 0, 0, 0});
  CHECK(counts[0] == 0);
  for (std::size_t i = 1; i < 4; ++i)
    CHECK(counts[i] > 800);
}

TEST_CASE("equally busy targets get equal shares") {
  auto counts = shares(0, {1, 1, 1});
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(counts[i] > 900);
}

TEST_CASE("remote targets take requests only if no local one does") {
  CHECK(shares(2, {9, 9, 0, 0}).count(2) == 0);
  CHECK(shares(2, {-1, 9, 0, 0})[1] == 3000);
  auto remote = shares(2, {-1, -1, 0, 0});
  CHECK(remote[2] + remote[3] == 3000);
  CHECK(shares(0, {1, 1}).size() == 2);
}

TEST_CASE("one open target among many closed ones is found") {
  std::vector<int> loads(100, -1);
  loads[63] = 4;
  CHECK(shares(100, loads)[63] == 3000);
  CHECK(shares(0, loads)[63] == 3000);
}

TEST_CASE("a replica has one request more per place in user code than it works on") {
  CHECK(in_flight_max(0) == 2);
  CHECK(in_flight_max(1) == 2);
  CHECK(in_flight_max(8) == 16);
  // Notices are worth their frames where places are short.
  CHECK(wants_sink_notice(1, 2));
  CHECK_FALSE(wants_sink_notice(7, 16));
  CHECK(wants_sink_notice(8, 16));
}
