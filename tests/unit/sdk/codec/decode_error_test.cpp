// Goal: whoever answers to a bad document can tell whether it is no JSON or of the wrong form, and where.

#include <sluice/codec/codec.hpp>
#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using codec::decode_fault;

namespace {

struct item {
  std::string name;
  double price;
};

struct order {
  std::string id;
  std::vector<item> items;
};

codec::decode_error error_of(std::string_view text) {
  auto value = codec::try_decode<order>(text);
  REQUIRE_FALSE(value);
  return value.error();
}

} // namespace

TEST_CASE("a wrong type comes with its path and what was expected") {
  auto error = error_of(
    R"({"id":"a","items":[{"name":"x","price":1},{"name":"x","price":1},{"name":"x","price":"1"}]})");
  CHECK(error.fault == decode_fault::type);
  CHECK(error.path == "order.items[2].price");
  CHECK(error.message == "expected number, got string");
  CHECK(error.text() == "order.items[2].price: expected number, got string");
}

TEST_CASE("what is no JSON comes with byte, line and column") {
  auto error = error_of("{\n  \"id\": \"\xc3\xa4\xe2\x82\xac\",,\n}");
  CHECK(error.fault == decode_fault::syntax);
  CHECK(error.offset == 18);
  CHECK(error.line == 2);
  CHECK(error.column == 14); // characters, not bytes
  CHECK(error.text() == "order: not valid JSON at byte 18 (line 2, column 14): expected a member name");
}

TEST_CASE("on the first line the byte says it all") {
  auto error = error_of("");
  CHECK(error.fault == decode_fault::syntax);
  CHECK(error.line == 1);
  CHECK(error.column == 1);
  CHECK(error.text() == "order: not valid JSON at byte 0: expected object, got the end of the text");
}

TEST_CASE("a document that is no JSON is one, although a type is wrong before that") {
  auto error = error_of(R"({"id":5,"items":[})");
  CHECK(error.fault == decode_fault::syntax);
  CHECK(error.offset == 17);
  CHECK(error_of(R"([1,2)").fault == decode_fault::syntax);
  CHECK(error_of(R"([1,2] x)").fault == decode_fault::syntax);
  CHECK(error_of(R"({"id":5,"id":"\ud800"})").fault == decode_fault::syntax);
  CHECK(error_of(R"({"id":5,"items":[]})").fault == decode_fault::type);
  CHECK(error_of(R"([1,2])").fault == decode_fault::type);
  CHECK(error_of(R"({"id":"a","id":"b","items":[]})").fault == decode_fault::type);
  CHECK(error_of(R"({"id":"a"})").fault == decode_fault::type);
}

TEST_CASE("too deep and too long are faults of the document, wherever they are") {
  auto deep = std::string(40, '[') + std::string(40, ']');
  CHECK(error_of(R"({"x":)" + deep + "}").fault == decode_fault::syntax);
  CHECK(error_of(R"({"x":)" + deep + "}").text() == "order: nested deeper than 32 levels");
  CHECK(error_of(deep).fault == decode_fault::syntax);

  std::string longest(limits::record_size_bytes_max, ' ');
  auto document = std::string_view{R"({"id":"","items":[]})"};
  longest.replace(longest.size() - document.size(), document.size(), document);
  CHECK(codec::try_decode<order>(longest));
  auto error = error_of(longest + " ");
  CHECK(error.fault == decode_fault::syntax);
  CHECK(error.text() == "order: longer than 16777216 bytes");
}
