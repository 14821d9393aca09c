// Goal: every supported type comes back from its JSON as it was, nothing is rounded or
// cut, and what does not fit is refused with the path and both types.

#include <sluice/codec/codec.hpp>

#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

enum class color { red, green, blue };

struct item {
  std::string name;
  double price;
};

struct order {
  std::string id;
  std::vector<item> items;
  std::map<std::string, color> tags;
};

template <class T>
std::string json_of(const T& value) {
  std::string text = "before ";
  auto done = codec::encode(value, text);
  if (!done) {
    CHECK(text == "before ");
    CHECK(done.error().code == errc::internal);
    return "error: " + done.error().message;
  }
  return text.substr(7);
}

template <class T>
std::string error_of(std::string_view text) {
  auto value = codec::decode<T>(text);
  if (value)
    return "";
  CHECK(value.error().code == errc::invalid_argument);
  return value.error().message;
}

template <class T>
bool survives(const T& value) {
  auto again = codec::decode<T>(json_of(value));
  return again && *again == value;
}

} // namespace

TEST_CASE("booleans") {
  CHECK(json_of(true) == "true");
  CHECK(survives(false));
  CHECK(error_of<bool>("1") == "value: expected boolean, got number");
  CHECK(error_of<bool>("null") == "value: expected boolean, got null");
  CHECK(error_of<bool>("\"true\"") == "value: expected boolean, got string");
}

TEST_CASE_TEMPLATE("integers come back to their last bit", T, std::int8_t, std::uint8_t, std::int16_t,
                   std::uint16_t, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, long long,
                   unsigned long) {
  for (T value : {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), T{0}, T{1}, T{100}}) {
    CHECK(json_of(value) == std::to_string(value));
    CHECK(survives(value));
  }
  auto above = std::to_string(std::numeric_limits<T>::max());
  above.back() = static_cast<char>(above.back() + 1); // none of the maxima ends in 9
  CHECK(error_of<T>(above)
        == "value: expected integer from " + std::to_string(std::numeric_limits<T>::min()) + " to "
             + std::to_string(std::numeric_limits<T>::max()) + ", got " + above);
  auto below =
    std::numeric_limits<T>::min() == 0 ? std::string{"-1"} : std::to_string(std::numeric_limits<T>::min());
  if (below != "-1")
    below.back() = static_cast<char>(below.back() + 1);
  CHECK_FALSE(error_of<T>(below).empty());
}

TEST_CASE("an integer may be written with a fraction of zero, but nothing is rounded") {
  CHECK(codec::decode<int>("5.0") == 5);
  CHECK(codec::decode<int>("5e1") == 50);
  CHECK(codec::decode<std::uint8_t>("-0") == 0);
  CHECK(error_of<int>("5.5") == "value: expected integer, got 5.5");
  CHECK(error_of<int>("1e-3") == "value: expected integer, got 1e-3");
  CHECK(error_of<int>("\"5\"") == "value: expected integer, got string");
  CHECK(error_of<int>("1" + std::string(100, '0')).ends_with(", got 1" + std::string(39, '0')));
}

TEST_CASE("floating point numbers") {
  CHECK(json_of(0.1) == "0.1");
  CHECK(json_of(1.0) == "1");
  CHECK(json_of(-0.0) == "-0");
  CHECK(json_of(0.1f) == "0.1");
  CHECK(survives(std::numeric_limits<double>::max()));
  CHECK(survives(std::numeric_limits<double>::denorm_min()));
  CHECK(survives(std::numeric_limits<float>::max()));
  CHECK(codec::decode<double>("7") == 7.0);
  // The type's documents say so: its nearest number. What JavaScript writes for 2^60 would be refused otherwise, and the
  // schema, which has no word for "held exactly", would allow what does not decode.
  CHECK(codec::decode<double>("9007199254740993") == 9007199254740992.0);
  CHECK(codec::decode<double>("1152921504606847000") == 0x1p60);
  CHECK(json_of(9007199254740992.0) == "9007199254740992");
  CHECK(codec::decode<std::int64_t>("9007199254740993") == 9007199254740993);
  CHECK(codec::decode<json_text>("9007199254740993")->text == "9007199254740993");
  CHECK(error_of<double>("1e400") == "value: number too large: 1e400");
  CHECK(error_of<float>("1e39") == "value: number too large: 1e39");
  CHECK(error_of<double>("\"1\"") == "value: expected number, got string");
}

TEST_CASE("NaN and infinity are refused on the way out, with the path") {
  auto nan = std::numeric_limits<double>::quiet_NaN();
  auto infinity = std::numeric_limits<double>::infinity();
  CHECK(json_of(nan) == "error: value: JSON has no number for NaN");
  CHECK(json_of(-infinity) == "error: value: JSON has no number for infinity");
  CHECK(json_of(order{"x", {{"a", 1}, {"b", infinity}}, {}})
        == "error: order.items[1].price: JSON has no number for infinity");
}

