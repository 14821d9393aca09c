#include "actors/batch/batch_job.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::batch;

TEST_CASE("a set of splits is kept as ranges, whatever the order in which they come") {
  index_set set;
  for (std::uint32_t index : {3u, 1u, 2u, 7u, 0u, 5u, 6u})
    CHECK(set.add(index));
  CHECK_FALSE(set.add(2));
  CHECK(set.count() == 7);
  CHECK(set.to_text() == "0-3,5-7");
  CHECK(set.contains(0));
  CHECK_FALSE(set.contains(4));
  CHECK_FALSE(set.contains(8));
  CHECK(set.add(4));
  CHECK(set.to_text() == "0-7");
}

TEST_CASE("a set of splits reads back what it wrote, and nothing else") {
  for (const char* text : {"", "0", "0-12,14", "3,5,7-9"}) {
    auto set = index_set::from_text(text);
    REQUIRE(set.has_value());
    CHECK(set->to_text() == text);
  }
  for (const char* text : {"x", "1-", "2-1", "1,", "3,2", "1,2", "-4"})
    CHECK_FALSE(index_set::from_text(text).has_value());
}

TEST_CASE("a job and a split read back what they wrote") {
  job one;
  one.run = 3;
  one.round = 2;
  one.phase = job_phase::failed;
  one.source = {1234567, 99};
  one.split_bytes = 4096;
  one.split_count = 300;
  one.done.add(4);
  one.totals = {10, 9, 1, 4096};
  one.first_rejected = {{7, "no \"number\""}, {90, "caf\xc3\xa9"}};
  one.began_at_ms = 5;
  one.ended_at_ms = 6;
  one.error = "the record at byte 7 is rejected: \"x\"";
  auto back = job_from_text(to_text(one));
  REQUIRE(back.has_value());
  CHECK(*back == one);
  CHECK_FALSE(job_from_text("{}").value_or(job{}).all_split_done() == false); // an empty job has no splits
  CHECK_FALSE(job_from_text("[").has_value());

  const split which{3, 2, 17, 4096, 8192};
  CHECK(to_text(which) == "3 2 17 4096 8192");
  CHECK(split_from_text(to_text(which)).value() == which);
  one.first_run = 2;
  one.is_open = true;
  CHECK(job_from_text(to_text(one)).value() == one);
  CHECK_FALSE(one.all_split_done());

  const split last{3, 2, split::finish_index, 0, 0};
  CHECK(split_from_text(to_text(last)).value().is_finish());
  for (const char* text : {"", "1 2 3", "1 2 3 9 4", "1 2 3 4 5 6", "a 2 3 4 5"})
    CHECK_FALSE(split_from_text(text).has_value());
}

