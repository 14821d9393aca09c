#include "tests/support/sink_conformance.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/connectors/file/file_sink.hpp"
#include "transport/connectors/file/file_source.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

  /// An open sink with one result in the file.
  std::unique_ptr<sink> begun(const std::string& format = "jsonl") {
    auto to = make(format);
    REQUIRE(to->open());
    REQUIRE(to->push(block({"{\"n\":1}"})));
    return to;
  }
};

/// Whether a thread of this process waits for a lock of a file.
bool waits_for_lock() {
  std::ifstream locks{"/proc/locks"};
  const auto pid = " " + std::to_string(::getpid()) + " ";
  for (std::string line; std::getline(locks, line);)
    if (line.find("-> FLOCK") != std::string::npos && line.find(pid) != std::string::npos)
      return true;
  return false;
}

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

TEST_CASE_FIXTURE(fixture, "a relative path that leads to nothing is told whole") {
  path = "no-such-folder/out";
  auto opened = make()->open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == errc::invalid_argument);
  CHECK(opened.error().message
        == "file: open " + std::filesystem::absolute(path).string() + ": No such file or directory");
}

TEST_CASE_FIXTURE(fixture, "a file that is deleted is made anew") {
  auto to = begun();
  std::filesystem::remove(path);
  REQUIRE(to->push(block({"{\"n\":2}"})));
  REQUIRE(to->push(block({"{\"n\":3}"})));
  CHECK(read_file(path) == "{\"n\":2}\n{\"n\":3}\n");
}

TEST_CASE_FIXTURE(fixture, "a file that is rotated away keeps what it has, a new one gets what comes") {
  auto to = begun();
  std::filesystem::rename(path, path + ".1");
  REQUIRE(to->push(block({"{\"n\":2}"})));
  std::filesystem::rename(path, path + ".2");
  REQUIRE(to->push(block({"{\"n\":3}"})));
  CHECK(read_file(path + ".1") == "{\"n\":1}\n");
  CHECK(read_file(path + ".2") == "{\"n\":2}\n");
  CHECK(read_file(path) == "{\"n\":3}\n");
}

TEST_CASE_FIXTURE(fixture, "a CSV file that is rotated away is followed by one with a header of its own") {
  auto to = begun("csv");
  auto other = begun("csv");
  std::filesystem::rename(path, path + ".1");
  REQUIRE(to->push(block({"{\"m\":2,\"n\":2}"})));
  REQUIRE(other->push(block({"{\"n\":3}"})));
  CHECK(read_file(path + ".1") == "n\n1\n1\n");
  CHECK(read_file(path) == "m,n\n2,2\n,3\n");
}

TEST_CASE_FIXTURE(fixture, "a CSV file that is emptied in place gets its header again") {
  auto to = begun("csv");
  std::filesystem::resize_file(path, 0);
  REQUIRE(to->push(block({"{\"m\":2,\"n\":2}"})));
  REQUIRE(to->push(block({"{\"n\":3}"})));
  CHECK(read_file(path) == "m,n\n2,2\n,3\n");
}

TEST_CASE_FIXTURE(fixture, "a file that is replaced by another one is left for that") {
  auto to = begun("csv");
  write_file(path + ".new", "m,n\n7,8\n9,\"torn");
  std::filesystem::rename(path + ".new", path);
  REQUIRE(to->push(block({"{\"n\":2}"})));
  CHECK(read_file(path) == "m,n\n7,8\n,2\n");

  std::filesystem::remove(path);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  auto pushed = to->push(block({"{\"n\":3}"}));
  REQUIRE_FALSE(pushed);
  CHECK(pushed.error().code == errc::unavailable);
  CHECK(pushed.error().message == "file: " + path + " is no regular file");
  std::filesystem::remove(path);
  REQUIRE(to->push(block({"{\"n\":3}"})));
  CHECK(read_file(path) == "n\n3\n");
}

TEST_CASE_FIXTURE(fixture, "a folder that is removed fails a push, until it is there again") {
  std::filesystem::create_directory(folder / "sub");
  path = folder / "sub/out";
  auto to = begun();
  std::filesystem::rename(folder / "sub", folder / "moved");
  for (int n = 0; n < 2; ++n) {
    auto pushed = to->push(block({"{\"n\":2}"}));
    REQUIRE_FALSE(pushed);
    CHECK(pushed.error().code == errc::unavailable);
    CHECK(pushed.error().message == "file: open " + path + ": No such file or directory");
  }
  std::filesystem::create_directory(folder / "sub");
  REQUIRE(to->push(block({"{\"n\":2}"})));
  CHECK(read_file(folder / "moved/out") == "{\"n\":1}\n");
  CHECK(read_file(path) == "{\"n\":2}\n");
}

TEST_CASE_FIXTURE(fixture, "a file that another name leads to, too, is one file") {
  auto to = begun();
  std::filesystem::rename(path, folder / "real");
  std::filesystem::create_symlink(folder / "real", path);
  REQUIRE(to->push(block({"{\"n\":2}"})));
  CHECK(read_file(folder / "real") == "{\"n\":1}\n{\"n\":2}\n");
}

// Goal: no result is acknowledged that went with a file which was deleted between the look and the write.
TEST_CASE_FIXTURE(fixture, "a file that is deleted while it is written to fails the push") {
  auto to = begun();
  const int held = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::flock(held, LOCK_EX) == 0);
  auto pushing = std::async(std::launch::async, [&] { return to->push(block({"{\"n\":2}"})); });
  eventually(waits_for_lock, 5s); // not every system shows who waits; by then the push does
  std::filesystem::remove(path);
  ::close(held);
  auto pushed = pushing.get();
  REQUIRE_FALSE(pushed);
  CHECK(pushed.error().code == errc::unavailable);
  CHECK(pushed.error().message == "file: " + path + " was deleted while it was written to");
  REQUIRE(to->push(block({"{\"n\":2}"})));
  CHECK(read_file(path) == "{\"n\":2}\n");
}
