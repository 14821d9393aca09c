// Goal: tuples, variants, pointers, keys that are no strings, any JSON and types of the user's own have one
// JSON form each, and what does not fit is refused where it stands.

#include <sluice/codec/codec.hpp>
#include <sluice/codec/text.hpp>

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using namespace sluice;

namespace {

struct circle {
  double radius;
};

struct box {
  double width;
  double height = 1;
  static constexpr std::string_view sluice_tag = "rectangle";
  static constexpr bool sluice_strict = true;
};

struct group;
using shape = std::variant<std::monostate, circle, box, std::string, std::vector<int>, group>;

struct group {
  std::vector<std::variant<circle, group>> parts;
};

struct drawing {
  std::string name;
  shape outline;
};

struct chain {
  int value;
  std::unique_ptr<chain> next;
};

enum class color { red, green };

/// A type of the user's own that is no aggregate.
class isbn {
public:
  isbn() = default;
  explicit isbn(std::string text) : text_(std::move(text)) {
    if (text_.size() != 13)
      throw std::invalid_argument{"expected an ISBN of 13 digits"};
  }
  const std::string& text() const { return text_; }
  friend bool operator==(const isbn&, const isbn&) = default;

private:
  std::string text_;
};

struct book {
  isbn number;
  std::optional<isbn> next;
};

struct point { // an aggregate, but written as a pair
  int x;
  int y;
  friend bool operator==(const point&, const point&) = default;
};

struct note {
  std::string text;
  json_text extra;
};

struct all_defaulted {
  int count;
  std::string text;
  std::vector<int> list = {};
  static constexpr bool sluice_defaults = true;
};

template <class T>
std::string json_of(const T& value) {
  std::string text;
  auto done = codec::encode(value, text);
  return done ? text : "error: " + done.error().message;
}

template <class T>
std::string error_of(std::string_view text) {
  auto value = codec::decode<T>(text);
  return value ? "" : value.error().message;
}

template <class T>
std::string again(std::string_view text) {
  auto value = codec::decode<T>(text);
  return value ? json_of(*value) : "error: " + value.error().message;
}

} // namespace

template <>
struct sluice::codec::adapter<isbn> {
  using form = std::string;
  static form to(const isbn& value) {
    if (value.text().empty())
      throw std::logic_error{"an ISBN that was never set"};
    return value.text();
  }
  static isbn from(form text) { return isbn{std::move(text)}; }
};

template <>
struct sluice::codec::adapter<point> {
  using form = std::pair<int, int>;
  static form to(const point& value) { return {value.x, value.y}; }
  static point from(form value) { return {value.first, value.second}; }
};

TEST_CASE("pairs and tuples are arrays of their length") {
  using row = std::tuple<int, std::string, std::optional<bool>>;
  CHECK(again<std::pair<int, std::string>>("[1,\"a\"]") == "[1,\"a\"]");
  CHECK(again<row>("[1,\"a\",null]") == "[1,\"a\",null]");
  CHECK(again<std::tuple<>>("[]") == "[]");
  CHECK(error_of<row>("[1,\"a\"]") == "value: expected 3 elements, got 2");
  CHECK(error_of<row>("[1,\"a\",true,4]") == "value: expected 3 elements, got more");
  CHECK(error_of<row>("[1,2,true]") == "value[1]: expected string, got number");
  CHECK(error_of<row>("{}") == "value: expected array, got object");
}

TEST_CASE("a variant's structs carry their tag, the others their kind") {
  CHECK(json_of(shape{circle{2}}) == R"({"type":"circle","radius":2})");
  CHECK(json_of(shape{box{1, 2}}) == R"({"type":"rectangle","width":1,"height":2})");
  CHECK(json_of(shape{}) == "null");
  CHECK(json_of(shape{"text"}) == "\"text\"");
  CHECK(json_of(shape{std::vector<int>{1}}) == "[1]");
  for (auto text : {R"({"type":"circle","radius":2})", R"({"type":"rectangle","width":1,"height":2})", "null",
                    "\"x\"", "[1,2]", R"({"type":"group","parts":[]})",
                    R"({"type":"group","parts":[{"type":"circle","radius":1},{"type":"group","parts":[]}]})"})
    CHECK(again<shape>(text) == text);
}

TEST_CASE("the tag may stand anywhere, once") {
  CHECK(again<shape>(R"({"radius":2,"other":[{}],"type":"circle"})") == R"({"type":"circle","radius":2})");
  CHECK(again<shape>(R"({"width":3,"type":"rectangle"})") == R"({"type":"rectangle","width":3,"height":1})");
  CHECK(error_of<shape>(R"({"type":"circle","radius":2,"type":"circle"})") == "value.type: given twice");
}

