// Goal: times and bytes have one text each, and only real dates and real base64 are read.

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/time_text.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace sluice::codec;

namespace {

std::string shown(std::int64_t seconds, std::int64_t nanoseconds = 0) {
  std::string text;
  return append_time(text, {seconds, nanoseconds}) ? text : "none";
}

/// Seconds and, behind a dot, nanoseconds.
std::string read(std::string_view text) {
  moment value;
  if (!parse_time(text, value))
    return "none";
  return std::to_string(value.seconds) + "." + std::to_string(value.nanoseconds);
}

std::string base64(std::string_view data) {
  std::string text;
  append_base64(text, data);
  return text;
}

std::string unbase64(std::string_view text) {
  std::string data = "old";
  return parse_base64(text, data) ? data : "none";
}

} // namespace

TEST_CASE("a time is written in UTC with no more decimals than it needs") {
  CHECK(shown(0) == "1970-01-01T00:00:00Z");
  CHECK(shown(-1, 999'999'999) == "1969-12-31T23:59:59.999999999Z");
  CHECK(shown(951'782'399) == "2000-02-28T23:59:59Z");
  CHECK(shown(951'782'400, 120'000'000) == "2000-02-29T00:00:00.120Z");
  CHECK(shown(0, 1'000) == "1970-01-01T00:00:00.000001Z");
  CHECK(shown(0, 1) == "1970-01-01T00:00:00.000000001Z");
  CHECK(shown(-62'167'219'200) == "0000-01-01T00:00:00Z");
  CHECK(shown(-62'167'219'201) == "none");
  CHECK(shown(253'402'300'799) == "9999-12-31T23:59:59Z");
  CHECK(shown(253'402'300'800) == "none");
}

TEST_CASE("a count whose time would be cut breaks the build") { // both ways, by this
  using std::chrono::duration;
  static_assert(has_exact_text<std::chrono::nanoseconds> && has_exact_text<std::chrono::days>);
  static_assert(
    has_exact_text<duration<int, std::ratio<7>>> && has_exact_text<duration<int, std::ratio<1, 4>>>);
  static_assert(!has_exact_text<duration<double>> && !has_exact_text<duration<int, std::pico>>);
  static_assert(!has_exact_text<duration<int, std::ratio<1, 3>>>);
}

TEST_CASE("times are read with zone and decimals") {
  CHECK(read("1970-01-01T00:00:00Z") == "0.0");
  CHECK(read("1970-01-01t00:00:00z") == "0.0");
  CHECK(read("1970-01-01T00:00:00.5Z") == "0.500000000");
  CHECK(read("1970-01-01T00:00:00.000000001Z") == "0.1");
  CHECK(read("1970-01-01T00:00:00.123456789000Z") == "0.123456789");
  CHECK(read("1970-01-01T02:00:00+02:00") == "0.0");
  CHECK(read("1969-12-31T23:30:00-00:30") == "0.0");
  CHECK(read("2024-02-29T00:00:00Z") == "1709164800.0");
  CHECK(read("1900-03-01T00:00:00Z") == "-2203891200.0");
}

TEST_CASE("what is no time is refused") {
  for (auto text :
       {"",
        "2024",
        "2024-05-01",
        "2024-05-01T12:34:56",
        "2024-05-01T12:34Z",
        "2024-05-01 12:34:56Z", // RFC 3339 allows it for people to read; JSON Schema's date-time does not
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-05-00T00:00:00Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T00:60:00Z",
        "2024-05-01T00:00:60Z",
        "2024-05-01T00:00:00.Z",
        "2024-05-01T00:00:00.0000000001Z",
        "2024-05-01T00:00:00+0200",
        "2024-05-01T00:00:00+24:00",
        "2024-05-01T00:00:00+02:60",
        "2024-05-01T00:00:00Zx",
        "24-05-01T00:00:00Z",
        "+024-05-01T00:00:00Z",
        "2024/05/01T00:00:00Z",
        "2024-05-01X00:00:00Z",
        "2024-05-01T00:00:00",
        "2024-05-01T00:00:0"})
    CHECK_MESSAGE(read(text) == "none", text);
}

TEST_CASE("any time within the calendar survives") {
  std::mt19937_64 random{2};
  for (int round = 0; round < 5000; ++round) {
    auto seconds = static_cast<std::int64_t>(random() % 315'569'520'000) - 62'167'219'200;
    auto nanoseconds = static_cast<std::int64_t>(random() % 1'000'000'000);
    CHECK(read(shown(seconds, nanoseconds)) == std::to_string(seconds) + "." + std::to_string(nanoseconds));
  }
}

TEST_CASE("base64 as RFC 4648 shows it") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foob") == "Zm9vYg==");
  CHECK(base64("fooba") == "Zm9vYmE=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xfb\xff\xfe") == "+//+");
  CHECK(unbase64("Zm9vYg==") == "foob");
  CHECK(unbase64("+//+") == "\xfb\xff\xfe");
  CHECK(unbase64("") == "");
}

TEST_CASE("one value has one text: padding, alphabet and spare bits are checked") {
  for (auto text : {"Z", "Zg", "Zg=", "Zm9", "Zg===", "Z===", "====", "Zg==Zg==", "Zm=v",
                    "Zh==", "Zm9=", "Zm9-", "Zm9_", "Zm9v\n", "Zm 9", "Zm9\xff"})
    CHECK_MESSAGE(unbase64(text) == "none", text);
}

TEST_CASE("any bytes survive") {
  std::mt19937 random{4};
  for (int size = 0; size < 300; ++size) {
    std::string data(static_cast<std::size_t>(size), '\0');
    for (char& c : data)
      c = static_cast<char>(random());
    CHECK(unbase64(base64(data)) == data);
  }
}
