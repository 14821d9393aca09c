#include "tests/support/source_conformance.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/connectors/file/file_source.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::testing;
using namespace sluice::test;
using namespace std::chrono_literals;

namespace {

struct fixture {
  temp_dir folder;
  std::string path = folder / "in";
  connector_registry registry;

  fixture() { connectors::file_source::add_to(registry); }

  std::unique_ptr<source> make(std::map<std::string, std::string> options = {}) {
    options.emplace("path", path);
    auto made = registry.source_of({"file", options});
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    return std::move(*made);
  }

  std::string mistake(std::map<std::string, std::string> options) {
    auto made = registry.source_of({"file", std::move(options)});
    REQUIRE_FALSE(made);
    CHECK(made.error().code == errc::invalid_argument);
    return made.error().message;
  }
};

using records = std::vector<std::pair<std::uint64_t, std::string>>;

records pull(source& from, std::uint32_t count = 100, std::chrono::milliseconds wait = 0ms) {
  auto got = from.pull(count, wait);
  REQUIRE_MESSAGE(got, (got ? "" : got.error().message));
  records out;
  for (auto record : got->records)
    out.emplace_back(record.seq, record.payload);
  return out;
}

std::vector<std::string> texts(const records& all) {
  std::vector<std::string> out;
  for (const auto& [seq, text] : all)
    out.push_back(text);
  return out;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(fixture, "JSON Lines to the end conform") {
  write_file(path, "");
  int n = 0;
  check_source({[&] { return make(); },
                [&](std::size_t count) {
                  for (std::size_t i = 0; i < count; ++i)
                    append_file(path, "{\"n\":" + std::to_string(++n) + "}\n");
                },
                true, false});
}

TEST_CASE_FIXTURE(fixture, "JSON Lines that are followed conform") {
  write_file(path, "");
  int n = 0;
  check_source({[&] {
                  return make({{"tail", "true"}});
                },
                [&](std::size_t count) {
                  for (std::size_t i = 0; i < count; ++i)
                    append_file(path, "{\"n\":" + std::to_string(++n) + "}\n");
                },
                false, false});
}

TEST_CASE_FIXTURE(fixture, "CSV conforms") {
  write_file(path, "n,text\n");
  int n = 0;
  check_source({[&] {
                  return make({{"format", "csv"}});
                },
                [&](std::size_t count) {
                  for (std::size_t i = 0; i < count; ++i)
                    append_file(path, std::to_string(++n) + ",\"two\nlines\"\n");
                },
                true, false});
}

TEST_CASE_FIXTURE(fixture, "the seq of a record is the offset behind its line") {
  write_file(path, "{}\n\n  \r\n[1]\r\nx");
  auto from = make();
  REQUIRE(from->open(0));
  CHECK(pull(*from) == records{{3, "{}"}, {13, "[1]"}, {14, "x"}});
}

TEST_CASE_FIXTURE(fixture, "a file that is not there ends the replica, a folder too") {
  auto missing = make();
  auto opened = missing->open(0);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == errc::not_found);
  CHECK(opened.error().message == "file: open " + path + ": No such file or directory");
  std::filesystem::create_directory(path);
  auto other = make();
  opened = other->open(0);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(fixture, "a relative path that leads to nothing is told whole") {
  path = "no-such-folder/in";
  auto opened = make()->open(0);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == errc::not_found);
  CHECK(opened.error().message
        == "file: open " + std::filesystem::absolute(path).string() + ": No such file or directory");
}

TEST_CASE_FIXTURE(fixture,
                  "a file that may not be read ends the replica, and so does a path through a file") {
  write_file(path, "{}\n");
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  const bool is_root = ::geteuid() == 0;
  if (is_root)
    ::setfsuid(65534); // of this thread: root reads everything
  const auto refused = make()->open(0);
  if (is_root)
    ::setfsuid(0);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::permission_denied);
  CHECK(refused.error().message == "file: open " + path + ": Permission denied");
  path += "/below";
  CHECK(make()->open(0).error().code == errc::not_found);
}

TEST_CASE_FIXTURE(fixture,
                  "a line too long to be a record is refused with its size and does not hide the next") {
  write_file(path, "{}\n" + std::string(limits::record_size_bytes_max + 10, 'x') + "\n{\"a\":1}\n"
                     + std::string(3 * limits::record_size_bytes_max, 'y') + "\n");
  auto from = make();
  REQUIRE(from->open(0));
  auto got = from->pull(100, 0ms);
  REQUIRE(got);
  CHECK(got->records.count() == 2);
  REQUIRE(got->refused.size() == 2);
  CHECK(got->refused[0].why == "line 2 of " + path + " has 16777226 bytes, the bound is 16777216");
  CHECK(got->refused[0].payload.size() < 5000);
  CHECK(got->refused[1].why == "line 4 of " + path + " has 50331648 bytes, the bound is 16777216");
  CHECK(got->refused[1].seq == std::filesystem::file_size(path));
  auto again = make();
  REQUIRE(again->open(got->refused[0].seq));
  CHECK(texts(pull(*again, 1)) == list{"{\"a\":1}"});
}

