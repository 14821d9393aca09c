#include "tests/support/queue_store_fixture.hpp"
#include "transport/store/queue_store.hpp"
#include "transport/store/sqlite.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;
using sluice::testing::queue_store_fixture;
using strings = std::vector<std::string>;
using numbers = std::vector<std::uint64_t>;

TEST_CASE_FIXTURE(queue_store_fixture, "what was written is there after the store was opened again") {
  put("orders", 1, {"a", "b", "c"});
  put("orders", 4, {"d"});
  put("other", 1, {"x"});
  write([](write_batch& batch) {
    batch.cursors.push_back({"file", "", "42"});
    batch.producers.push_back({"p2", 7});
    batch.producers.push_back({"p1", 9, 0xfedc'ba98'7654'3210});
  });
  auto epoch = store->load()->epoch;
  reopen();
  auto found = *store->load();
  CHECK(found.epoch == epoch + 1);
  REQUIRE(found.queues.size() == 2);
  CHECK(found.queues[0].name == queue_name{"orders"});
  CHECK(found.queues[0].count == 4);
  CHECK(found.queues[0].seq_last == 4);
  CHECK(found.queues[0].oldest_at == wall);
  CHECK(found.cursors == std::vector<std::pair<std::string, std::string>>{{"file", "42"}});
  REQUIRE(found.producers.size() == 2);
  CHECK(found.producers[0].producer == "p2"); // least recently used first
  CHECK(found.producers[1].seq == 9);
  CHECK(found.producers[0].fingerprint == 0);
  CHECK(found.producers[1].fingerprint == 0xfedc'ba98'7654'3210);
  CHECK(all("orders") == strings{"1:a", "2:b", "3:c", "4:d"});
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "seqs of a queue go on where they were, even when all records are gone") {
  put("q", 1, {"a", "b"});
  settle("q", {{1, 2}});
  reopen();
  auto found = *store->load();
  CHECK(found.queues[0].seq_last == 2);
  CHECK(found.queues[0].count == 0);
  CHECK_FALSE(found.queues[0].oldest_at);
  CHECK(all("q").empty());
  CHECK(rows("segments") == 0);
  CHECK(rows("settled") == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "what is only appended need not be noted elsewhere, and is counted all the same") {
  put("q", 1, {"a"}); // makes the row
  std::uint64_t last = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 150; ++i, last += 2)
      put("q", last + 1, {"x", "y"});
    reopen(); // as after a kill: nothing is written at the end
    const auto found = *store->load();
    CHECK(found.queues[0].count == last);
    CHECK(found.queues[0].seq_last == last);
  }
  settle("q", {{1, 1}, {last, last}});
  put("q", last + 1, {"z"});
  CHECK(all("q").size() == last - 1);
  reopen();
  CHECK(store->load()->queues[0].count == last - 1);
  CHECK(store->load()->queues[0].seq_last == last + 1);
  settle("q", {{1, last + 1}});
  reopen();
  CHECK(store->load()->queues[0].count == 0);
  CHECK(store->load()->queues[0].seq_last == last + 1);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "of what stands above a row that lags behind at most the last writes are counted") {
  put("q", 1, {"a"});
  for (std::uint64_t seq = 2; seq <= 1000; ++seq)
    put("q", seq, {"x"});
  store.reset();
  sql("UPDATE segments SET head_sum = 1 WHERE (id & 0xffff) < 900"); // nobody looks at those
  reopen();
  CHECK(store->load()->queues[0].count == 1000);
  CHECK(damage.empty());
}

TEST_CASE_FIXTURE(
  queue_store_fixture,
  "a damaged segment above a row that lags behind is set aside, and its seqs are not given again") {
  for (auto* which : {"ASC", "DESC"}) {
    fresh();
    put("q", 1, {"a"});
    put("other", 1, {"o"}); // has a row now: what follows has only segments
    put("q", 2, {"b", "c"});
    put("q", 4, {"d", "e"});
    put("other", 2, {"p"});
    store.reset();
    sql("UPDATE segments SET head_sum = 1 WHERE id = (SELECT id FROM segments WHERE count = 2 ORDER BY id "
        + std::string{which} + " LIMIT 1)");
    reopen();
    const auto found = *store->load();
    CHECK(found.queues[0].count == 3);
    CHECK(found.queues[0].seq_last >= 5);
    CHECK(found.queues[0].damaged_count >= 1);
    CHECK(found.queues[1].count == 2);
    CHECK(found.queues[1].seq_last == 2);
    CHECK(damage.size() == 1);
    const auto next = found.queues[0].seq_last + 1;
    put("q", next, {"f"});
    put("q", next + 1, {"g"});
    reopen();
    CHECK(store->load()->queues[0].count == 5);
    CHECK(store->load()->queues[0].seq_last == next + 1);
    CHECK(all("q").size() == 5);
    CHECK(all("q").back() == std::to_string(next + 1) + ":g");
  }
}

TEST_CASE_FIXTURE(queue_store_fixture, "a store of format 2, which had no marks in segments, is updated") {
  put("q", 1, {"a"});
  write([](write_batch& batch) { batch.producers.push_back({"p", 7}); });
  store.reset();
  sql("ALTER TABLE segments DROP COLUMN marks; PRAGMA user_version = 2");
  reopen();
  CHECK(all("q") == strings{"1:a"});
  write([&](write_batch& batch) {
    batch.appends.push_back(segment_of("q", 2, {"b"}));
    batch.producers.push_back({"p", 8});
  });
  reopen();
  const auto found = *store->load();
  CHECK(found.queues[0].count == 2);
  REQUIRE(found.producers.size() == 1);
  CHECK(found.producers[0].seq == 8);
  CHECK(damage.empty());
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "the marks of producers are known, with whichever write they came and whatever came next") {
  put("a", 1, {"x"});
  put("b", 1, {"x"});
  std::map<std::string, std::uint64_t> seqs;
  std::map<std::string, std::uint64_t> last{{"a", 1}, {"b", 1}};
  auto append = [&](const std::string& queue, const std::vector<std::string>& producers) {
    write([&](write_batch& batch) {
      batch.appends.push_back(segment_of(queue, ++last[queue], {"x"}));
      for (const auto& each : producers) {
        const auto seq = ++seqs[each];
        batch.producers.push_back({each, seq, seq * 3});
      }
    });
  };
  auto check = [&] {
    const auto found = *store->load();
    REQUIRE(found.producers.size() == seqs.size());
    for (const auto& mark : found.producers) {
      CHECK(mark.seq == seqs[mark.producer]);
      CHECK(mark.fingerprint == mark.seq * 3);
    }
  };
  append("b", {"p", "q"}); // its queue is the last, and its mark the older one
  append("a", {"p"});
  check();
  reopen();
  check();
  append("b", {"r"});
  settle("a", {{last["a"], last["a"]}}); // the segment that carried a mark is gone
  reopen();
  check();
  append("a", {"q"});
  reopen();
  reopen();
  check();
  for (int i = 0; i < 100; ++i)
    append(i % 3 == 0 ? "a" : "b", {i % 2 == 0 ? "p" : "s" + std::to_string(i)});
  reopen();
  check();
  append("a", {"p"});
  write([&](write_batch& batch) { batch.producers_forgotten.push_back("p"); });
  seqs.erase("p");
  check();
  reopen();
  check();
  CHECK(damage.empty());
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "several queues whose newest segments are damaged take appends as before") {
  for (auto* each : {"a", "b", "c"})
    put(each, 1, {"x"});
  for (auto* each : {"a", "b", "c"})
    put(each, 2, {"y", "z"});
  store.reset();
  sql("UPDATE segments SET head_sum = 1 WHERE count = 2");
  reopen();
  const auto found = *store->load();
  std::size_t at = 0;
  for (auto* each : {"a", "b", "c"}) {
    const auto& queue = found.queues[at++];
    CHECK(queue.seq_last > 3);
    put(each, queue.seq_last + 1, {"new"});
    CHECK(all(each) == strings{"1:x", std::to_string(queue.seq_last + 1) + ":new"});
  }
  CHECK(damage.size() == 3);
  reopen();
  const auto again = *store->load();
  for (const auto& queue : again.queues) {
    CHECK(queue.count == 2);
    CHECK(queue.damaged_count >= 1);
  }
  CHECK(damage.size() == 3);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a damaged mark in a segment is reported and not believed") {
  put("q", 1, {"a"});
  write([&](write_batch& batch) {
    batch.appends.push_back(segment_of("q", 2, {"b"}));
    batch.producers.push_back({"p", 8});
  });
  store.reset();
  sql("UPDATE segments SET marks = CAST(replace(marks, 'p', 'x') AS BLOB) WHERE marks <> x''");
  reopen();
  const auto found = *store->load();
  CHECK(found.producers.empty());
  REQUIRE(found.damage.size() == 1);
  CHECK(found.damage[0].find("marks of producers") != std::string::npos);
  CHECK(all("q") == strings{"1:a", "2:b"});
}

TEST_CASE_FIXTURE(queue_store_fixture, "single records of a segment are settled, and stay so") {
  put("q", 1, {"a", "b", "c", "d", "e"});
  settle("q", {{2, 2}, {4, 4}});
  CHECK(all("q") == strings{"1:a", "3:c", "5:e"});
  settle("q", {{2, 2}}); // again: no error, not counted twice
  reopen();
  CHECK(store->load()->queues[0].count == 3);
  CHECK(all("q") == strings{"1:a", "3:c", "5:e"});
  settle("q", {{1, 3}});
  CHECK(rows("segments") == 1);
  settle("q", {{5, 5}});
  CHECK(rows("segments") == 0);
  CHECK(rows("settled") == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a range is settled over segments and gaps") {
  for (std::uint64_t first = 1; first < 100; first += 10)
    put("q", first, numbered(first, 10));
  settle("q", {{15, 15}, {21, 30}});
  settle("q", {{12, 85}});
  settle("q", {{90, 1'000'000}});
  reopen();
  CHECK(store->load()->queues[0].count == 11 + 4);
  auto left = all("q");
  CHECK(left.front() == "1:r1");
  CHECK(left[10] == "11:r11");
  CHECK(left[11] == "86:r86");
  CHECK(left.back() == "89:r89");
}

TEST_CASE_FIXTURE(queue_store_fixture, "a read begins after a seq and ends at its bounds") {
  for (std::uint64_t first = 1; first <= 50; first += 10)
    put("q", first, numbered(first, 10));
  auto some = *store->read(name("q"), 14, 1, 1 << 20);
  CHECK(some.seq_last == 20);
  CHECK_FALSE(some.at_end);
  REQUIRE(some.parts.size() == 1);
  CHECK(texts(some) == strings{"15:r15", "16:r16", "17:r17", "18:r18", "19:r19", "20:r20"});
  auto more = *store->read(name("q"), some.seq_last, 1000, 300);
  CHECK(more.seq_last == 40);
  auto rest = *store->read(name("q"), 40, 1000, 1 << 20);
  CHECK(rest.at_end);
  CHECK(rest.seq_last == 50);
  CHECK(store->read(name("q"), 50, 10, 10)->at_end);
  CHECK(store->read(name("none"), 0, 10, 10)->at_end);
}

TEST_CASE_FIXTURE(queue_store_fixture, "single records are read with their attempts, gone ones left out") {
  put("q", 1, numbered(1, 10));
  put("q", 11, numbered(11, 10));
  settle("q", {{5, 5}});
  write([](write_batch& batch) { batch.attempts.push_back({queue_name{"q"}, {6, 7}, 3}); });
  auto some = *store->read(name("q"), {2, 5, 6, 19, 77}, 1 << 20);
  CHECK(texts(some) == strings{"2:r2", "6:r6", "19:r19"});
  CHECK(some.seq_last == 77);
  CHECK((*++some.parts[0].records.begin()).attempts == 3);
  auto bounded = *store->read(name("q"), {2, 19}, 1);
  CHECK(texts(bounded) == strings{"2:r2"});
  CHECK(bounded.seq_last == 2);
  reopen();
  auto all = *store->read(name("q"), 0, 100, 1 << 20);
  CHECK((*++(++(++(++(++all.parts[0].records.begin()))))).seq == 7);
  CHECK((*++(++(++(++(++all.parts[0].records.begin()))))).attempts == 3);
  settle("q", {{1, 20}});
  CHECK(rows("attempts") == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "dead letters keep what is known and go back to the end of their queue") {
  put("q", 1, {"a", "b", "c"});
  bury("q", 2, "boom");
  CHECK(all("q") == strings{"1:a", "3:c"});
  write([&](write_batch& batch) {
    batch.graves.push_back({{}, 0, {flow_name{"f"}, processor_name{"p"}}, 5, "bad", "line"});
  });
  reopen();
  auto letters = store->dead_letters({}, 0, 10, 1 << 20)->letters;
  REQUIRE(letters.size() == 2);
  CHECK(letters[0].queue == name("q"));
  CHECK(letters[0].payload == "b");
  CHECK(letters[0].error == "boom");
  CHECK(letters[0].attempts == 5);
  CHECK(letters[0].buried_at == wall);
  CHECK(letters[1].queue.empty());
  CHECK(letters[1].payload == "line");
  CHECK(store->load()->queues[0].dead_count == 1);
  auto moved = *store->requeue({name("q"), {}, 0, 0, 4, wall});
  CHECK(moved.count == 1);
  CHECK(store->requeue({name("q"), {}, moved.id_last, moved.id_max, 5, wall})->count == 0);
  CHECK(all("q") == strings{"1:a", "3:c", "4:b"});
  CHECK(store->load()->queues[0].dead_count == 0);
  CHECK(store->load()->queues[0].seq_last == 4);
}

TEST_CASE_FIXTURE(queue_store_fixture, "chosen letters go back, the others stay") {
  put("q", 1, numbered(1, 10));
  for (std::uint64_t seq = 1; seq <= 10; ++seq)
    bury("q", seq, "no");
  auto moved = *store->requeue({name("q"), {3, 5, 999}, 0, 0, 11, wall});
  CHECK(moved.count == 2);
  CHECK(all("q") == strings{"11:r3", "12:r5"});
  CHECK(store->dead_letters(name("q"), 0, 100, 1 << 20)->letters.size() == 8);
  CHECK(store->dead_letters(name("q"), 4, 2, 1 << 20)->letters.size() == 2);
  CHECK(store->dead_letters(name("q"), 0, 100, 1)->letters.size() == 1);
  CHECK(*store->purge_dead_letters(name("q")) == 8);
  CHECK(*store->purge_dead_letters(name("q")) == 0);
  CHECK(*store->purge_dead_letters(name("none")) == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture, "letters that are newer than the first step of a requeue stay") {
  put("q", 1, numbered(1, 3));
  put("other", 1, {"x"});
  bury("q", 1, "no");
  bury("q", 2, "no");
  bury("other", 1, "no");
  auto first = *store->requeue({name("q"), {1}, 0, 0, 4, wall});
  CHECK(first.count == 1);
  CHECK(first.id_max == 2);
  bury("q", 4, "again");
  CHECK(store->requeue({name("q"), {4}, first.id_last, first.id_max, 5, wall})->count == 0);
  auto second = *store->requeue({name("q"), {}, first.id_last, first.id_max, 5, wall});
  CHECK(second.count == 1);
  CHECK(second.id_last == 2);
  CHECK(store->dead_letters(name("q"), 0, 100, 1 << 20)->letters.size() == 1);
  CHECK(store->requeue({name("none"), {}, 0, 0, 1, wall})->id_max == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture, "empty and large records come back as they were") {
  strings big{"", std::string(300'000, 'x'), std::string(3, '\0')};
  put("q", 1, big);
  reopen();
  auto found = *store->read(name("q"), 0, 10, 1 << 20);
  CHECK(texts(found) == strings{"1:", "2:" + big[1], "3:" + big[2]});
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a file of a newer program, of another one, or in use is refused with a reason") {
  auto refused = store::open_queue_store(options());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::conflict);
  store.reset();
  sql("PRAGMA user_version=7");
  refused = store::open_queue_store(options());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::unsupported);
  CHECK(refused.error().message.find("newer Sluice (format 7") != std::string::npos);
  sql("PRAGMA user_version=1; PRAGMA application_id=5");
  refused = store::open_queue_store(options());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("another program") != std::string::npos);
  overwrite(0, "this is not a database");
  refused = store::open_queue_store(options());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::corrupt);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a damaged record is set aside and named, its neighbours stay") {
  put("q", 1, {"aaaa", "bbbb", "cccc"});
  store.reset();
  sql("UPDATE segments SET data = CAST(replace(data, 'bbbb', 'bXbb') AS BLOB)");
  reopen();
  auto found = *store->read(name("q"), 0, 10, 1 << 20);
  CHECK(texts(found) == strings{"1:aaaa", "3:cccc"});
  REQUIRE(found.recounts.size() == 1);
  CHECK(found.recounts[0].count == 2);
  REQUIRE(damage.size() == 1);
  CHECK(damage[0].find(path.string()) != std::string::npos);
  CHECK(damage[0].find("queue 'q', record 2") != std::string::npos);
  CHECK(found.recounts[0].damaged_count == 1);
  CHECK(rows("damaged") == 1);
  CHECK(store->read(name("q"), 0, 10, 1 << 20)->recounts.empty());
  CHECK(store->load()->queues[0].count == 2);
  CHECK(store->load()->queues[0].damaged_count == 1);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a cut-off segment gives what is left of it") {
  put("q", 1, {"aaaa", "bbbb", "cccc"});
  store.reset();
  sql("UPDATE segments SET data = substr(data, 1, 30)");
  reopen();
  CHECK(texts(*store->read(name("q"), 0, 10, 1 << 20)) == strings{"1:aaaa"});
  CHECK(damage.size() == 2);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a segment with a damaged head is set aside whole, whoever meets it first") {
  for (auto* change : {"count = 99", "idx = zeroblob(24)", "appended_ms = 5", "head_sum = 1"}) {
    for (bool by_settling : {false, true}) {
      fresh();
      put("q", 1, {"a", "b", "c"});
      put("q", 4, {"d"});
      store.reset();
      sql(std::string{"UPDATE segments SET "} + change + " WHERE count = 3");
      reopen();
      if (by_settling) {
        auto outcome = try_settle("q", {{2, 2}});
        REQUIRE(outcome.has_value());
        REQUIRE(outcome->recounts.size() >= 1);
        CHECK(outcome->recounts.back().count == 1);
        CHECK(outcome->recounts.back().damaged_count == 3);
      }
      CHECK(all("q") == strings{"4:d"});
      CHECK(damage.size() == 1);
      CHECK(rows("damaged") == 1);
      CHECK(store->load()->queues[0].count == 1);
      CHECK(store->load()->queues[0].damaged_count == 3);
    }
  }
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "what was counted anew during a write is told with what the write itself has changed") {
  put("q", 1, {"a", "b", "c"});
  put("q", 4, {"d", "e"});
  store.reset();
  sql("UPDATE segments SET head_sum = 1 WHERE count = 3");
  reopen();
  auto outcome = try_write([&](write_batch& batch) {
    batch.appends.push_back(segment_of("q", 6, numbered(6, 100)));
    batch.settled.push_back({name("q"), {{2, 2}, {5, 5}}});
  });
  REQUIRE(outcome.has_value());
  CHECK(damage.size() == 1);
  REQUIRE(outcome->recounts.size() == 1);
  CHECK(outcome->recounts[0].count == 101);
  CHECK(store->load()->queues[0].count == 101);
}

TEST_CASE_FIXTURE(
  queue_store_fixture,
  "of records that were damaged when they were to be buried, what is told is what is stored") {
  put("q", 1, {"aaaa", "bbbb", "cccc"});
  store.reset();
  sql("UPDATE segments SET data = CAST(replace(data, 'aaaa', 'aXaa') AS BLOB)");
  reopen();
  auto outcome = try_write([&](write_batch& batch) {
    for (std::uint64_t seq : {1, 2})
      batch.graves.push_back({name("q"), seq, {flow_name{"f"}, processor_name{"p"}}, 5, "no", {}});
  });
  REQUIRE(outcome.has_value());
  REQUIRE(outcome->recounts.size() == 1);
  CHECK(outcome->recounts[0].count == 1);
  CHECK(outcome->recounts[0].dead_count == 1);
  CHECK(store->load()->queues[0].count == 1);
}

TEST_CASE_FIXTURE(queue_store_fixture, "attempts of records that go in the same write leave nothing behind") {
  put("q", 1, {"a", "b"}); // purged when their leases have just ended
  put("q", 3, {"c", "d"}); // one of them is given up
  write([&](write_batch& batch) {
    batch.attempts.push_back({name("q"), {1, 4}, 2});
    batch.settled.push_back({name("q"), {{1, 3}}});
    batch.graves.push_back({name("q"), 4, {flow_name{"f"}, processor_name{"p"}}, 5, "no", {}});
  });
  CHECK(rows("segments") == 0);
  CHECK(rows("attempts") == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture, "what a queue has lost is forgotten with it") {
  put("q", 1, {"aaaa", "bbbb"});
  store.reset();
  sql("UPDATE segments SET data = CAST(replace(data, 'bbbb', 'bXbb') AS BLOB)");
  reopen();
  CHECK(all("q") == strings{"1:aaaa"});
  settle("q", {{1, 1}});
  write([&](write_batch& batch) { batch.queues_forgotten.push_back(name("q")); });
  put("q", 1, {"new"});
  CHECK(store->load()->queues[0].damaged_count == 0);
  reopen();
  CHECK(store->load()->queues[0].damaged_count == 0);
}

TEST_CASE_FIXTURE(queue_store_fixture, "what is found damaged at the opening is told with what there is") {
  put("q", 1, {"a"});
  store.reset();
  sql("UPDATE queues SET sum = 1");
  reopen();
  auto found = store->load();
  REQUIRE(found);
  REQUIRE(found->damage.size() == 1);
  CHECK(found->damage[0].find("the row of queue 'q'") != std::string::npos);
  CHECK(store->load()->damage.empty());
}

TEST_CASE_FIXTURE(queue_store_fixture, "rows that changed places are noticed") {
  put("q", 1, {"a"});
  put("q", 2, {"b"});
  store.reset();
  sql("UPDATE segments SET id = id + 100; UPDATE segments SET id = id - 99 WHERE data LIKE '%a'; "
      "UPDATE segments SET id = id - 101 WHERE data LIKE '%b'");
  reopen();
  CHECK(all("q").empty());
  CHECK(damage.size() == 2);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a damaged list of settled records makes them ready again, none gets lost") {
  put("q", 1, {"a", "b", "c"});
  settle("q", {{2, 2}});
  store.reset();
  sql("UPDATE settled SET bits = zeroblob(8)");
  reopen();
  CHECK(all("q") == strings{"1:a", "2:b", "3:c"});
  CHECK(damage.size() == 1);
  CHECK(store->load()->queues[0].count == 3);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "damaged letters, rows, marks and positions are reported and not believed") {
  put("q", 1, {"a", "b"});
  bury("q", 1, "boom");
  bury("q", 2, "bang");
  write([](write_batch& batch) {
    batch.cursors.push_back({"file", "", "42"});
    batch.producers.push_back({"p", 7});
  });
  store.reset();
  sql("UPDATE dead SET payload = 'z' WHERE id = 1; UPDATE cursors SET value = '43'; UPDATE producers SET seq "
      "= 8");
  sql("UPDATE queues SET count = 12, seq_last = 1");
  reopen();
  CHECK(damage.size() == 1);
  auto found = *store->load();
  CHECK(found.cursors.empty());
  CHECK(found.producers.empty());
  CHECK(found.queues[0].count == 0);
  CHECK(found.queues[0].seq_last > 2);
  CHECK(damage.size() == 3);
  auto letters = *store->dead_letters(name("q"), 0, 10, 1 << 20);
  REQUIRE(letters.letters.size() == 1);
  CHECK(letters.letters[0].payload == "b");
  CHECK(letters.recounts.at(0).dead_count == 1);
  CHECK(damage.size() == 4);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a damaged name that is another queue's does not merge the two") {
  put("qa", 1, {"a1", "a2"});
  put("qc", 1, {"c1"});
  put("damaged-1", 1, {"d1"});
  store.reset();
  sql("UPDATE queues SET name = 'qc' WHERE name = 'qa'");
  reopen();
  REQUIRE(damage.size() == 1);
  CHECK(damage[0].find("queue 'qc' (number 1)") != std::string::npos);
  CHECK(damage[0].find("'damaged-1-x'") != std::string::npos);
  for (int opening = 0; opening < 2; ++opening) {
    std::map<std::string, std::uint64_t> counts;
    const auto found = *store->load();
    for (const auto& queue : found.queues)
      CHECK(counts.emplace(queue.name.value, queue.count).second);
    CHECK(counts == std::map<std::string, std::uint64_t>{{"damaged-1-x", 2}, {"qc", 1}, {"damaged-1", 1}});
    CHECK(all("qc") == strings{"1:c1"});
    CHECK(all("damaged-1-x") == strings{"1:a1", "2:a2"});
    CHECK(all("qa").empty());
    reopen();
  }
  CHECK(damage.size() == 1); // it is sound again
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a damaged name that may be right is kept, with a word that it may not be") {
  put("qa", 1, {"a1"});
  store.reset();
  sql("UPDATE queues SET name = 'qb'");
  reopen();
  REQUIRE(damage.size() == 1);
  CHECK(damage[0].find("its name may be wrong") != std::string::npos);
  CHECK(all("qb") == strings{"1:a1"});
}

TEST_CASE_FIXTURE(queue_store_fixture, "letters of no queue stay so when their row is damaged") {
  write([](write_batch& batch) {
    batch.graves.push_back({{}, 0, {flow_name{"f"}, processor_name{"p"}}, 5, "no", "payload"});
  });
  store.reset();
  sql("UPDATE queues SET name = 'q'");
  reopen();
  CHECK(damage.size() == 1);
  CHECK(store->load()->queues.empty());
  put("q", 1, {"a"});
  reopen();
  REQUIRE(store->load()->queues.size() == 1);
  CHECK(store->load()->queues[0].dead_count == 0);
  CHECK(all("q") == strings{"1:a"});
  CHECK(store->dead_letters({}, 0, 10, 1 << 20)->letters.size() == 1);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a fingerprint that was damaged is reported and not believed") {
  write([](write_batch& batch) { batch.producers = {{"p", 7, 5}, {"q", 7, 5}, {"r", 7, 5}}; });
  store.reset();
  sql("UPDATE producers SET fingerprint = 6 WHERE name = 'p'; UPDATE producers SET fingerprint = 0 WHERE "
      "name = 'q'");
  reopen();
  auto found = *store->load();
  REQUIRE(found.producers.size() == 1);
  CHECK(found.producers[0].producer == "r");
  CHECK(damage.size() == 2);
}

TEST_CASE_FIXTURE(queue_store_fixture, "a store of format 1, which had no fingerprints, is updated") {
  put("q", 1, {"a"});
  write([](write_batch& batch) { batch.producers.push_back({"p", 7}); });
  store.reset();
  sql("ALTER TABLE producers DROP COLUMN fingerprint; ALTER TABLE segments DROP COLUMN marks; PRAGMA "
      "user_version = 1");
  reopen();
  CHECK(all("q") == strings{"1:a"});
  write([](write_batch& batch) { batch.producers.push_back({"r", 1, 5}); });
  reopen();
  auto found = *store->load();
  REQUIRE(found.producers.size() == 2);
  CHECK(found.producers[0].seq == 7);
  CHECK(found.producers[0].fingerprint == 0);
  CHECK(found.producers[1].fingerprint == 5);
  CHECK(damage.empty());
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a bound on the file fails appends as a full disk does, and settling frees it") {
  size_bytes_max = 400'000;
  fresh();
  std::uint64_t seq = 1;
  result<write_outcome> last;
  while ((last = try_put("q", seq, strings(10, std::string(1000, 'x')))))
    seq += 10;
  CHECK(last.error().code == errc::overloaded);
  CHECK_FALSE(store->broken());
  CHECK(all("q").size() == seq - 1);
  settle("q", {{1, seq - 1}});
  CHECK(try_put("q", seq, strings(10, std::string(1000, 'x'))).has_value());
  CHECK(all("q").size() == 10);
}

TEST_CASE_FIXTURE(queue_store_fixture,
                  "a queue that is forgotten leaves nothing, unless something is in it") {
  put("old", 1, {"a", "b"});
  settle("old", {{1, 2}});
  put("full", 1, {"c"});
  put("buried", 1, {"d"});
  bury("buried", 1, "boom");
  write([&](write_batch& batch) {
    batch.queues_forgotten = {name("old"), name("full"), name("buried"), name("never-there"), name("")};
    batch.appends.push_back(segment_of("new", 1, {"e"}));
    batch.appends.push_back(segment_of("old", 1, {"f"})); // made anew
  });
  for (int opening = 0; opening < 2; ++opening) {
    CHECK(store->load()->queues.size() == 4);
    CHECK(all("old") == strings{"1:f"});
    CHECK(all("new") == strings{"1:e"});
    CHECK(all("full") == strings{"1:c"});
    CHECK(store->dead_letters(name("buried"), 0, 10, 1 << 20)->letters.size() == 1);
    reopen();
  }
  const auto found = *store->load();
  for (const auto& queue : found.queues)
    CHECK(queue.seq_last == 1);
  CHECK(damage.empty());
}

TEST_CASE_FIXTURE(queue_store_fixture, "a failed batch leaves nothing of it behind") {
  size_bytes_max = 400'000;
  fresh();
  put("q", 1, {"a", "b"});
  auto outcome = try_write([&](write_batch& batch) {
    batch.settled.push_back({name("q"), {{1, 1}}});
    batch.cursors.push_back({"file", "", "42"});
    batch.appends.push_back(segment_of("new", 1, strings(1, std::string(1'000'000, 'x'))));
  });
  CHECK(outcome.error().code == errc::overloaded);
  CHECK(all("q") == strings{"1:a", "2:b"});
  CHECK(store->load()->queues.size() == 1);
  CHECK(store->load()->cursors.empty());
  put("q", 3, {"c"});
  reopen();
  CHECK(all("q") == strings{"1:a", "2:b", "3:c"});
}
