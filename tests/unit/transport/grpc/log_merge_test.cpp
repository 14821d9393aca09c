// Goal: lines of several logs come in the order of time, each log keeps its own, and nothing is lost.
#include "transport/grpc/log_merge.hpp"

#include <doctest/doctest.h>

#include <string>

using sluice::control::log_merge;

namespace {

std::string at(int second, const std::string& text) {
  return "2026-01-02T03:04:0" + std::to_string(second) + ".000Z " + text + "\n";
}

/// "0:1 0:2 1:3": which log each line came from.
std::string all_of(log_merge& merge) {
  std::string out;
  while (auto piece = merge.next())
    for (std::size_t i = 0; i < piece->text.size(); i = piece->text.find('\n', i) + 1) {
      const auto end = piece->text.find('\n', i);
      const auto word = piece->text.rfind(' ', end);
      const auto from = word == std::string::npos || word < i ? i : word + 1;
      out +=
        (out.empty() ? "" : " ") + std::to_string(piece->log) + ":" + piece->text.substr(from, end - from);
    }
  return out;
}

} // namespace

TEST_CASE("lines come by time over all logs") {
  log_merge merge;
  merge.feed(0, at(1, "a") + at(4, "d") + at(5, "e"));
  merge.feed(1, at(2, "b") + at(3, "c") + at(6, "f"));
  CHECK(all_of(merge) == "0:a 1:b 1:c 0:d 0:e 1:f");
}

TEST_CASE("of lines of the same time those of the lower log come first, together") {
  log_merge merge;
  merge.feed(1, at(1, "c") + at(1, "d"));
  merge.feed(0, at(1, "a") + at(1, "b") + at(2, "e"));
  CHECK(all_of(merge) == "0:a 0:b 1:c 1:d 0:e");
}

TEST_CASE("a line without a time stays behind the one before it, and clocks that go back reorder no log") {
  log_merge merge;
  merge.feed(0, at(1, "a") + "sluice: 3 lines were dropped\n" + at(5, "z"));
  merge.feed(1, at(2, "b") + at(1, "c"));
  CHECK(all_of(merge) == "0:a 0:dropped 1:b 1:c 0:z");
}

TEST_CASE("what has no times at all goes through as it is") {
  log_merge merge;
  merge.feed(0, "{\"status\":200}\n{\"status\":404}\n");
  auto piece = merge.next();
  REQUIRE(piece);
  CHECK(piece->text == "{\"status\":200}\n{\"status\":404}\n");
  CHECK(merge.is_empty(0));
  CHECK_FALSE(merge.next());
}

TEST_CASE("logs are fed piece by piece") {
  log_merge merge;
  CHECK(merge.is_empty(7));
  merge.feed(0, at(1, "a"));
  merge.feed(1, at(2, "b") + at(4, "d"));
  CHECK(merge.next()->log == 0);
  CHECK(merge.is_empty(0));
  merge.feed(0, at(3, "c"));
  CHECK(all_of(merge) == "1:b 0:c 1:d");
}
