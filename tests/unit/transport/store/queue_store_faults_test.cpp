#include "tests/support/fault_vfs.hpp"
#include "tests/support/queue_store_fixture.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::queue;
using sluice::testing::fault_vfs;
using sluice::testing::queue_store_fixture;
using strings = std::vector<std::string>;

namespace {

struct faulty_store : queue_store_fixture {
  faulty_store() {
    vfs = fault_vfs::name;
    fresh();
  }
  ~faulty_store() { store.reset(); } // before the layer goes

  /// Opens the file with the healthy layer and returns what is there.
  strings after_restart() {
    store.reset();
    disk.heal();
    vfs.clear();
    reopen();
    return all("q");
  }

  fault_vfs disk;
};

} // namespace

TEST_CASE_FIXTURE(faulty_store,
                  "a full disk fails the write whole, at whichever page, and goes on once there is room") {
  put("q", 1, {"a"});
  std::uint64_t seq = 2;
  for (int at = 1; at < 30; ++at) {
    CAPTURE(at);
    disk.fill_disk(at);
    auto outcome = try_put("q", seq, strings(20, std::string(5000, 'x')));
    disk.heal();
    if (outcome)
      seq += 20;
    else
      CHECK(outcome.error().code == errc::overloaded);
    REQUIRE(all("q").size() == seq - 1);
    CHECK_FALSE(store->broken());
  }
  CHECK(try_settle("q", {{1, seq - 1}}).has_value());
  CHECK(after_restart().empty());
}

TEST_CASE_FIXTURE(faulty_store, "a bad write fails that request only") {
  put("q", 1, {"a"});
  for (int at = 1; at < 8; ++at) {
    disk.fail_write(at);
    auto outcome = try_settle("q", {{1, 1}});
    disk.heal();
    if (outcome)
      break;
    CHECK(outcome.error().code == errc::unavailable);
    CHECK_FALSE(store->broken());
    CHECK(all("q") == strings{"1:a"});
  }
  put("q", 2, {"b"});
  CHECK(after_restart() == strings{"2:b"});
}

TEST_CASE_FIXTURE(
  faulty_store,
  "after a failed sync nothing is stored or read any more, and a restart finds all that was answered") {
  put("q", 1, {"a", "b"});
  disk.fail_sync(1);
  auto outcome = try_put("q", 3, {"c"});
  REQUIRE_FALSE(outcome.has_value());
  REQUIRE(store->broken());
  CHECK(store->broken()->message.find("start the head anew") != std::string::npos);
  disk.heal(); // even if the disk says it works again
  CHECK_FALSE(try_put("q", 3, {"c"}).has_value());
  CHECK_FALSE(try_settle("q", {{1, 1}}).has_value());
  CHECK_FALSE(store->read(name("q"), 0, 1, 1).has_value());
  CHECK_FALSE(store->load().has_value());
  CHECK_FALSE(store->dead_letters({}, 0, 1, 1).has_value());
  CHECK_FALSE(store->requeue({name("q"), {}, 0, 0, 4, wall}).has_value());
  CHECK_FALSE(store->purge_dead_letters(name("q")).has_value());
  auto found = after_restart();
  REQUIRE(found.size() >= 2); // the third may be there or not: it was not answered
  CHECK(found[0] == "1:a");
  CHECK(found[1] == "2:b");
}

