// Goal: however a file is cut, each of its records comes exactly once, in order.
#include "tests/support/subprocess.hpp"
#include "transport/batch/split_reader.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::batch;

namespace {

struct fixture {
  test::temp_dir dir;
  source_file file{(dir.path() / "in").string(), false};

  void write(const std::string& text) {
    std::ofstream out{file.path, std::ios::binary};
    out << text;
  }

  /// All records of one split; an error as "! error".
  std::vector<std::string> read(std::uint64_t begin, std::uint64_t end) {
    std::vector<std::string> out;
    auto reader = open_split(file, begin, end);
    REQUIRE(reader.has_value());
    std::vector<record_slice> some;
    for (bool more = true; more;) {
      auto next = (*reader)->next(some);
      REQUIRE(next.has_value());
      more = *next;
      for (const auto& each : some)
        out.push_back(each.error.empty() ? std::string{each.payload} : "! " + std::string{each.error});
    }
    return out;
  }

  /// All records, by the plan for `split_bytes`.
  std::vector<std::string> read_all(std::uint64_t split_bytes) {
    std::ifstream in{file.path, std::ios::ate | std::ios::binary};
    auto borders = plan_splits(file, static_cast<std::uint64_t>(in.tellg()), split_bytes);
    REQUIRE(borders.has_value());
    std::vector<std::string> out;
    for (std::size_t i = 0; i + 1 < borders->size(); ++i)
      for (auto& each : read((*borders)[i], (*borders)[i + 1]))
        out.push_back(std::move(each));
    return out;
  }
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(fixture, "a line is of the split in which it begins") {
  write("aa\nbb\ncc\n");
  CHECK(read(0, 9) == texts{"aa", "bb", "cc"});
  CHECK(read(0, 3) == texts{"aa"});
  CHECK(read(0, 4) == texts{"aa", "bb"});
  CHECK(read(3, 6) == texts{"bb"}); // a border exactly between
  CHECK(read(4, 6) == texts{});
  CHECK(read(4, 9) == texts{"cc"});
}

TEST_CASE_FIXTURE(fixture, "wherever lines are cut, all come once and in order") {
  write("a\r\nbb\n\n  \nccc\r\ndddd");
  const texts all{"a", "bb", "ccc", "dddd"};
  for (std::uint64_t split_bytes = 1; split_bytes < 25; ++split_bytes)
    CHECK(read_all(split_bytes) == all);
}

TEST_CASE_FIXTURE(fixture, "what the record's type has as a number is one in quotes as well") {
  file.is_csv = true;
  file.columns.values = {"amount"};
  write("\"country\",\"amount\"\r\n\"NO\",\"12.5\"\r\n\"SE\",\"\"\r\n");
  CHECK(read_all(1000) == texts{R"({"country":"NO","amount":12.5})", R"({"country":"SE"})"});
}

TEST_CASE_FIXTURE(fixture, "lines may begin with a byte order mark, wherever they are cut") {
  write("\xEF\xBB\xBF"
        "1\n22\n\xEF\xBB\xBF"
        "3\n");
  for (std::uint64_t split_bytes = 1; split_bytes < 16; ++split_bytes)
    CHECK(read_all(split_bytes)
          == texts{"1", "22",
                   "\xEF\xBB\xBF"
                   "3"});
}

TEST_CASE_FIXTURE(fixture, "an empty file has no splits, a missing one is told by name") {
  write("");
  CHECK(plan_splits(file, 0, 100).value() == std::vector<std::uint64_t>{0});
  file.path += "-not-there";
  auto missing = open_split(file, 0, 1);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == errc::not_found);
  CHECK(missing.error().message.find(file.path) != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a file that is not there is told as such") {
  file.path += ".gone";
  auto missing = open_split(file, 0, 1);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == errc::not_found);
  CHECK(missing.error().message.ends_with("No such file or directory"));
}

TEST_CASE_FIXTURE(fixture, "a line longer than a buffer, and one longer than a record may be") {
  const std::string longer(2'000'000, 'x');
  const std::string too_long(limits::record_size_bytes_max + 1, 'y');
  write("a\n" + longer + "\nb\n" + too_long + "\nc\n" + too_long);
  const auto error = "! a line of " + std::to_string(too_long.size()) + " bytes; a record has at most "
                     + std::to_string(limits::record_size_bytes_max);
  const texts all{"a", longer, "b", error, "c", error};
  CHECK(read_all(1u << 20) == all);
  CHECK(read_all(std::uint64_t{1} << 30) == all);
}

TEST_CASE_FIXTURE(fixture, "lines that are too long may follow each other") {
  const auto size = limits::record_size_bytes_max + 1;
  write(std::string(size, 'x') + "\r\n" + std::string(size + 1, 'y') + "\nz\n");
  const auto error = [](std::size_t bytes) {
    return "! a line of " + std::to_string(bytes) + " bytes; a record has at most "
           + std::to_string(limits::record_size_bytes_max);
  };
  CHECK(read_all(std::uint64_t{1} << 30) == texts{error(size + 1), error(size + 1), "z"});
}

TEST_CASE_FIXTURE(fixture, "quotes inside bare fields do not move the borders of rows") {
  file.is_csv = true;
  write("\xEF\xBB\xBFid,size\n1,5\" pipe\n2,x\n3,\"y\nz\"\n4,6\" pipe\n5,\"open\n6,b\n");
  const texts all{R"({"id":1,"size":"5\" pipe"})", R"({"id":2,"size":"x"})", R"({"id":3,"size":"y\nz"})",
                  R"({"id":4,"size":"6\" pipe"})", "! the row has a quote that is not closed"};
  for (std::uint64_t split_bytes = 1; split_bytes < 60; ++split_bytes)
    CHECK(read_all(split_bytes) == all);
}

