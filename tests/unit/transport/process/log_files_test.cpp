// Goal: a log is bounded on disk, and an offset means the same place before and after rotation.
#include "tests/support/subprocess.hpp"
#include "transport/process/log_files.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <sys/resource.h>

using namespace sluice;
using namespace sluice::process;

namespace {

struct log_fixture {
  test::temp_dir dir;
  log_bounds bounds{100, 3};

  std::string line(int number) {
    char text[32];
    std::snprintf(text, sizeof text, "line %04d\n", number); // 10 bytes
    return text;
  }
  void write(log_writer& writer, int from, int to) {
    for (int i = from; i < to; ++i)
      writer.write(line(i));
  }
  std::size_t file_count() {
    std::size_t count = 0;
    for ([[maybe_unused]] auto& each : std::filesystem::directory_iterator{dir.path()})
      ++count;
    return count;
  }
};

} // namespace

TEST_CASE_FIXTURE(log_fixture, "what was written is read back from any line on") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 25);
  CHECK(file_count() == 3);
  for (std::uint64_t i = 0; i <= 25; ++i) {
    auto got = read_log(dir.path(), i * 10, 1000);
    REQUIRE(got);
    CHECK(got->text.size() == (25 - i) * 10);
    CHECK(got->offset_next == 250);
    if (i < 25)
      CHECK(got->text.substr(0, 10) == line(static_cast<int>(i)));
  }
}

TEST_CASE_FIXTURE(log_fixture,
                  "only the newest files stay, and an old offset means the oldest line there is") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 95);
  CHECK(file_count() == 3);
  auto got = read_log(dir.path(), 0, 10000);
  CHECK(got->text.substr(0, 10) == line(70));
  CHECK(got->offset_next == 950);
  CHECK(read_log(dir.path(), 900, 10000)->text.substr(0, 10) == line(90));
}

TEST_CASE_FIXTURE(log_fixture, "reading goes on where the last piece ended, in pieces of any size") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 28);
  for (std::size_t size : {1u, 9u, 10u, 11u, 99u, 150u, 1000u}) {
    std::string all;
    std::uint64_t offset = 0;
    for (;;) {
      auto got = read_log(dir.path(), offset, size);
      REQUIRE(got);
      if (got->text.empty())
        break;
      CHECK(got->text.size() <= std::max<std::size_t>(size, 16));
      CHECK(got->text.back() == '\n');
      offset = got->offset_next;
      all += got->text;
    }
    CHECK(offset == 280);
    CHECK(all.size() == 280);
    CHECK(all.substr(270) == line(27));
  }
}

TEST_CASE_FIXTURE(log_fixture, "an offset inside a line means the next line") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 25);
  CHECK(read_log(dir.path(), 3, 10)->text == line(1));
  CHECK(read_log(dir.path(), 95, 10)->text == line(10));
  CHECK(read_log(dir.path(), 245, 10)->text.empty());
  CHECK(read_log(dir.path(), 100000, 10)->text.empty());
  CHECK(read_log(dir.path(), 100000, 10)->offset_next == 250);
}

TEST_CASE_FIXTURE(log_fixture, "the last lines are found across files") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 25);
  CHECK(read_log_tail(dir.path(), 1, 1000)->text == line(24));
  auto seven = read_log_tail(dir.path(), 7, 1000);
  CHECK(seven->text.size() == 70);
  CHECK(seven->text.substr(0, 10) == line(18));
  CHECK(seven->offset_next == 250);
  CHECK(read_log_tail(dir.path(), 1000, 1000)->text.size() == 250);
  auto few = read_log_tail(dir.path(), 1000, 35);
  CHECK(few->text.size() == 30);
  CHECK(few->text.substr(0, 10) == line(22));
}

TEST_CASE_FIXTURE(log_fixture,
                  "a writer that begins anew goes on in the newest file, and drops none for it") {
  for (int i = 0; i < 25; ++i)
    log_writer{dir.path(), bounds}.write(line(i));
  CHECK(file_count() == 3);
  const auto all = read_log(dir.path(), 0, 1000);
  REQUIRE(all);
  CHECK(all->text.size() == 250);
  CHECK(all->text.substr(240) == line(24));
}

TEST_CASE_FIXTURE(log_fixture, "half a line that a writer has left behind does not get into the next one") {
  const auto file = dir / "0000000000000000.log";
  for (const std::string before : {"", "line 0000\n"}) {
    std::ofstream{file} << before << "half";
    log_writer{dir.path(), bounds}.write(line(1));
    CHECK(read_log(dir.path(), 0, 1000)->text == before + line(1));
    CHECK(file_count() == 1);
  }
}

TEST_CASE_FIXTURE(log_fixture, "an empty log has nothing to read") {
  CHECK(read_log(dir.path(), 0, 100)->text.empty());
  CHECK(read_log_tail(dir.path(), 10, 100)->text.empty());
  CHECK(read_log(dir.path() / "missing", 0, 100)->text.empty());
}

TEST_CASE_FIXTURE(log_fixture, "half a line at the end is not shown before it is whole") {
  log_writer writer{dir.path(), bounds};
  write(writer, 0, 2);
  auto file = dir.path() / "0000000000000000.log";
  test::write_file(file, test::read_file(file) + "half");
  CHECK(read_log(dir.path(), 0, 100)->text == line(0) + line(1));
  auto tail = read_log_tail(dir.path(), 5, 100);
  CHECK(tail->text == line(0) + line(1));
  CHECK(tail->offset_next == 20);
}

TEST_CASE_FIXTURE(log_fixture, "a writer goes on where an earlier one ended") {
  {
    log_writer writer{dir.path(), bounds};
    write(writer, 0, 3);
  }
  log_writer writer{dir.path(), bounds};
  write(writer, 3, 5);
  CHECK(read_log(dir.path(), 0, 1000)->text.size() == 50);
  CHECK(read_log(dir.path(), 30, 10)->text == line(3));
}

TEST_CASE_FIXTURE(log_fixture, "lines that the disk refuses are counted, and the log says so afterwards") {
  // RLIMIT_FSIZE stands in for a full disk: a write beyond it fails, in part.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  log_writer writer{dir.path(), log_bounds{1000, 3}};
  write(writer, 0, 2);
  rlimit tight{25, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  write(writer, 2, 5);
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(writer.dropped_count() == 3);
  CHECK(read_log(dir.path(), 0, 1000)->text == line(0) + line(1));
  write(writer, 5, 6);
  CHECK(read_log(dir.path(), 20, 1000)->text == "sluice: 3 lines were dropped: File too large\n" + line(5));
  CHECK(writer.dropped_count() == 3);
}

TEST_CASE_FIXTURE(log_fixture, "a directory that is not there yet is made when there is room") {
  log_writer writer{dir.path() / "a" / "b", bounds};
  write(writer, 0, 1);
  CHECK(read_log(dir.path() / "a" / "b", 0, 100)->text == line(0));
}
