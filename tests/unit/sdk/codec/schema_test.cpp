// Goal: the schema of a type allows exactly the documents that decode.

#include "tests/unit/sdk/codec/json_schema.hpp"

#include <sluice/codec/codec.hpp>
#include <sluice/codec/schema.hpp>
#include <sluice/codec/text.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/regex.hpp>
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <ratio>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using namespace sluice;
using codec::schema;
using namespace schema_testing;

namespace shop {

enum class color { red, green };

struct item {
  std::string name;
  double price;
};

template <class T>
struct page {
  std::vector<T> items;
  std::optional<std::string> next;
};

} // namespace shop

namespace {

struct defaults {
  int needed;
  int count = 7;
  std::string currency = "EUR";
  std::optional<int> maybe;
  std::vector<int> primes = {2, 3};
};

struct strict_item {
  int x;
  static constexpr bool sluice_strict = true;
};

struct tree {
  std::string name;
  std::vector<tree> kids;
  std::unique_ptr<tree> other;
};

struct circle {
  double radius;
};
struct square {
  float side = 1;
  static constexpr std::string_view sluice_tag = "box";
  static constexpr bool sluice_strict = true;
};
struct both;
using shape = std::variant<circle, square, both>;
struct both {
  std::vector<shape> parts;
};

struct numbers {
  std::int8_t i8;
  std::uint8_t u8;
  std::int16_t i16;
  std::uint16_t u16;
  std::int32_t i32;
  std::uint32_t u32;
  std::int64_t i64;
  std::uint64_t u64;
  double real;
  float single;
};

struct texts {
  std::string any;
  shop::color color;
  bytes data;
  std::chrono::sys_seconds at;
  std::chrono::system_clock::time_point exactly;
  std::chrono::sys_time<std::chrono::milliseconds> ms;
  std::chrono::sys_time<std::chrono::minutes> minute;
  std::chrono::sys_time<std::chrono::hours> hour;
  std::chrono::sys_days day;
  std::chrono::year_month_day date;
  std::chrono::milliseconds wait;
  std::chrono::duration<double> half;
};

struct lists {
  std::array<int, 2> two;
  std::tuple<int, std::string, std::optional<bool>> row;
  std::tuple<> none;
  std::pair<shop::color, std::int8_t> pair;
  std::set<int> set;
  std::deque<std::vector<bool>> bits;
  std::map<std::string, std::uint8_t> by_name;
  std::map<std::int8_t, int> by_number;
  std::unordered_map<shop::color, std::string> by_color;
};

struct mixed {
  std::variant<std::monostate, bool, std::int16_t, std::string, std::vector<int>, circle, square> any;
  std::optional<std::variant<std::int8_t, shop::color>> maybe;
  json_text rest;
  strict_item strict;
  defaults some;
};

class even {
public:
  even() = default;
  explicit even(int value) : value(value) {
    if (value % 2 != 0)
      throw std::invalid_argument{"expected an even number"};
  }
  int value = 0;
};

template <class T>
std::string text_of() {
  return schema<T>().schema;
}

/// The only component of `T`.
template <class T>
std::string component_of() {
  auto made = schema<T>();
  REQUIRE(made.components.size() == 1);
  return made.components.begin()->second;
}

} // namespace

template <>
struct sluice::codec::adapter<even> {
  using form = int;
  static form to(const even& value) { return value.value; }
  static even from(form value) { return even{value}; }
  static std::string schema() { return R"({"type":"integer","multipleOf":2})"; }
};

