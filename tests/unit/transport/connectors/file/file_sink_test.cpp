#include "tests/support/sink_conformance.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/connectors/file/file_sink.hpp"
#include "transport/connectors/file/file_source.hpp"

#include <doctest/doctest.h>

#include <filesystem>

using namespace sluice;
using namespace sluice::testing;
using namespace sluice::test;
using namespace std::chrono_literals;

namespace {

struct fixture {
  temp_dir folder;
  std::string path = folder / "out";
  connector_registry registry;

  fixture() {
    connectors::file_source::add_to(registry);
    connectors::file_sink::add_to(registry);
  }

  std::unique_ptr<sink> make(const std::string& format = "jsonl") {
    auto made = registry.sink_of({"file", {{"path", path}, {"format", format}}});
    REQUIRE(made);
    return std::move(*made);
  }

  std::vector<std::string> lines(const std::string& format = "jsonl") {
    std::vector<std::string> out;
    if (!std::filesystem::exists(path))
      return out;
    auto from = std::move(*registry.source_of({"file", {{"path", path}, {"format", format}}}));
    REQUIRE(from->open(0));
    for (;;) {
      auto got = from->pull(1000, 0ms);
      REQUIRE(got);
      for (auto record : got->records)
        out.emplace_back(record.payload);
      if (got->end)
        return out;
    }
  }

  static record_block block(std::initializer_list<std::string> all) {
    record_block_builder made;
    for (const auto& each : all)
      made.add(each);
    return made.finish();
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "JSON Lines conform") {
  check_sink({[&] { return make(); }, [&] { return lines(); }, true});
}

TEST_CASE_FIXTURE(fixture, "CSV conforms, and what was written reads back as it was") {
  check_sink({[&] { return make("csv"); }, [&] { return lines("csv"); }, true});
}

TEST_CASE_FIXTURE(fixture, "a torn last line is cut off on opening") {
  for (const char* torn : {"{\"a\":", "{\"a\":1}x", "12"}) {
    write_file(path, std::string{"{\"n\":1}\n"} + torn);
    REQUIRE(make()->open());
    CHECK(read_file(path) == "{\"n\":1}\n");
  }
  write_file(path, "{\"torn from the first");
  REQUIRE(make()->open());
  CHECK(read_file(path).empty());
}

TEST_CASE_FIXTURE(fixture,
                  "a torn row of CSV is cut off on opening, wherever a line break within it stands") {
  const std::string whole = "id,note\n1,\"first\nrow\"\n";
  for (const char* torn : {"", "2", "2,\"a\nb", "2,\"a\n", "\"", "2,5\" pipe"}) {
    write_file(path, whole + torn);
    REQUIRE(make("csv")->open());
    CHECK(read_file(path) == whole);
  }
}

TEST_CASE_FIXTURE(fixture, "a torn line longer than what is read at once is cut off too") {
  write_file(path, "{}\n\"" + std::string(200'000, 'x'));
  REQUIRE(make()->open());
  CHECK(read_file(path) == "{}\n");
}

TEST_CASE_FIXTURE(fixture, "a whole last line that only lacks its break is kept") {
  write_file(path, "{\"n\":1}\n{\"n\":2}");
  auto to = make();
  REQUIRE(to->open());
  REQUIRE(to->push(block({"{\"n\":3}"})));
  CHECK(read_file(path) == "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

TEST_CASE_FIXTURE(fixture, "a line break between JSON values stays within the line") {
  auto to = make();
  REQUIRE(to->open());
  REQUIRE(to->push(block({"{\n\"a\": 1\n}"})));
  CHECK(read_file(path) == "{ \"a\": 1 }\n");
}

TEST_CASE_FIXTURE(fixture, "a member that is no column is refused and nothing is written") {
  write_file(path, "b,a\n");
  auto to = make("csv");
  REQUIRE(to->open());
  auto pushed = to->push(block({"{\"a\":1,\"b\":2}", "{\"c\":3}"}));
  REQUIRE_FALSE(pushed);
  CHECK(pushed.error().code == errc::invalid_argument);
  CHECK(pushed.error().message == "file: " + path + " has no column 'c'");
  REQUIRE(to->push(block({"{\"a\":1,\"b\":2}", "{\"b\":3}"})));
  CHECK(read_file(path) == "b,a\n2,1\n3,\n");
}

TEST_CASE_FIXTURE(fixture, "a full disk is said and leaves no torn line") {
  std::filesystem::create_symlink("/dev/full", folder / "full");
  path = folder / "full";
  auto opened = make()->open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message == "file: " + path + " is no regular file");
}

TEST_CASE_FIXTURE(fixture, "a path that can never be written to is said at once, not tried for ever") {
  write_file(path, "");
  const auto file = path;
  // No folder, a file in its place, a file system that nobody writes to.
  for (const auto& wrong : {folder / "missing/out", file + "/below", std::string{"/proc/sys/out"}}) {
    path = wrong;
    auto opened = make()->open();
    REQUIRE_FALSE(opened);
    CHECK_MESSAGE(opened.error().code == errc::invalid_argument, opened.error().message);
  }
}