TEST_CASE_FIXTURE(faulty_store, "a sync that fails while the log is moved breaks the store as well") {
  std::uint64_t seq = 1;
  auto big = strings(40, std::string(200'000, 'x'));
  auto syncs = disk.syncs();
  put("q", seq, {"small"});
  auto per_commit = static_cast<int>(disk.syncs() - syncs);
  ++seq;
  while (!store->broken() && seq < 1000) {
    disk.fail_sync(per_commit + 1); // commits succeed, what follows does not
    auto outcome = try_put("q", seq, big);
    REQUIRE(outcome.has_value());
    seq += big.size();
  }
  CHECK(store->broken());
  CHECK_FALSE(try_put("q", seq, {"x"}).has_value());
  CHECK(after_restart().size() == seq - 1);
}

// Goal: whatever byte of the file is wrong, nothing wrong is handed out and nothing crashes.
TEST_CASE_FIXTURE(queue_store_fixture,
                  "no flipped bit, zeroed page or cut makes the store crash or hand out a wrong record") {
  std::map<std::string, std::string> right;
  std::uint64_t seq = 1;
  std::mt19937 random{7};
  for (int i = 0; i < 12; ++i) {
    strings some;
    for (std::uint64_t k = 0; k < 30; ++k) {
      some.push_back("payload of " + std::to_string(seq + k) + std::string(random() % 300, 'x'));
      right[std::to_string(seq + k) + ":" + some.back()] = "";
    }
    put("q", seq, some);
    seq += 30;
  }
  settle("q", {{5, 9}, {40, 40}, {61, 90}});
  bury("q", 100, "boom");
  write([](write_batch& batch) { batch.cursors.push_back({"file", "", "42"}); });
  store.reset();
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto original = test::read_file(path);
  REQUIRE(original.size() > 20'000);
  int refused = 0;
  int found_less = 0;
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    auto bytes = original;
    switch (random() % 8) {
    case 0:
      bytes.resize(random() % bytes.size());
      break;
    case 1: {
      auto page = random() % (bytes.size() / 8192) * 8192;
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page), 8192, '\0');
      break;
    }
    case 2: {
      auto pages = bytes.size() / 8192;
      auto a = random() % pages * 8192;
      auto b = random() % pages * 8192;
      std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a),
                       bytes.begin() + static_cast<std::ptrdiff_t>(a + 8192),
                       bytes.begin() + static_cast<std::ptrdiff_t>(b));
      break;
    }
    default:
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    }
    test::write_file(path, bytes);
    damage.clear();
    auto opened = store::open_queue_store(options());
    if (!opened) {
      ++refused;
      CHECK(opened.error().message.find(path.string()) != std::string::npos);
      continue;
    }
    store = std::move(*opened);
    auto contents = store->load();
    auto found = store->read(name("q"), 0, 1'000'000, 1u << 30);
    if (found) {
      for (const auto& text : texts(*found))
        REQUIRE(right.contains(text));
      // What is missing was set aside with a message, or the queue's count tells of it.
      auto count = texts(*found).size();
      if (count < 360 - 36 - 1) {
        ++found_less;
        CHECK((!damage.empty() || !contents || contents->queues.empty()
               || contents->queues[0].name != name("q") || contents->queues[0].count != count));
      }
    } else {
      ++refused;
    }
    if (auto letters = store->dead_letters({}, 0, 100, 1 << 20))
      for (const auto& letter : letters->letters)
        REQUIRE(right.contains("100:" + letter.payload));
    if (contents)
      for (const auto& [key, value] : contents->cursors)
        REQUIRE(key + value == "file42");
    try_settle("q", {{1, 1000}});
    try_put("q", 5000, {"after"});
    store.reset();
  }
  CHECK(refused + found_less > 10); // the damage did reach the store
}

