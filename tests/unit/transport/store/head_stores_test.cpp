// Goal: the two databases of a head belong together. One that is gone beside the other, or is another head's, is never
// taken for an empty one without a word.

#include "tests/support/subprocess.hpp"
#include "transport/store/head_stores.hpp"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <filesystem>
#include <string>
#include <utility>

namespace {

namespace fs = std::filesystem;
using namespace sluice;

struct fixture {
  sluice::test::temp_dir folder;
  fs::path queue_file = folder.path() / "queue.db";
  fs::path cluster_file = folder.path() / "cluster.db";

  result<store::head_stores> open(bool accept_loss = false) {
    return store::open_head_stores(folder.path(), {}, accept_loss);
  }

  /// Starts a head, puts one record in, and stops in good order.
  void serve() {
    auto stores = open();
    REQUIRE_MESSAGE(stores.has_value(), stores.error().message);
    REQUIRE(stores->cluster->load());
    auto known = stores->queues->load();
    REQUIRE(known);
    record_block_builder records;
    auto seq = known->queues.empty() ? 1 : known->queues.front().seq_last + 1;
    records.add(seq, 0, "one");
    queue::write_batch batch;
    batch.appends.push_back({queue_name{"orders"}, seq, records.finish(), {}});
    REQUIRE(stores->queues->write(batch));
  }

  std::uint64_t depth(bool accept_loss = false) {
    auto stores = open(accept_loss);
    REQUIRE_MESSAGE(stores.has_value(), stores.error().message);
    auto known = stores->queues->load();
    REQUIRE(known);
    return known->queues.empty() ? 0 : known->queues.front().count;
  }

  void check_refused(const std::string& lost) {
    auto refused = open();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::corrupt);
    for (const auto& part : {queue_file.string(), cluster_file.string(), lost, std::string{"--accept-loss"},
                             std::string{"Nothing was changed"}})
      CHECK_MESSAGE(refused.error().message.find(part) != std::string::npos, refused.error().message);
  }

  void sql(const fs::path& file, const std::string& text) {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &raw) == SQLITE_OK);
    CHECK(sqlite3_exec(raw, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "both databases are made and found again") {
  serve();
  serve();
  CHECK(depth() == 2);
}

TEST_CASE_FIXTURE(fixture,
                  "a queue.db that is gone or empty beside its cluster.db is refused, and stays so") {
  serve();
  SUBCASE("removed") { fs::remove(queue_file); }
  SUBCASE("emptied") { fs::resize_file(queue_file, 0); }
  check_refused("records and dead letters");
  check_refused("records and dead letters");
  CHECK(depth(true) == 0);
  serve(); // from then on they are a pair
  CHECK(depth() == 1);
}

TEST_CASE_FIXTURE(fixture,
                  "a cluster.db that is gone or empty beside its queue.db is refused, and stays so") {
  serve();
  SUBCASE("removed") { fs::remove(cluster_file); }
  SUBCASE("emptied") { fs::resize_file(cluster_file, 0); }
  check_refused("the flows");
  check_refused("the flows");
  CHECK(depth(true) == 1);
  serve();
  CHECK(depth() == 2);
}

TEST_CASE_FIXTURE(fixture, "the queue.db of another head is refused") {
  serve();
  fixture other;
  other.serve();
  fs::copy_file(other.queue_file, queue_file, fs::copy_options::overwrite_existing);
  auto refused = open();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::corrupt);
  CHECK(refused.error().message.find("does not go with") != std::string::npos);
  CHECK(depth(true) == 1);
  CHECK(depth() == 1);
}

TEST_CASE_FIXTURE(fixture, "databases from before there were numbers become a pair") {
  serve();
  sql(queue_file, "DELETE FROM meta WHERE key = 'pair'");
  sql(cluster_file, "DELETE FROM rows WHERE key = 'queue_store'");
  CHECK(depth() == 1);
  fs::remove(queue_file);
  check_refused("records and dead letters");
}

TEST_CASE_FIXTURE(fixture, "a first start that died between the two files goes on") {
  {
    auto stores = open();
    REQUIRE(stores);
  }
  SUBCASE("before queue.db") { fs::remove(queue_file); }
  SUBCASE("before its number") { sql(queue_file, "DELETE FROM meta WHERE key = 'pair'"); }
  serve();
  CHECK(depth() == 1);
}