TEST_CASE("what is none of a variant's alternatives is refused with what there is") {
  constexpr auto tags = "one of circle, rectangle, group";
  CHECK(error_of<drawing>(R"({"name":"","outline":{"radius":2}})")
        == std::string{"drawing.outline.type: missing, expected "} + tags);
  CHECK(error_of<drawing>(R"({"name":"","outline":{"type":"oval"}})")
        == std::string{"drawing.outline.type: expected "} + tags + ", got \"oval\"");
  CHECK(error_of<drawing>(R"({"name":"","outline":{"type":7}})")
        == std::string{"drawing.outline.type: expected "} + tags + ", got number");
  CHECK(error_of<drawing>(R"({"name":"","outline":true})")
        == "drawing.outline: expected null or object or string or array, got boolean");
  CHECK(error_of<drawing>(R"({"name":"","outline":{"type":"circle","radius":"2"}})")
        == "drawing.outline.radius: expected number, got string");
  CHECK(error_of<drawing>(R"({"name":"","outline":{"type":"circle"}})")
        == "drawing.outline.radius: missing, expected number");
  CHECK(error_of<shape>(R"({"type":"rectangle","width":1,"depth":1})")
        == "value: expected no member but the fields of box, got \"depth\"");
  CHECK(error_of<shape>(R"({"a":1,)").starts_with("value: not valid JSON at byte 7"));
}

TEST_CASE("nested variants are bounded as everything") {
  std::string text = R"({"type":"group","parts":[]})";
  for (int level = 0; level < 15; ++level)
    text = R"({"parts":[)" + text + R"(],"type":"group"})";
  CHECK(error_of<shape>(text).empty());
  text = R"({"parts":[)" + text + R"(],"type":"group"})";
  CHECK(error_of<shape>(text).ends_with("nested deeper than 32 levels"));
}

TEST_CASE("an owning pointer is what it points to, or null, or missing") {
  CHECK(again<chain>(R"({"value":1,"next":{"value":2,"next":null}})")
        == R"({"value":1,"next":{"value":2,"next":null}})");
  CHECK(again<chain>(R"({"value":1})") == R"({"value":1,"next":null})");
  CHECK(again<std::shared_ptr<int>>("5") == "5");
  CHECK(error_of<chain>(R"({"value":1,"next":{}})") == "chain.next.value: missing, expected integer");
}

TEST_CASE("a map's keys may be integers and enumerators") {
  CHECK(again<std::map<int, std::string>>(R"({"-5":"a","7":"b"})") == R"({"-5":"a","7":"b"})");
  CHECK(again<std::unordered_map<color, int>>(R"({"green":1})") == R"({"green":1})");
  for (auto name : {"", "x", "05", "+5", "5.0", "5e0", "-0", " 5", "300"})
    CHECK(error_of<std::map<std::int8_t, int>>("{\"" + std::string{name} + "\":1}")
          == "value: a member's name: expected integer from -128 to 127, got \"" + std::string{name} + "\"");
  CHECK(error_of<std::map<color, int>>(R"({"blue":1})")
        == "value: a member's name: expected one of red, green, got \"blue\"");
  CHECK(error_of<std::map<color, int>>(R"({"red":"x"})") == "value.red: expected integer, got string");
  CHECK(error_of<std::map<int, int>>(R"({"1":1,"1":2})") == "value.1: given twice");
}

TEST_CASE("a type of the user's own goes by way of its adapter") {
  CHECK(again<book>(R"({"number":"9780131103627"})") == R"({"number":"9780131103627","next":null})");
  CHECK(error_of<book>(R"({"number":"123"})") == "book.number: expected an ISBN of 13 digits");
  CHECK(error_of<book>(R"({"number":123})") == "book.number: expected string, got number");
  CHECK(error_of<book>("{}") == "book.number: missing, expected string");
  CHECK(json_of(book{}) == "error: book.number: an ISBN that was never set");
  CHECK(again<std::vector<point>>("[[1,2],[3,4]]") == "[[1,2],[3,4]]");
  CHECK(codec::decode<point>("[1,2]") == point{1, 2});
  CHECK(codec::from_text<isbn>("9780131103627").value().text() == "9780131103627");
  CHECK(codec::from_text<isbn>("1").error().text() == "expected an ISBN of 13 digits");
  CHECK_FALSE(codec::text_type<point>);
}

TEST_CASE("any JSON is kept as its text without blanks") {
  CHECK(again<note>(R"({"text":"a","extra":{ "b c" : [1, 2.50,"\" "] } })")
        == R"({"text":"a","extra":{"b c":[1,2.50,"\" "]}})");
  CHECK(again<json_text>(" null ") == "null");
  CHECK(error_of<note>(R"({"text":"a","extra":[1,]})").starts_with("note.extra: not valid JSON at byte 23"));
  CHECK(error_of<note>(R"({"text":"a"})") == "note.extra: missing, expected a value");
  CHECK(json_of(note{"", {"[1,\n2]"}}) == R"({"text":"","extra":[1,2]})");
  CHECK(json_of(note{"", {"[1"}}).starts_with("error: note.extra: not valid JSON at byte 2"));
  CHECK(json_of(std::vector<json_text>{{std::string(31, '[') + std::string(31, ']')}}).size() == 64);
  CHECK(json_of(std::vector<json_text>{{std::string(32, '[') + std::string(32, ']')}})
        == "error: value[0]: nested deeper than 32 levels");
}

TEST_CASE("a struct may say that all its fields have defaults") {
  CHECK(again<all_defaulted>("{}") == R"({"count":0,"text":"","list":[]})");
  CHECK(again<all_defaulted>(R"({"text":"x"})") == R"({"count":0,"text":"x","list":[]})");
}