TEST_CASE("strings are UTF-8 both ways") {
  CHECK(json_of(std::string{"a\"\\\n\t\x01\xc3\xa4"}) == "\"a\\\"\\\\\\n\\t\\u0001\xc3\xa4\"");
  CHECK(survives(std::string(1000, 'x')));
  CHECK(survives(std::string("a\0b", 3)));
  CHECK(json_of(order{"x\xff", {}, {}})
        == "error: order.id: not valid UTF-8 at byte 1; use sluice::bytes for binary data");
  CHECK(error_of<std::string>("\"\xff\"") == "value: not valid JSON at byte 1: expected a string in UTF-8");
}

TEST_CASE("enums go by name") {
  CHECK(json_of(color::green) == "\"green\"");
  CHECK(survives(color::blue));
  CHECK(error_of<color>("\"pink\"") == "value: expected one of red, green, blue, got \"pink\"");
  CHECK(error_of<color>("\"Red\"") == "value: expected one of red, green, blue, got \"Red\"");
  CHECK(error_of<color>("0") == "value: expected one of red, green, blue, got number");
  CHECK(json_of(static_cast<color>(9)) == "error: value: no enumerator of color has the value 9");
  CHECK(error_of<color>("\"" + std::string(500, 'x') + "\"").size() < 150);
}

TEST_CASE("optional values are null when there are none") {
  CHECK(json_of(std::optional<int>{}) == "null");
  CHECK(json_of(std::optional<int>{3}) == "3");
  CHECK(survives(std::vector<std::optional<color>>{color::red, std::nullopt}));
  CHECK(error_of<std::optional<int>>("\"x\"") == "value: expected integer, got string");
}

TEST_CASE("lists of every kind") {
  CHECK(json_of(std::vector<int>{}) == "[]");
  CHECK(json_of(std::vector<bool>{true, false}) == "[true,false]");
  CHECK(survives(std::vector<bool>{true, false, true}));
  CHECK(survives(std::vector<std::vector<int>>{{}, {1}, {2, 3}}));
  CHECK(survives(std::deque<std::string>{"a", ""}));
  CHECK(survives(std::list<int>{3, 1}));
  CHECK(survives(std::set<std::string>{"b", "a"}));
  CHECK(survives(std::unordered_set<int>{5, 6, 7}));
  CHECK(codec::decode<std::set<int>>("[2,1,2]") == std::set<int>{1, 2});
  CHECK(error_of<std::vector<int>>("{}") == "value: expected array, got object");
  CHECK(error_of<std::vector<int>>("[1,2,\"x\"]") == "value[2]: expected integer, got string");
  CHECK(error_of<std::vector<std::vector<int>>>("[[1],[2,null]]")
        == "value[1][1]: expected integer, got null");
}

TEST_CASE("arrays of a fixed size take exactly that many elements") {
  CHECK(survives(std::array<int, 3>{1, 2, 3}));
  CHECK(survives(std::array<int, 0>{}));
  CHECK(error_of<std::array<int, 2>>("[1]") == "value: expected 2 elements, got 1");
  CHECK(error_of<std::array<int, 2>>("[]") == "value: expected 2 elements, got 0");
  CHECK(error_of<std::array<int, 2>>("[1,2,3]") == "value: expected 2 elements, got more");
}

TEST_CASE("maps with string keys") {
  CHECK(json_of(std::map<std::string, int>{}) == "{}");
  CHECK(json_of(std::map<std::string, int>{{"a\"", 1}, {"b", 2}}) == "{\"a\\\"\":1,\"b\":2}");
  CHECK(survives(std::unordered_map<std::string, std::vector<int>>{{"x", {1}}, {"", {}}}));
  CHECK(error_of<std::map<std::string, int>>("{\"a\":1,\"\\u0061\":2}") == "value.a: given twice");
  CHECK(error_of<std::map<std::string, int>>("{\"a\":{}}") == "value.a: expected integer, got object");
  CHECK(error_of<std::map<std::string, int>>("[]") == "value: expected object, got array");
  CHECK(
    json_of(std::map<std::string, int>{{"\xff", 1}}).starts_with("error: value: a key is not valid UTF-8"));
}

TEST_CASE("durations count their unit") {
  CHECK(json_of(1500ms) == "1500");
  CHECK(json_of(std::chrono::duration<double>{1.5}) == "1.5");
  CHECK(survives(std::chrono::nanoseconds::min()));
  CHECK(error_of<std::chrono::seconds>("1.5") == "value: expected integer, got 1.5");
  CHECK(error_of<std::chrono::seconds>("\"1s\"") == "value: expected integer, got string");
}