TEST_CASE_FIXTURE(fixture, "the longest line that may be a record is one") {
  write_file(path, std::string(limits::record_size_bytes_max - 1, 'x') + "\ny\n");
  auto from = make();
  REQUIRE(from->open(0));
  auto all = pull(*from);
  REQUIRE(all.size() >= 1);
  CHECK(all[0].second.size() == limits::record_size_bytes_max - 1);
}

TEST_CASE_FIXTURE(fixture,
                  "a CSV row with another number of fields is refused with its number and the rule") {
  write_file(path, "a,b\n1,2\n3\n4,5,6\n\n7,\"8\n9\"\n10\n");
  for (std::uint64_t from_seq : {std::uint64_t{0}, std::uint64_t{8}}) { // from the start, and resumed
    auto from = make({{"format", "csv"}});
    REQUIRE(from->open(from_seq));
    auto got = from->pull(100, 0ms);
    REQUIRE(got);
    CHECK(got->end);
    CHECK(got->records.count() == (from_seq == 0 ? 2 : 1));
    REQUIRE(got->refused.size() == 3);
    CHECK(got->refused[0].why
          == "row 3 of " + path + " has 1 field, the header has 2: column 'b' is missing");
    CHECK(got->refused[0].payload == "3");
    CHECK(got->refused[1].why
          == "row 4 of " + path + " has 3 fields, the header has 2: nothing may follow column 'b'");
    CHECK(got->refused[2].why
          == "row 7 of " + path + " has 1 field, the header has 2: column 'b' is missing");
  }
}

TEST_CASE_FIXTURE(fixture, "what is refused counts as what is read in the bound of a block") {
  std::string text = "a,b\n";
  for (int i = 0; i < 10; ++i)
    text += std::string(1 << 20, 'x') + "\n";
  write_file(path, text);
  auto from = make({{"format", "csv"}});
  REQUIRE(from->open(0));
  for (std::size_t expected : {4, 4, 2}) {
    auto got = from->pull(100, 0ms);
    REQUIRE(got);
    CHECK(got->refused.size() == expected);
  }
}

TEST_CASE_FIXTURE(fixture, "CSV may begin with a byte order mark, and have quotes that mean nothing") {
  write_file(path, "\xEF\xBB\xBFid,size\n1,5\" pipe\n2,6\" pipe\n");
  auto from = make({{"format", "csv"}});
  REQUIRE(from->open(0));
  CHECK(texts(pull(*from)) == list{R"({"id":1,"size":"5\" pipe"})", R"({"id":2,"size":"6\" pipe"})"});
}

TEST_CASE_FIXTURE(fixture,
                  "JSON Lines may begin with a byte order mark; further on it is a mistake of the line") {
  write_file(path, "\xEF\xBB\xBF{\"a\":1}\n\xEF\xBB\xBF"
                   "2\n");
  auto from = make({});
  REQUIRE(from->open(0));
  CHECK(texts(pull(*from))
        == list{R"({"a":1})", "\xEF\xBB\xBF"
                              "2"});
  write_file(path, "\xEF\xBB\xBF\n1");
  auto other = make({});
  REQUIRE(other->open(0));
  CHECK(texts(pull(*other)) == list{"1"});
}

TEST_CASE_FIXTURE(fixture, "a blank line of CSV is no row, quotes with nothing in them are one") {
  write_file(path, "note\n\"\"\n\n \n\" \"\nx\n");
  auto from = make({{"format", "csv"}});
  REQUIRE(from->open(0));
  CHECK(texts(pull(*from)) == list{R"({"note":""})", R"({"note":" "})", R"({"note":"x"})"});
}

TEST_CASE_FIXTURE(fixture, "CSV resumes behind its header") {
  write_file(path, "a,b\n1,2\n3,4\n");
  auto from = make({{"format", "csv"}});
  REQUIRE(from->open(8));
  CHECK(texts(pull(*from)) == list{"{\"a\":3,\"b\":4}"});
}

TEST_CASE_FIXTURE(fixture, "a followed file gives a line once it is finished") {
  write_file(path, "{\"a\"");
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  CHECK(pull(*from).empty());
  append_file(path, ":1}\n{");
  CHECK(texts(pull(*from)) == list{"{\"a\":1}"});
  CHECK(pull(*from).empty());
}

TEST_CASE_FIXTURE(fixture, "a followed file may come later") {
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  CHECK(pull(*from).empty());
  write_file(path, "1\n");
  CHECK(texts(pull(*from, 100, 2000ms)) == list{"1"});
}

TEST_CASE_FIXTURE(fixture, "a file renamed away is read to its end, then the new one, with seqs that grow") {
  write_file(path, "1\n2\n");
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  auto first = pull(*from, 1);
  CHECK(texts(first) == list{"1"});
  append_file(path, "3\nlast words");
  std::filesystem::rename(path, path + ".1");
  CHECK(texts(pull(*from)) == list{"2", "3"});
  write_file(path, "4\n");
  auto rest = pull(*from);
  for (auto& each : pull(*from))
    rest.push_back(std::move(each));
  REQUIRE(texts(rest) == list{"last words", "4"});
  CHECK(rest[0].first > first[0].first);
  CHECK(rest[1].first > rest[0].first);
  append_file(path, "5\n");
  CHECK(texts(pull(*from)) == list{"5"});
  auto again = make({{"tail", "true"}});
  REQUIRE(again->open(rest[1].first));
  CHECK(texts(pull(*again)) == list{"5"});
}