TEST_CASE("a split of a queue has its records with it") {
  record_block_builder some;
  some.add(7, 0, "one");
  some.add(9, 2, "an\nother");
  job of;
  of.run = 5;
  of.first_run = 4;
  of.source.size_bytes = 100;
  of.split_count = 3;
  const auto which = cut_split(of, some.finish());
  CHECK(which.run == 4);
  CHECK(which.index == 3);
  CHECK(of.split_count == 4);
  CHECK(which.begin == 100);
  CHECK(which.end == 111);
  CHECK(of.source.size_bytes == 111);
  const auto back = split_from_text(to_text(which)).value();
  CHECK(back == which);
  CHECK(back.records.count() == 2);
  CHECK((*back.records.begin()).seq == 7);
  CHECK_FALSE(split_from_text("1 1 0 0 5\nno block").has_value());
  CHECK(split_from_text(to_text(split{1, 1, split::cut_index, 0, 0})).value().is_cut());
  CHECK(split_records_for(0) == 8);
  CHECK(split_records_for(1) == 16);
  CHECK(split_records_for(1'000'000'000) == limits::block_count_max);
}

TEST_CASE("the error of a failed job that is no UTF-8 does not lose the job") {
  job one;
  one.error = "caf\xe9";
  CHECK(job_from_text(to_text(one)).value().error == "caf?");
}

TEST_CASE("of the rejected records the first of the source are named, in whatever order they come") {
  job one;
  one.split_count = 3;
  CHECK(add_split(one, {1, 1, 2, 200, 300}, {9, 7, 2, {{210, "c"}, {250, "d"}}}));
  CHECK(add_split(one, {1, 1, 0, 0, 100}, {9, 8, 1, {{17, "a\xe9"}}}));
  CHECK(add_split(one, {1, 1, 1, 100, 200}, {9, 8, 1, {{130, std::string(1000, 'b')}}}));
  CHECK(one.first_rejected
        == rejected_notes{{17, "a\xef\xbf\xbd"}, {130, std::string(300, 'b')}, {210, "c"}});
  CHECK(too_many_rejected(4, 3, {{17, "a"}, {130, "b"}, {210, "c"}}, false)
        == "4 records are rejected, max_rejected is 3: at byte 17: a; at byte 130: b; at byte 210: c; and 1 "
           "more");
  CHECK(too_many_rejected(2, 1, {{5, "a"}, {6, "b"}}, true)
        == "2 records are rejected, max_rejected is 1: number 5: a; number 6: b");
  CHECK(too_many_rejected(2, 1, {}, false)
        == "2 records are rejected, max_rejected is 1"); // stored by an older one
}

TEST_CASE("a split counts once") {
  job one;
  one.split_count = 2;
  CHECK(add_split(one, {1, 1, 0, 0, 100}, {5, 4, 1}));
  CHECK_FALSE(add_split(one, {1, 1, 0, 0, 100}, {5, 4, 1}));
  CHECK(one.totals == job_totals{5, 4, 1, 100});
  CHECK_FALSE(one.all_split_done());
  CHECK(splits_left(one, {0, 100, 150}) == std::vector<split>{{0, 1, 1, 100, 150}});
  CHECK(add_split(one, {1, 1, 1, 100, 150}, {1, 1, 0}));
  CHECK(one.all_split_done());
  CHECK(splits_left(one, {0, 100, 150}).empty());
}

TEST_CASE("small files are cut finer, huge ones never into more splits than one commit plans") {
  CHECK(split_bytes_for(100, 0) == 64u << 10);
  CHECK(split_bytes_for(64u << 20, 0) == (1u << 20) + 1);
  CHECK(split_bytes_for(std::uint64_t{10} << 30, 0) == limits::batch_split_bytes_default);
  CHECK(split_bytes_for(100, 4096) == 4096);
  const auto huge = std::uint64_t{10} << 40;
  CHECK(huge / split_bytes_for(huge, 0) < limits::batch_splits_max);
  CHECK(huge / split_bytes_for(huge, 4096) < limits::batch_splits_max);
}

TEST_CASE("the queue of splits has a name that a queue may have, however long the names are") {
  CHECK(splits_queue(flow_name{"sales"}, processor_name{"per-country"}).value == "batch.sales.per-country");
  const std::string name(60, 'x');
  const auto one = splits_queue(flow_name{name}, processor_name{name});
  const auto other = splits_queue(flow_name{name}, processor_name{name + "y"});
  CHECK(is_valid_name(one.value));
  CHECK(one != other);
  CHECK(job_key(flow_name{"sales"}, processor_name{"per-country"}) == "batch/sales/per-country");
}

TEST_CASE("rejected records are listed where the flow says, or beside what is written, or what is read") {
  processor_spec spec;
  spec.name = processor_name{"one"};
  spec.source = {"file", {{"path", "in/orders.csv"}}};
  spec.sink = {"file", {{"path", "out/sales.csv"}}};
  const flow_name flow{"shop"};
  CHECK(batch::rejected_path(flow, spec) == "out/sales.csv.rejected.jsonl");
  spec.sink = {"queue", {{"name", "sales"}}};
  CHECK(batch::rejected_path(flow, spec) == "in/orders.csv.shop.one.rejected.jsonl");
  spec.batch.emplace().rejected = "bad.jsonl";
  CHECK(batch::rejected_path(flow, spec) == "bad.jsonl");
}