TEST_CASE("scalars say their range and format") {
  CHECK(text_of<bool>() == R"({"type":"boolean"})");
  CHECK(text_of<std::int8_t>() == R"({"type":"integer","minimum":-128,"maximum":127})");
  CHECK(text_of<std::uint64_t>()
        == R"({"type":"integer","format":"uint64","minimum":0,"maximum":18446744073709551615})");
  CHECK(text_of<double>() == R"({"type":"number","format":"double"})");
  CHECK(text_of<float>()
        == R"({"type":"number","format":"float","exclusiveMinimum":-340282356779733661637539395458142568448,)"
           R"("exclusiveMaximum":340282356779733661637539395458142568448})");
  CHECK(text_of<std::string>() == R"({"type":"string"})");
  CHECK(text_of<shop::color>() == R"({"type":"string","enum":["red","green"]})");
  CHECK(text_of<std::chrono::milliseconds>().ends_with(R"(,"description":"milliseconds"})"));
  CHECK(
    text_of<std::chrono::sys_seconds>().starts_with(R"({"type":"string","format":"date-time","pattern":)"));
  CHECK(text_of<std::chrono::sys_days>().starts_with(R"({"type":"string","format":"date","pattern":)"));
  CHECK(text_of<bytes>().starts_with(R"({"type":"string","format":"byte","pattern":)"));
  CHECK(text_of<json_text>() == "{}");
}

TEST_CASE("what contains others says which") {
  CHECK(text_of<std::optional<bool>>() == R"({"anyOf":[{"type":"boolean"},{"type":"null"}]})");
  CHECK(text_of<std::vector<std::string>>() == R"({"type":"array","items":{"type":"string"}})");
  CHECK(text_of<std::map<std::string, bool>>()
        == R"({"type":"object","additionalProperties":{"type":"boolean"}})");
  CHECK(
    text_of<std::map<shop::color, bool>>()
    == R"({"type":"object","additionalProperties":{"type":"boolean"},"propertyNames":{"type":"string","enum":["red","green"]}})");
  CHECK(
    text_of<std::pair<bool, std::string>>()
    == R"({"type":"array","prefixItems":[{"type":"boolean"},{"type":"string"}],"minItems":2,"maxItems":2})");
  CHECK(text_of<std::array<bool, 3>>()
        == R"({"type":"array","items":{"type":"boolean"},"minItems":3,"maxItems":3})");
}

