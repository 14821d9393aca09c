// Goal: which members of a struct must be there, which may be missing and what stands in
// for them; unknown, repeated and nested members.

#include <sluice/codec/codec.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

using namespace sluice;
using codec::decode;

namespace {

enum class grade { low = 1, high };

struct point {
  int x;
  int y;
};

struct defaults {
  std::string needed;
  int zero = 0;
  bool no = false;
  double half = 0.5;
  std::string currency = "EUR";
  std::vector<int> primes = {2, 3};
  std::optional<int> maybe;
  std::optional<int> maybe_five = 5;
  std::chrono::seconds wait = std::chrono::seconds{0};
  point origin = {0, 0};
  grade mark = grade::low;
};

struct bare {
  int number;
  bool flag;
  double real;
  std::chrono::seconds wait;
  grade mark;
  point at;
  std::array<int, 2> pair;
};

struct with_map { // its default constructor is no constant expression
  int zero = 0;
  int none;
  std::map<std::string, int> counts;
};

struct strict {
  int a;
  std::optional<int> b;
  static constexpr bool sluice_strict = true;
};

struct lax_in_strict {
  strict inner;
};

struct empty {};

struct tree {
  std::string name;
  std::vector<tree> kids;
};

defaults needing(std::string text) {
  defaults value;
  value.needed = std::move(text);
  return value;
}

template <class T>
std::string error_of(std::string_view text) {
  auto value = decode<T>(text);
  return value ? "" : value.error().message;
}

template <class T>
std::string json_of(const T& value) {
  std::string text;
  auto done = codec::encode(value, text);
  return done ? text : "error: " + done.error().message;
}

/// A whole `bare` without one of its members.
std::string without(std::string_view member) {
  constexpr std::pair<std::string_view, std::string_view> members[] = {
    {"number", "1"},     {"flag", "true"},           {"real", "1"},    {"wait", "1"},
    {"mark", "\"low\""}, {"at", R"({"x":1,"y":2})"}, {"pair", "[1,2]"}};
  std::string text = "{\"first\":0";
  for (const auto& [name, value] : members)
    if (name != member)
      text.append(",\"").append(name).append("\":").append(value);
  return text + "}";
}

} // namespace

TEST_CASE("members come in any order") {
  auto p = decode<point>(R"( {"y":2 , "x":1} )");
  REQUIRE(p);
  CHECK(p->x == 1);
  CHECK(p->y == 2);
}

TEST_CASE("a field with a member initialiser keeps it when its member is missing") {
  auto value = decode<defaults>(R"({"needed":"n"})");
  REQUIRE(value);
  CHECK(json_of(*value) == json_of(needing("n")));
  CHECK(value->maybe_five == 5);
}

TEST_CASE("a member that is there wins over the initialiser") {
  auto value =
    decode<defaults>(R"({"needed":"","zero":9,"currency":"","primes":[],"maybe_five":null,"mark":"high"})");
  REQUIRE(value);
  CHECK(value->zero == 9);
  CHECK(value->currency.empty());
  CHECK(value->primes.empty());
  CHECK(value->maybe_five == std::nullopt);
  CHECK(value->mark == grade::high);
}

TEST_CASE("a field without an initialiser must be there, whatever its type") {
  CHECK(error_of<bare>(without("none of them")).empty());
  CHECK(error_of<bare>(without("number")) == "bare.number: missing, expected integer");
  CHECK(error_of<bare>(without("flag")) == "bare.flag: missing, expected boolean");
  CHECK(error_of<bare>(without("real")) == "bare.real: missing, expected number");
  CHECK(error_of<bare>(without("wait")) == "bare.wait: missing, expected integer");
  CHECK(error_of<bare>(without("mark")) == "bare.mark: missing, expected one of low, high");
  CHECK(error_of<bare>(without("at")) == "bare.at: missing, expected object");
  CHECK(error_of<bare>(without("pair")) == "bare.pair: missing, expected array");
  CHECK(error_of<defaults>("{}") == "defaults.needed: missing, expected string");
}

