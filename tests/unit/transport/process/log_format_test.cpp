// Goal: whatever a program prints, what is stored and shown is whole, bounded, harmless lines.
#include "transport/process/log_format.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sluice::process;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_escaped(out, text, 1 << 20);
  return out;
}

std::string format(std::string_view text, std::size_t line_max = 100) {
  line_formatter formatter{line_max};
  std::string out;
  formatter.feed(text, "> ", out);
  formatter.finish("> ", out);
  return out;
}

} // namespace

TEST_CASE("what a terminal might obey is written out") {
  CHECK(escaped("a\tb") == "a\tb");
  CHECK(escaped("\x1b[31mred") == "\\x1b[31mred");
  CHECK(escaped("a\rb\b\x7f") == "a\\x0db\\x08\\x7f");
  CHECK(escaped("\xc2\x9b"
                "31m")
        == "\\xc2\\x9b31m"); // C1 control sequence introducer
  CHECK(escaped(std::string_view{"\0x", 2}) == "\\x00x");
  CHECK(escaped("\xe2\x80\xae"
                "x")
        == "\\xe2\\x80\\xaex"); // right-to-left override
}

TEST_CASE("text in any language stays, bytes that are no UTF-8 are written out") {
  CHECK(escaped("Grüße, 世界 🙂") == "Grüße, 世界 🙂");
  CHECK(escaped("\xff"
                "a")
        == "\\xffa");
  CHECK(escaped("\xc3") == "\\xc3");
  CHECK(escaped("\xc0\xaf") == "\\xc0\\xaf");                   // overlong
  CHECK(escaped("\xe0\x80\xaf") == "\\xe0\\x80\\xaf");          // overlong
  CHECK(escaped("\xed\xa0\x80") == "\\xed\\xa0\\x80");          // surrogate
  CHECK(escaped("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80"); // beyond Unicode
}

TEST_CASE("escaping stops at the bound and never in the middle of a character") {
  std::string out;
  CHECK(append_escaped(out, "abc", 2) == 2);
  CHECK(out == "ab");
  out.clear();
  CHECK(append_escaped(out, "a\x1b", 4) == 1);
  CHECK(out == "a");
  out.clear();
  CHECK(append_escaped(out, "aü", 2) == 1);
  CHECK(out == "a");
}

TEST_CASE("lines get their prefix, in whatever pieces they arrive") {
  CHECK(format("one\ntwo\n") == "> one\n> two\n");
  CHECK(format("\n\n") == "> \n> \n");
  CHECK(format("no end") == "> no end\n");
  CHECK(format("dos\r\n") == "> dos\n");
  CHECK(format("") == "");
  const std::string text = "first line\nsecond grün line\n\x1b[0m\nrest";
  const auto whole = format(text);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    line_formatter formatter{100};
    std::string out;
    formatter.feed(std::string_view{text}.substr(0, cut), "> ", out);
    formatter.feed(std::string_view{text}.substr(cut), "> ", out);
    formatter.finish("> ", out);
    CHECK(out == whole);
  }
}

TEST_CASE("a line that is too long is cut, says by how much, and the next one is whole") {
  CHECK(format("0123456789\n", 10) == "> 0123456789\n");
  CHECK(format("0123456789abc\nnext\n", 10) == "> 0123456789 [cut: 3 bytes more]\n> next\n");
  CHECK(format("\x1b\x1b\x1b\x1b\n", 10) == "> \\x1b\\x1b [cut: 2 bytes more]\n");
}

TEST_CASE("a megabyte without a newline is held to one line") {
  line_formatter formatter{100};
  std::string out;
  for (int i = 0; i < 1000; ++i)
    formatter.feed(std::string(1000, 'x'), "> ", out);
  CHECK(out.empty());
  formatter.feed("\n", "> ", out);
  CHECK(out == "> " + std::string(100, 'x') + " [cut: 999900 bytes more]\n");
}

TEST_CASE("random bytes become printable UTF-8 lines") {
  std::mt19937 random{20260102};
  for (int round = 0; round < 200; ++round) {
    std::string noise(random() % 400, '\0');
    for (auto& byte : noise)
      byte = static_cast<char>(random());
    auto out = format(noise, 64);
    for (unsigned char byte : out)
      CHECK((byte == '\n' || byte == '\t' || byte >= 0x20));
    CHECK((out.empty() || out.back() == '\n'));
  }
}

TEST_CASE("time stamps are UTC with milliseconds") {
  CHECK(to_timestamp(0) == "1970-01-01T00:00:00.000Z");
  CHECK(to_timestamp(1767323045678) == "2026-01-02T03:04:05.678Z");
  CHECK(to_timestamp(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(to_timestamp(1709210096007) == "2024-02-29T12:34:56.007Z");
  CHECK(to_timestamp(253'402'300'799'999) == "9999-12-31T23:59:59.999Z");
  CHECK(to_timestamp(253'402'300'800'000)
          .starts_with("9999-")); // no clock shows it: any text will do, of the same length
}