TEST_CASE("structs are components that say what is required and what stands in") {
  CHECK(text_of<defaults>() == R"({"$ref":"#/components/schemas/defaults"})");
  constexpr auto integer = R"({"type":"integer","format":"int32","minimum":-2147483648,"maximum":2147483647)";
  std::string expected = R"({"type":"object","properties":{"needed":)";
  expected.append(integer).append(R"(},"count":)").append(integer).append(R"(,"default":7},)");
  expected += R"("currency":{"type":"string","default":"EUR"},"maybe":{"anyOf":[)";
  expected.append(integer).append(R"(},{"type":"null"}]},"primes":{"type":"array","items":)").append(integer);
  expected += R"(},"default":[2,3]}},"required":["needed"]})";
  CHECK(component_of<defaults>() == expected);
  CHECK(component_of<strict_item>().ends_with(R"(,"required":["x"],"additionalProperties":false})"));
}

TEST_CASE("a struct that contains itself refers to itself") {
  CHECK(
    component_of<tree>()
    == R"({"type":"object","properties":{"name":{"type":"string"},"kids":{"type":"array","items":{"$ref":"#/components/schemas/tree"}},"other":{"anyOf":[{"$ref":"#/components/schemas/tree"},{"type":"null"}]}},"required":["name","kids"]})");
}

TEST_CASE("components are named after their types") {
  CHECK(text_of<shop::item>() == R"({"$ref":"#/components/schemas/shop.item"})");
  CHECK(text_of<shop::page<shop::item>>() == R"({"$ref":"#/components/schemas/shop.page-shop.item"})");
  struct item {
    int other;
  };
  codec::schema_set set;
  CHECK(set.of<shop::item>() == set.of<shop::item>());
  set.of<item>();
  CHECK(set.components().size() == 2);
  for (const auto& [name, text] : set.components())
    CHECK(boost::regex_match(name, boost::regex{"[a-zA-Z0-9._-]+"}));
}

TEST_CASE("a variant of structs has a discriminator, and its structs their tag") {
  auto made = schema<shape>();
  CHECK(
    made.schema
    == R"({"oneOf":[{"$ref":"#/components/schemas/circle.tagged"},{"$ref":"#/components/schemas/square.tagged"},{"$ref":"#/components/schemas/both.tagged"}],"discriminator":{"propertyName":"type","mapping":{"circle":"#/components/schemas/circle.tagged","box":"#/components/schemas/square.tagged","both":"#/components/schemas/both.tagged"}}})");
  CHECK(made.components.at("square.tagged")
          .starts_with(R"({"type":"object","properties":{"type":{"type":"string","const":"box"},"side":)"));
  CHECK(
    made.components.at("square.tagged").ends_with(R"("required":["type"],"additionalProperties":false})"));
}

TEST_CASE("an adapter's own schema wins") {
  CHECK(text_of<even>() == R"({"type":"integer","multipleOf":2})");
}

TEST_CASE("patterns of integers match those of their range") {
  for (auto [min, max] : {std::pair{-128l, 127ul}, {0, 255}, {-1, 0}, {-99, 99}, {0, 0}, {-1000, 1000}}) {
    boost::regex pattern{codec::integer_pattern(min, max)};
    for (long i = -1200; i <= 1200; ++i)
      CHECK_MESSAGE(
        boost::regex_match(std::to_string(i), pattern) == (i >= min && i <= static_cast<long>(max)), i);
    for (auto text : {"-0", "00", "01", "", "+1", "1.0"})
      CHECK_FALSE(boost::regex_match(text, pattern));
  }
  boost::regex wide{codec::integer_pattern(INT64_MIN, UINT64_MAX)};
  CHECK(boost::regex_match("-9223372036854775808", wide));
  CHECK_FALSE(boost::regex_match("-9223372036854775809", wide));
  CHECK(boost::regex_match("18446744073709551615", wide));
  CHECK_FALSE(boost::regex_match("18446744073709551616", wide));
  CHECK(boost::regex_match("1677", boost::regex{codec::digits_pattern(1677, 2262, 4)}));
  CHECK_FALSE(boost::regex_match("2263", boost::regex{codec::digits_pattern(1677, 2262, 4)}));
}

TEST_CASE("the ends of a clock's range are in its schema") {
  using time = std::chrono::system_clock::time_point;
  auto made = schema<time>();
  json_schema judge{made.schema, made.components};
  for (auto at : {time::min(), time::max(), time{}}) {
    std::string text;
    REQUIRE(codec::encode(at, text));
    CHECK(judge.allows(boost::json::parse(text)));
  }
}

TEST_CASE_TEMPLATE("what the schema of a parameter allows is read from its text", T, bool, std::int8_t,
                   std::uint64_t, double, std::string, shop::color, std::chrono::sys_seconds,
                   std::chrono::system_clock::time_point, std::chrono::year_month_day,
                   std::chrono::milliseconds, bytes, std::optional<std::int16_t>) {
  json_schema judge{codec::text_schema<T>(), {}};
  std::mt19937 chance{18};
  for (int round = 0; round < 100; ++round) {
    auto document = judge.make(chance);
    auto text = document.is_string() ? std::string{document.get_string()} : boost::json::serialize(document);
    CHECK_MESSAGE(codec::from_text<T>(text).has_value(), text);
  }
}

TEST_CASE_TEMPLATE("what the schema allows decodes, and what it forbids does not", T, numbers, texts, lists,
                   mixed, tree, shape, defaults, shop::page<shop::item>, std::vector<std::optional<shape>>) {
  auto made = schema<T>();
  json_schema judge{made.schema, made.components};
  std::mt19937 chance{17};
  int allowed_count = 0;
  int forbidden_count = 0;
  for (int round = 0; round < 600; ++round) {
    auto document = judge.make(chance);
    REQUIRE_MESSAGE(judge.allows(document), boost::json::serialize(document));
    for (int changes = round % 4; changes > 0; --changes)
      document = mutate(document, chance);
    auto text = boost::json::serialize(document);
    bool is_allowed = judge.allows(document);
    auto value = codec::try_decode<T>(text);
    CHECK_MESSAGE(value.has_value() == is_allowed,
                  text << ": " << (value ? "decodes" : value.error().text()));
    if (!value && !is_allowed)
      CHECK(value.error().fault == codec::decode_fault::type);
    if (value) {
      std::string again;
      REQUIRE(codec::encode(*value, again));
      CHECK_MESSAGE(judge.allows(boost::json::parse(again)), again);
    }
    ++(is_allowed ? allowed_count : forbidden_count);
  }
  CHECK(allowed_count > 150);
  CHECK(forbidden_count > 40);
}

namespace {

template <class T>
boost::regex pattern_of() {
  const auto made = boost::json::parse(text_of<T>());
  return boost::regex{made.at("pattern").as_string().c_str()};
}

template <class T>
std::string written(T at) {
  std::string json;
  REQUIRE(codec::encode(at, json));
  return json.substr(1, json.size() - 2);
}

} // namespace

TEST_CASE_TEMPLATE("the pattern of a time takes all that is written of its first and its last year", T,
                   std::chrono::sys_time<std::chrono::nanoseconds>,
                   std::chrono::sys_time<std::chrono::duration<std::int32_t>>,
                   std::chrono::sys_time<std::chrono::duration<std::int32_t, std::milli>>) {
  const auto pattern = pattern_of<T>();
  const auto check = [&](T at) { CHECK_MESSAGE(boost::regex_match(written(at), pattern), written(at)); };
  using rep = typename T::rep;
  constexpr auto min = std::numeric_limits<rep>::min();
  constexpr auto max = std::numeric_limits<rep>::max();
  // From either end on: each unit, then further and further apart.
  for (rep step = 0; step < max / 100; step += 1 + step / 7) {
    check(T{typename T::duration{static_cast<rep>(min + step)}});
    check(T{typename T::duration{static_cast<rep>(max - step)}});
  }
  for (rep step = 0; step < max / 90 * 89; step += max / 90) {
    check(T{typename T::duration{static_cast<rep>(min + step)}});
    check(T{typename T::duration{step}});
  }
}

TEST_CASE_TEMPLATE("the pattern of a time ends where the type does", T, std::chrono::duration<std::int32_t>,
                   std::chrono::duration<std::int32_t, std::milli>) {
  using wide = std::chrono::sys_time<std::chrono::duration<std::int64_t, typename T::period>>;
  const auto pattern = pattern_of<std::chrono::sys_time<T>>();
  for (std::int64_t beyond = 1; beyond < 40'000'000'000; beyond += 1 + beyond / 3)
    for (auto count : {std::numeric_limits<std::int32_t>::min() - beyond,
                       std::numeric_limits<std::int32_t>::max() + beyond}) {
      const auto text = written(wide{typename wide::duration{count}});
      CHECK_FALSE_MESSAGE(boost::regex_match(text, pattern), text);
    }
  CHECK_FALSE(boost::regex_match("1969-12-31T00:00:00.0005Z", pattern));
}

TEST_CASE("the pattern of a time in nanoseconds ends where the type does") {
  using clock = std::chrono::sys_time<std::chrono::nanoseconds>;
  const auto pattern = pattern_of<clock>();
  for (const std::string_view beyond :
       {"1677-09-21T00:12:43.145224191Z", "1677-09-21T00:12:43.145Z", "1677-09-21T00:12:43Z",
        "1677-09-20T23:59:59Z", "1677-08-30T00:00:00Z", "1676-12-31T00:00:00Z",
        "2262-04-11T23:47:16.854775808Z", "2262-04-11T23:47:16.855Z", "2262-04-11T23:47:17Z",
        "2262-04-12T00:00:00Z", "2262-05-01T00:00:00Z", "2262-02-30T00:00:00Z", "2263-01-01T00:00:00Z"}) {
    CHECK_FALSE_MESSAGE(boost::regex_match(std::string{beyond}, pattern), beyond);
    CHECK_FALSE(codec::decode<clock>('"' + std::string{beyond} + '"'));
  }
}