TEST_CASE("a zero initialiser is told from none, also beside types that are no constants") {
  CHECK(error_of<with_map>(R"({"none":1,"counts":{}})").empty());
  CHECK(error_of<with_map>(R"({"zero":1,"counts":{}})") == "with_map.none: missing, expected integer");
  CHECK(error_of<with_map>(R"({"none":1})") == "with_map.counts: missing, expected object");
}

TEST_CASE("null is no missing member, unless the field is optional") {
  CHECK(error_of<point>(R"({"x":null,"y":1})") == "point.x: expected integer, got null");
  CHECK(error_of<defaults>(R"({"needed":"","zero":null})") == "defaults.zero: expected integer, got null");
}

TEST_CASE("unknown members are ignored but must be JSON") {
  CHECK(error_of<point>(R"({"x":1,"z":[{"deep":["\u00e4",1e5,null]}],"y":2,"":0})").empty());
  CHECK(error_of<point>(R"({"x":1,"z":[1,],"y":2})") == "point: not valid JSON at byte 14: expected a value");
  CHECK(error_of<point>("{\"x\":1,\"z\":\"\xff\",\"y\":2}")
        == "point: not valid JSON at byte 12: expected a string in UTF-8");
  CHECK(error_of<point>(R"({"X":1,"x":1,"y":2,"xx":3})").empty());
}

TEST_CASE("a strict struct refuses unknown members, and only it") {
  CHECK(error_of<strict>(R"({"a":1})").empty());
  CHECK(error_of<strict>(R"({"a":1,"c":2})")
        == "strict: expected no member but the fields of strict, got \"c\"");
  CHECK(error_of<lax_in_strict>(R"({"inner":{"a":1},"c":2})").empty());
  CHECK(error_of<lax_in_strict>(R"({"inner":{"a":1,"c":2}})")
        == "lax_in_strict.inner: expected no member but the fields of strict, got \"c\"");
}

TEST_CASE("a member that a field takes may be there once only") {
  CHECK(error_of<point>(R"({"x":1,"y":2,"x":1})") == "point.x: given twice");
  CHECK(error_of<point>(R"({"x":1,"y":2,"\u0078":1})") == "point.x: given twice");
  CHECK(error_of<tree>(R"({"name":"a","kids":[{"name":"b","kids":[],"kids":[]}]})")
        == "tree.kids[0].kids: given twice");
  CHECK(error_of<point>(R"({"x":1,"y":2,"z":1,"z":2})").empty()); // nobody reads these
}

TEST_CASE("a member name may be escaped") {
  auto p = decode<point>(R"({"\u0078":1,"y":2})");
  REQUIRE(p);
  CHECK(p->x == 1);
}

TEST_CASE("a struct without fields is an empty object and reads any object") {
  CHECK(json_of(empty{}) == "{}");
  CHECK(error_of<empty>(R"({"a":[1]})").empty());
  CHECK(error_of<empty>("[]") == "empty: expected object, got array");
}

TEST_CASE("a struct that contains itself is read and written to 32 levels") {
  tree root{"r", {{"a", {}}, {"b", {{"c", {}}}}}};
  auto again = decode<tree>(json_of(root));
  REQUIRE(again);
  CHECK(json_of(*again) == json_of(root));

  tree deep{"leaf", {}};
  for (int level = 1; level < 16; ++level)
    deep = tree{"n", {deep}};
  CHECK(decode<tree>(json_of(deep)));
  deep = tree{"n", {deep}};
  CHECK(json_of(deep).ends_with(".kids[0]: nested deeper than 32 levels"));
  std::string text;
  for (int level = 0; level < 100; ++level)
    text += R"({"name":"n","kids":[)";
  CHECK(error_of<tree>(text).ends_with(".kids[0]: nested deeper than 32 levels"));
}

TEST_CASE("decoding into a value that was used before keeps what is missing") {
  auto value = needing("old");
  value.primes = {7};
  REQUIRE(codec::decode_into(R"({"needed":"new"})", value));
  CHECK(value.needed == "new");
  CHECK(value.primes == std::vector<int>{7});
}
