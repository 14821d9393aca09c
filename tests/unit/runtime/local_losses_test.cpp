// Goal: what a run that died had in user code counts an attempt at the next start, and nothing else does.
#include "tests/support/queue_store_fixture.hpp"
#include "runtime/local_losses.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;
using namespace std::chrono_literals;

namespace {

processor_spec consumer_of(const std::string& name, const std::string& queue, std::uint32_t replicas) {
  processor_spec one;
  one.name = processor_name{name};
  one.source = {"queue", {{"name", queue}}};
  one.num_replicas = replicas;
  one.max_attempts = 2;
  return one;
}

struct fixture : sluice::testing::queue_store_fixture {
  test::temp_dir state;
  flow_spec spec;
  std::vector<std::string> told;

  fixture() {
    spec.name = flow_name{"orders"};
    spec.processors = {consumer_of("price", "a", 2), consumer_of("ship", "b", 1)};
    put("a", 1, numbered(1, 5));
    put("b", 1, numbered(1, 5));
  }

  local_losses open() {
    told.clear();
    auto opened = local_losses::open(state.path(), spec, *store, told);
    REQUIRE(opened);
    return *opened;
  }

  /// A run that dies with these in user code.
  void die_with(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& replicas_and_seqs,
                std::uint64_t crashed_seq = 0) {
    auto run = open();
    for (auto [replica, seq] : replicas_and_seqs) {
      auto* slot = run.recorder()->claim(replica_id{replica});
      slot->enter(seq, 1);
      slot->crashed = seq == crashed_seq ? 1 : 0;
    }
  }

  std::uint32_t attempts(const std::string& queue, std::uint64_t seq) {
    auto some = store->read(name(queue), std::vector<std::uint64_t>{seq}, 1 << 20);
    REQUIRE(some);
    for (const auto& part : some->parts)
      for (auto record : part.records)
        return record.attempts;
    return 999; // it is gone
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "what it writes is its user's alone, also what was not") {
  const auto list = state.path() / "flight-replicas";
  open();
  std::filesystem::permissions(list, std::filesystem::perms{0644});
  open();
  for (const auto& file : {list, state.path() / "flight"})
    CHECK(std::filesystem::status(file).permissions() == std::filesystem::perms{0600});
}

TEST_CASE_FIXTURE(
  fixture, "a split of a batch counts where its own code ended the process, not where somebody killed it") {
  processor_spec batch;
  batch.name = processor_name{"sum"};
  batch.kind = pattern::batch;
  batch.source = {"file", {{"path", "/in"}}};
  batch.batch = batch_spec{};
  batch.max_attempts = 2;
  spec.processors = {batch};
  put("batch.orders.sum", 1, numbered(1, 3));
  die_with({{1, 2}});
  open();
  CHECK(told.empty());
  CHECK(attempts("batch.orders.sum", 2) == 0);
  for (auto attempt : {1U, 2U, 3U}) { // it is never buried: the batch fails, and says so
    die_with({{1, 2}}, 2);
    open();
    REQUIRE(told.size() == 1);
    CHECK(told.front()
          == "sum: a split was in user code when the last run ended: attempt " + std::to_string(attempt)
               + " of 2");
    CHECK(attempts("batch.orders.sum", 2) == attempt);
  }
}

TEST_CASE_FIXTURE(fixture, "what was in user code counts, its neighbours do not") {
  die_with({{1, 2}, {3, 4}});
  open();
  CHECK(told.size() == 2);
  CHECK(attempts("a", 2) == 1);
  CHECK(attempts("b", 4) == 1);
  CHECK(attempts("a", 4) == 0);
  CHECK(attempts("b", 2) == 0);
  open(); // it is counted once
  CHECK(told.empty());
  CHECK(attempts("a", 2) == 1);
}

TEST_CASE_FIXTURE(fixture, "the record of the thread that crashed counts alone") {
  die_with({{1, 2}, {2, 3}}, 3);
  open();
  CHECK(attempts("a", 2) == 0);
  CHECK(attempts("a", 3) == 1);
}

TEST_CASE_FIXTURE(fixture, "after its attempts it is a dead letter of its processor") {
  for (int i = 0; i < 2; ++i)
    die_with({{2, 3}});
  open();
  CHECK(attempts("a", 3) == 999);
  auto letters = store->dead_letters(name("a"), 0, 10, 1 << 20);
  REQUIRE(letters);
  REQUIRE(letters->letters.size() == 1);
  CHECK(letters->letters[0].consumer == queue::consumer_id{flow_name{"orders"}, processor_name{"price"}});
  CHECK(letters->letters[0].attempts == 2);
  CHECK(letters->letters[0].payload == "r3");
}

TEST_CASE_FIXTURE(fixture, "a record that was settled before the death is left alone") {
  die_with({{1, 2}});
  write([&](queue::write_batch& batch) { batch.settled.push_back({name("a"), {{2, 2}}}); });
  open();
  CHECK(told.empty());
}

TEST_CASE_FIXTURE(fixture, "it counts with other numbers of replicas, too") {
  die_with({{3, 4}}); // of "ship"
  spec.processors[0].num_replicas = 4;
  open();
  CHECK(told.size() == 1);
  CHECK(attempts("b", 4) == 1);
}

TEST_CASE_FIXTURE(fixture, "what a processor had that is gone or reads another queue is not counted") {
  die_with({{1, 2}, {3, 4}});
  spec.processors[0].name = processor_name{"other"};
  spec.processors[1].source.options["name"] = "c";
  open();
  CHECK(told.empty());
  CHECK(attempts("a", 2) == 0);
  CHECK(attempts("b", 4) == 0);
}

TEST_CASE_FIXTURE(fixture, "a run that ends in good order has nothing inside") {
  auto run = open();
  run.recorder()->claim(replica_id{1})->enter(2, 1);
  run.recorder()->clear();
  open();
  CHECK(told.empty());
}