TEST_CASE("times are ISO 8601 and never cut to fit") {
  using std::chrono::sys_days;
  using std::chrono::sys_seconds;
  using std::chrono::system_clock;
  CHECK(json_of(system_clock::time_point{}) == "\"1970-01-01T00:00:00Z\"");
  CHECK(json_of(sys_seconds{} + 1714566896s) == "\"2024-05-01T12:34:56Z\"");
  CHECK(survives(system_clock::time_point::max()));
  CHECK(survives(system_clock::time_point::min()));
  CHECK(survives(sys_days{std::chrono::year{2024} / 2 / 29}));
  CHECK(codec::decode<sys_seconds>("\"2024-05-01T14:34:56+02:00\"") == sys_seconds{1714566896s});
  CHECK(error_of<sys_seconds>("\"2024-05-01T12:34:56.5Z\"")
        == "value: expected time in the range and resolution of the field, got \"2024-05-01T12:34:56.5Z\"");
  CHECK(error_of<sys_seconds>("\"0000-01-01T00:00:00+00:01\"").starts_with("value: expected time in RFC"));
  CHECK(error_of<sys_seconds>("\"9999-12-31T23:59:59-00:01\"").starts_with("value: expected time in RFC"));
  CHECK(error_of<system_clock::time_point>("\"9999-01-01T00:00:00Z\"")
          .starts_with("value: expected time in the range"));
  CHECK(error_of<sys_seconds>("\"yesterday\"")
        == "value: expected time in RFC 3339 such as 2024-05-01T12:34:56Z, got \"yesterday\"");
  CHECK(error_of<sys_seconds>("5")
        == "value: expected time in RFC 3339 such as 2024-05-01T12:34:56Z, got number");
  CHECK(json_of(sys_seconds{sys_seconds::duration::max()})
        == "error: value: a time outside of the years 0 to 9999");
  CHECK(json_of(sys_days{sys_days::duration::max()})
        == "error: value: a time outside of the years 0 to 9999");
}

TEST_CASE("a day has no time of day") {
  using namespace std::chrono;
  CHECK(json_of(sys_days{2024y / May / 1}) == "\"2024-05-01\"");
  CHECK(json_of(2024y / May / 1) == "\"2024-05-01\"");
  CHECK(survives(sys_days{1969y / 12 / 31}));
  CHECK(survives(year_month_day{0y / 1 / 1}));
  CHECK(survives(year_month_day{9999y / 12 / 31}));
  CHECK(json_of(2023y / February / 29) == "error: value: a time outside of the years 0 to 9999");
  CHECK(error_of<year_month_day>("\"2023-02-29\"")
        == "value: expected date in RFC 3339 such as 2024-05-01, got \"2023-02-29\"");
  CHECK(error_of<sys_days>("\"2024-05-01T00:00:00Z\"").starts_with("value: expected date in RFC 3339"));
}

TEST_CASE("bytes are base64") {
  CHECK(json_of(bytes{std::string("\0\xff", 2)}) == "\"AP8=\"");
  CHECK(survives(bytes{"any \x01\x02\x03"}));
  CHECK(error_of<bytes>("\"AP8\"") == "value: expected string in base64, got \"AP8\"");
  CHECK(error_of<bytes>("[1]") == "value: expected string in base64, got array");
}

TEST_CASE("an error names the path from the type's name to the element") {
  CHECK(
    error_of<order>(
      R"({"id":"x","items":[{"name":"a","price":1},{"name":"b","price":2},{"name":"c","price":"3"}],"tags":{}})")
    == "order.items[2].price: expected number, got string");
  CHECK(error_of<order>(R"({"id":"x","items":[],"tags":{"t":"pink"}})")
        == "order.tags.t: expected one of red, green, blue, got \"pink\"");
  CHECK(error_of<order>(R"({"id":"x","items":[{"name":"a"}],"tags":{}})")
        == "order.items[0].price: missing, expected number");
  CHECK(error_of<order>("7") == "order: expected object, got number");
  CHECK(error_of<order>(R"({"id":"x","items":[{"name":"a","price":}]})")
        == "order.items[0].price: not valid JSON at byte 39: expected number");
}

TEST_CASE("whatever follows the value is refused") {
  CHECK(codec::decode<int>(" 5 \n") == 5);
  CHECK(error_of<int>("5 6") == "value: not valid JSON at byte 2: expected nothing after the value");
}

TEST_CASE("mutated records are refused or read, and what is read survives") {
  order seed{"id \"1\"", {{"a", 0.5}, {"b\n", 1e300}}, {{"t", color::red}, {"u", color::blue}}};
  auto text = json_of(seed);
  std::mt19937 random{9};
  int good = 0;
  for (int round = 0; round < 20000; ++round) {
    auto mutant = text;
    for (auto changes = random() % 3 + 1; changes > 0; --changes) {
      auto at = random() % mutant.size();
      auto from = random() % mutant.size();
      if (random() % 2 == 0)
        mutant[at] = static_cast<char>(random());
      else
        mutant.replace(at, random() % 6, mutant.substr(from, random() % 6));
      if (mutant.empty())
        mutant = "{";
    }
    auto value = codec::decode<order>(mutant);
    if (!value) {
      CHECK(value.error().message.starts_with("order"));
      continue;
    }
    ++good;
    auto once = json_of(*value);
    auto again = codec::decode<order>(once);
    REQUIRE(again);
    CHECK(json_of(*again) == once);
  }
  CHECK(good > 100);
}