TEST_CASE_FIXTURE(fixture, "a file cut short is read from its beginning, with seqs that grow") {
  write_file(path, "1\n2\n3\n");
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  auto before = pull(*from);
  write_file(path, "4\n");
  auto after = pull(*from);
  CHECK(texts(after) == list{"4"});
  CHECK(after[0].first > before[2].first);
}

TEST_CASE_FIXTURE(fixture,
                  "a stored position that does not fit the file begins anew rather than lose records") {
  write_file(path, "first line\nsecond\n");
  for (std::uint64_t position : {std::uint64_t{4}, std::uint64_t{4000}}) {
    auto from = make();
    REQUIRE(from->open(position));
    auto all = pull(*from);
    CHECK(texts(all) == list{"first line", "second"});
    CHECK(all[0].first > position);
  }
}

TEST_CASE_FIXTURE(fixture, "a file written anew in place is read from its beginning, however long it is") {
  const std::string head = std::string(2000, 'h') + "\n";
  struct rewrite {
    std::string before, after;
    std::size_t count;
  };
  for (const auto& [before, after, count] :
       {rewrite{"1\n2\n", "3\n4\n5\n", 3}, rewrite{head + "1\n2\n", head + "3\n4\n5\n", 4}}) {
    write_file(path, before);
    auto from = make();
    REQUIRE(from->open(0));
    auto got = from->pull(100, 0ms);
    REQUIRE(got);
    REQUIRE(got->records.count() > 0);
    std::uint64_t seq = 0;
    for (auto record : got->records)
      seq = record.seq;
    CHECK(got->mark.find(' ') == std::string::npos);

    write_file(path, after);
    auto other = make();
    REQUIRE(other->open({seq, got->mark}));
    auto all = pull(*other);
    CHECK(all.size() == count);
    CHECK(all[0].first > seq);

    write_file(path, before + "6\n"); // the one that was read, and more
    auto same = make();
    REQUIRE(same->open({seq, got->mark}));
    CHECK(texts(pull(*same)) == list{"6"});
  }
}

TEST_CASE_FIXTURE(fixture,
                  "a position of before marks, and one with a mark of another form, are resumed at") {
  write_file(path, "1\n2\n3\n");
  for (const char* mark : {"", "2:nobody-knows", "1:"}) {
    auto from = make();
    REQUIRE(from->open({4, mark}));
    CHECK(texts(pull(*from)) == list{"3"});
  }
}

TEST_CASE_FIXTURE(fixture, "a followed file that is written anew in place is read from its beginning") {
  write_file(path, "1\n2\n3");
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  auto before = pull(*from);
  CHECK(texts(before) == list{"1", "2"});
  CHECK(pull(*from).empty());
  write_file(path, "4\n5\n6\n7\n");
  auto after = pull(*from);
  CHECK(texts(after) == list{"4", "5", "6", "7"});
  CHECK(after[0].first > before[1].first);
  append_file(path, "8\n");
  CHECK(texts(pull(*from)) == list{"8"});
}

TEST_CASE_FIXTURE(fixture, "a line cut off and begun again by its writer is read as it stands at last") {
  write_file(path, "1\nto");
  auto from = make({{"tail", "true"}});
  REQUIRE(from->open(0));
  CHECK(texts(pull(*from)) == list{"1"});
  CHECK(pull(*from).empty());
  std::filesystem::resize_file(path, 2);
  append_file(path, "again\n");
  CHECK(texts(pull(*from)) == list{"again"});
}

TEST_CASE_FIXTURE(fixture, "a file that is written anew while it is read is read again from its beginning") {
  write_file(path, "1\n2\n3\n");
  auto from = make();
  REQUIRE(from->open(0));
  auto first = pull(*from, 1);
  write_file(path, "4\n5\n6\n7\n");
  list seen;
  for (bool end = false; !end;) {
    auto got = from->pull(100, 0ms);
    REQUIRE(got);
    end = got->end;
    for (auto record : got->records)
      seen.emplace_back(record.payload);
  }
  REQUIRE(seen.size() >= 4);
  CHECK(list(seen.end() - 4, seen.end()) == list{"4", "5", "6", "7"});
}

TEST_CASE_FIXTURE(fixture, "wrong options are refused by name") {
  CHECK(mistake({}) == "file: option 'path' is missing");
  CHECK(mistake({{"path", "x"}, {"format", "xml"}})
        == "file: option 'format' must be jsonl or csv, is 'xml'");
  CHECK(mistake({{"path", "x"}, {"tail", "yes"}}) == "file: option 'tail' must be true or false, is 'yes'");
  CHECK(mistake({{"path", "x"}, {"tial", "true"}})
        == "file: there is no option 'tial'; there are: format, path, tail, text_columns, "
           "text_columns_with_empty, value_columns");
}
