// Goal: a parameter's text is exactly one value, or refused with what was expected.

#include <sluice/codec/text.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <limits>
#include <optional>
#include <string>

using namespace sluice;
using namespace std::chrono_literals;
using codec::from_text;

namespace {

enum class color { red, green };

template <class T>
std::string error_of(std::string_view text) {
  auto value = from_text<T>(text);
  if (value)
    return "";
  CHECK(value.error().fault == codec::decode_fault::type);
  return value.error().text();
}

} // namespace

TEST_CASE("each kind of value is read from its text") {
  CHECK(from_text<bool>("true") == true);
  CHECK(from_text<bool>("false") == false);
  CHECK(from_text<int>("-5") == -5);
  CHECK(from_text<std::uint64_t>("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  CHECK(from_text<double>("2.5e3") == 2500.0);
  CHECK(from_text<std::string>("a b/\"c\"") == std::string{"a b/\"c\""});
  CHECK(from_text<std::string>("") == std::string{});
  CHECK(from_text<color>("green") == color::green);
  CHECK(from_text<std::chrono::sys_seconds>("1970-01-01T00:01:00Z") == std::chrono::sys_seconds{60s});
  CHECK(from_text<std::chrono::milliseconds>("1500") == 1500ms);
  CHECK(from_text<bytes>("AP8=") == bytes{std::string("\0\xff", 2)});
  CHECK(from_text<std::optional<int>>("7").value().value() == 7);
  CHECK(from_text<std::optional<std::string>>("").value().value().empty());
}

TEST_CASE("what does not fit says what was expected and what came") {
  CHECK(error_of<bool>("True") == "expected true or false, got \"True\"");
  CHECK(error_of<bool>("1") == "expected true or false, got \"1\"");
  CHECK(error_of<int>("abc") == "expected integer, got \"abc\"");
  CHECK(error_of<int>("5.5") == "expected integer, got 5.5");
  CHECK(error_of<std::uint8_t>("300") == "expected integer from 0 to 255, got 300");
  CHECK(error_of<double>("1e999") == "number too large: 1e999");
  CHECK(error_of<color>("pink") == "expected one of red, green, got \"pink\"");
  CHECK(error_of<std::chrono::sys_seconds>("yesterday")
        == "expected time in RFC 3339 such as 2024-05-01T12:34:56Z, got \"yesterday\"");
  CHECK(error_of<std::chrono::seconds>("1s") == "expected integer, got \"1s\"");
  CHECK(error_of<bytes>("?") == "expected string in base64, got \"?\"");
  CHECK(error_of<std::string>("\xff") == "expected text in UTF-8");
  CHECK(error_of<std::optional<int>>("") == "expected integer, got \"\"");
}

TEST_CASE("a number's text is a number of JSON and nothing else") {
  for (auto text : {"", " 5", "5 ", "+5", "05", "0x5", "5,", "5;", "null", "\"5\"", "[5]", "NaN", "inf", "-",
                    "5e", ".5", "5.", "\t5", "5\n"}) {
    CHECK_MESSAGE(error_of<int>(text) == "expected integer, got \"" + std::string{text} + "\"", text);
    CHECK_MESSAGE(error_of<double>(text) == "expected number, got \"" + std::string{text} + "\"", text);
  }
}