TEST_CASE_FIXTURE(fixture, "rows of CSV become objects, with line breaks in quotes, wherever they are cut") {
  file.is_csv = true;
  write("name,n\r\n\"a\nb\",1\n\"say \"\"x\"\"\",2\n\nplain,3\n\"\n\n\n\",4");
  const texts all{R"({"name":"a\nb","n":1})", R"({"name":"say \"x\"","n":2})", R"({"name":"plain","n":3})",
                  R"({"name":"\n\n\n","n":4})"};
  for (std::uint64_t split_bytes = 1; split_bytes < 60; ++split_bytes)
    CHECK(read_all(split_bytes) == all);
}

TEST_CASE_FIXTURE(fixture, "a blank line is no row, quotes with nothing in them are one") {
  file.is_csv = true;
  write("note\n\"\"\n\n \n\" \"\nx\n");
  for (std::uint64_t split_bytes = 1; split_bytes < 20; ++split_bytes)
    CHECK(read_all(split_bytes) == texts{R"({"note":""})", R"({"note":" "})", R"({"note":"x"})"});
}

TEST_CASE_FIXTURE(fixture, "a header whose quote is never closed is an error, not the whole file") {
  file.is_csv = true;
  write("a,\"b\n1,2\n");
  const auto opened = open_split(file, 0, 10);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().message == "file: the header of " + file.path + " has a quote that is not closed");
}

TEST_CASE_FIXTURE(fixture, "a row with another number of fields is an error of its own") {
  file.is_csv = true;
  write("a,b\n1,2\n3\n4,5\n");
  CHECK(read_all(1000)
        == texts{R"({"a":1,"b":2})", "! the row has 1 field, the header has 2: column 'b' is missing",
                 R"({"a":4,"b":5})"});
}

TEST_CASE_FIXTURE(fixture, "random files cut at random places give what one reader gives") {
  std::mt19937 random{7};
  for (int round = 0; round < 200; ++round) {
    std::string text = round % 2 == 1 ? "a,b\n" : ""; // whatever follows, a header is one
    const auto size = random() % 400;
    while (text.size() < size)
      text += "ab,\"\r\n\n"[random() % 7];
    write(text);
    file.is_csv = round % 2 == 1;
    const auto whole = read_all(1u << 20);
    for (std::uint64_t split_bytes : {1u, 2u, 3u, 7u, 16u, 50u})
      CHECK_MESSAGE(read_all(split_bytes) == whole, "round " << round << ", split of " << split_bytes);
  }
}
