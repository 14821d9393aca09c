// Goal: whatever happens to a store's log, what was acknowledged is there or the store says that it is not.
#include "tests/support/queue_store_fixture.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <random>

using namespace sluice;
using namespace sluice::testing;
using namespace sluice::queue;

namespace {

namespace fs = std::filesystem;
using strings = std::vector<std::string>;

/// A store whose process was killed: a copy of its files, taken while it was open.
struct killed_store : queue_store_fixture {
  fs::path copy = path.parent_path() / "copy.db";
  fs::path wal = copy.string() + "-wal";

  void take_copy() {
    for (const char* suffix : {"", "-wal", "-mark"}) {
      fs::remove(copy.string() + suffix);
      if (!fs::exists(path.string() + suffix))
        continue;
      fs::copy_file(path.string() + suffix, copy.string() + suffix);
      fs::last_write_time(copy.string() + suffix, fs::last_write_time(path.string() + suffix));
    }
    fs::remove(copy.string() + "-shm");
  }

  /// The records of the copy, or the message with which it is refused.
  result<strings> open_copy() {
    auto opts = options();
    opts.path = copy.string();
    auto opened = store::open_queue_store(opts);
    if (!opened)
      return fail(opened);
    auto found = (*opened)->read(name("q"), 0, 1'000'000, 1u << 30);
    if (!found)
      return fail(found);
    return texts(*found);
  }
};

TEST_CASE_FIXTURE(killed_store, "a killed store opens with all that was acknowledged") {
  put("q", 1, numbered(1, 100));
  put("q", 101, numbered(101, 100));
  take_copy();
  auto found = open_copy();
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->size() == 200);
  CHECK(open_copy()->size() == 200);
}

TEST_CASE_FIXTURE(killed_store,
                  "a flipped bit anywhere in the log loses nothing silently and changes nothing") {
  for (std::uint64_t seq = 1; seq <= 400; seq += 20)
    put("q", seq, numbered(seq, 20));
  std::mt19937_64 random{11};
  int refused = 0;
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    take_copy();
    auto bytes = test::read_file(wal);
    // The header and the ends of the log in particular.
    const auto at = round < 32 ? static_cast<std::size_t>(round) : random() % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    test::write_file(wal, bytes);
    const auto file = test::read_file(copy);
    auto found = open_copy();
    if (found) {
      CHECK(found->size() == 400);
      continue;
    }
    ++refused;
    CHECK(found.error().code == errc::corrupt);
    CHECK(found.error().message.find(wal.string()) != std::string::npos);
    CHECK(found.error().message.find("damaged at byte") != std::string::npos);
    CHECK(test::read_file(wal) == bytes);
    CHECK(test::read_file(copy) == file);
  }
  CHECK(refused > 150);
}

TEST_CASE_FIXTURE(
  killed_store,
  "a log that is cut, gone, or an older one is refused; told so, the store opens with what is left") {
  put("q", 1, numbered(1, 50));
  take_copy();
  const auto older = test::read_file(wal);
  for (std::uint64_t seq = 51; seq <= 200; seq += 50)
    put("q", seq, numbered(seq, 50));
  take_copy();
  fs::resize_file(wal, fs::file_size(wal) - 1);
  CHECK(open_copy().error().code == errc::corrupt);
  take_copy();
  fs::remove(wal);
  CHECK(open_copy().error().message.find("is missing") != std::string::npos);
  take_copy();
  test::write_file(wal, older);
  CHECK(open_copy().error().code == errc::corrupt);
  fs::remove(copy.string() + "-mark");
  auto left = open_copy();
  REQUIRE_MESSAGE(left, left.error().message);
  CHECK(left->size() == 50);
}

TEST_CASE_FIXTURE(killed_store, "a log that another program moved into the file is not missed") {
  put("q", 1, numbered(1, 100));
  take_copy();
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open(copy.c_str(), &raw) == SQLITE_OK);
  CHECK(sqlite3_exec(raw, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(raw);
  REQUIRE_FALSE(fs::exists(wal));
  auto found = open_copy();
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->size() == 100);
}

TEST_CASE_FIXTURE(killed_store, "logs that begin anew under load raise no false alarm") {
  std::mt19937_64 random{3};
  std::uint64_t seq = 1;
  for (int round = 0; round < 60; ++round) {
    const strings some(1 + random() % 3, std::string(std::size_t{1} << 20, 'x'));
    put("q", seq, some);
    seq += some.size();
    settle("q", {{1, seq - 1}});
    if (round % 5 != 0)
      continue;
    take_copy();
    auto found = open_copy();
    REQUIRE_MESSAGE(found, found.error().message);
    CHECK(found->empty());
  }
}

TEST_CASE_FIXTURE(killed_store,
                  "a mark that a power cut has left behind raises no alarm, whatever the clock says") {
  const auto salt = [&] {
    std::array<char, 4> at_16{};
    std::ifstream{path.string() + "-wal", std::ios::binary}.seekg(16).read(at_16.data(), at_16.size());
    return at_16;
  };
  put("q", 1, numbered(1, 10));
  take_copy();
  const auto older = test::read_file(copy.string() + "-mark");
  const auto before = salt();
  std::uint64_t seq = 11;
  for (; salt() == before && seq < 200; ++seq)
    put("q", seq, {std::string(std::size_t{1} << 20, 'x')});
  REQUIRE(salt() != before);
  take_copy();
  test::write_file(copy.string() + "-mark", older);
  fs::last_write_time(copy, fs::last_write_time(copy) - std::chrono::hours{1});
  auto found = open_copy();
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->size() == seq - 1);
}

TEST_CASE_FIXTURE(killed_store, "a store that is closed leaves neither log nor mark") {
  put("q", 1, numbered(1, 10));
  CHECK(fs::exists(path.string() + "-mark"));
  store.reset();
  CHECK_FALSE(fs::exists(path.string() + "-wal"));
  CHECK_FALSE(fs::exists(path.string() + "-mark"));
}

} // namespace