// Goal: acknowledged is a subset of stored, whenever the process is killed.
TEST_CASE_FIXTURE(queue_store_fixture, "a killed process leaves all that it was answered for") {
  store.reset();
  std::mt19937 random{std::random_device{}()};
  std::uint64_t seq_last = 0;
  std::uint64_t settled_to = 0;
  for (int round = 0; round < 12; ++round) {
    int answers[2];
    REQUIRE(pipe(answers) == 0);
    auto child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      close(answers[0]);
      auto opened = store::open_queue_store(options());
      if (!opened)
        _exit(1);
      auto seq = (*opened)->load()->queues.empty() ? 0 : (*opened)->load()->queues[0].seq_last;
      for (auto settled = settled_to;;) {
        write_batch batch;
        batch.now = wall;
        batch.appends.push_back(segment_of("q", seq + 1, numbered(seq + 1, 50)));
        if (seq > settled + 100)
          batch.settled.push_back({name("q"), {{settled + 1, settled + 70}}});
        if (!(*opened)->write(batch))
          _exit(1);
        seq += 50;
        if (!batch.settled.empty())
          settled += 70;
        std::uint64_t said[2] = {seq, settled};
        if (::write(answers[1], said, sizeof said) != sizeof said)
          _exit(1);
      }
    }
    close(answers[1]);
    std::uint64_t said[2] = {seq_last, settled_to};
    auto hear = [&] { return ::read(answers[0], said, sizeof said) == sizeof said; };
    for (auto wanted = random() % 20; wanted > 0 && hear(); --wanted) {
    }
    usleep(static_cast<useconds_t>(random() % 2000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    while (hear()) { // all it was answered for
    }
    seq_last = said[0];
    settled_to = said[1];
    close(answers[0]);
    reopen();
    auto found = *store->load();
    if (seq_last == 0 && found.queues.empty()) {
      store.reset();
      continue;
    }
    CHECK(found.queues[0].seq_last >= seq_last);
    auto left = all("q");
    CHECK(found.queues[0].count == left.size());
    // Everything answered is there and all settled is gone; one more batch may be.
    auto first = std::stoull(left.front());
    CHECK(first >= settled_to + 1);
    CHECK(first <= settled_to + 71);
    for (std::size_t i = 0; i < left.size(); ++i)
      REQUIRE(left[i] == std::to_string(first + i) + ":r" + std::to_string(first + i));
    settled_to = first - 1;
    seq_last = found.queues[0].seq_last;
    CHECK(first + left.size() - 1 == seq_last);
    CHECK(damage.empty());
    store.reset();
  }
  sqlite3* raw = nullptr;
  sqlite3_stmt* check = nullptr;
  sqlite3_open(path.c_str(), &raw);
  sqlite3_prepare_v2(raw, "PRAGMA integrity_check", -1, &check, nullptr);
  REQUIRE(sqlite3_step(check) == SQLITE_ROW);
  CHECK(std::string{reinterpret_cast<const char*>(sqlite3_column_text(check, 0))} == "ok");
  sqlite3_finalize(check);
  sqlite3_close(raw);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a bounded store says how full it is, and settling makes room") {
  store.reset();
  size_bytes_max = 8 << 20;
  fresh();
  std::uint64_t seq = 1;
  std::uint64_t used = 0;
  for (; seq <= 40; ++seq) {
    auto outcome = try_put("q", seq, {std::string(100'000, 'x')});
    REQUIRE(outcome);
    CHECK(outcome->room.bytes_max == 8u << 20);
    CHECK(outcome->room.used_bytes > used);
    used = outcome->room.used_bytes;
  }
  CHECK(used > 4'000'000);
  reopen();
  CHECK(store->load()->room.used_bytes == used);
  auto settled = try_settle("q", {{1, 40}});
  REQUIRE(settled);
  CHECK(settled->room.used_bytes < 200'000);
}

namespace {

/// On a disk of 8 MiB of its own; returns 0, or the number of what was not as it should be.
int fill_disk_and_purge(store::queue_store_options options) {
  const auto folder = std::filesystem::path{options.path}.parent_path();
  options.room_bytes = 4u << 20;
  auto opened = store::open_queue_store(options);
  if (!opened || !std::filesystem::exists(options.path + "-room"))
    return 1;
  auto& store = **opened;
  queue::write_batch put;
  record_block_builder records;
  for (std::uint64_t seq = 1; seq <= 10; ++seq)
    records.add(seq, 0, std::string(100'000, 'x'));
  put.appends.push_back({queue_name{"q"}, 1, records.finish(), {}});
  if (!store.write(put))
    return 2;
  {
    std::ofstream fill{folder / "filler", std::ios::binary};
    for (const std::string page(4096, 'x'); fill << page << std::flush;) {
    }
  }
  put.appends.front().first_seq = 11;
  for (int i = 0; i < 20; ++i) { // until nothing goes any more
    record_block_builder more;
    more.add(put.appends.front().first_seq, 0, std::string(100'000, 'x'));
    put.appends.front().records = more.finish();
    if (!store.write(put))
      break;
    ++put.appends.front().first_seq;
  }
  if (auto refused = store.write(put); refused || refused.error().code != errc::overloaded)
    return 3;
  queue::write_batch purge;
  purge.settled.push_back({queue_name{"q"}, {{1, put.appends.front().first_seq - 1}}});
  if (!store.write(purge))
    return 4;
  if (!store.write(put)) // in the room that this made
    return 5;
  opened->reset();
  auto again = store::open_queue_store(options);
  auto found = again ? (*again)->load() : result<queue::contents>{fail(again)};
  return found && found->queues.size() == 1 && found->queues.front().count == 1 ? 0 : 6;
}

} // namespace

TEST_CASE_FIXTURE(queue_store_fixture, "on a full disk a queue can be purged, in room that is kept for it") {
  constexpr int not_allowed = 77;
  const auto child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0
        || ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=8m") != 0)
      ::_exit(not_allowed);
    ::_exit(fill_disk_and_purge(options()));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == not_allowed)
    MESSAGE("skipped: only root can mount a small disk");
  else
    CHECK(WEXITSTATUS(status) == 0);
}
