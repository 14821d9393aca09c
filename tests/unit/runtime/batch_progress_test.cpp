#include "runtime/batch_progress.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;
using namespace std::chrono_literals;

TEST_CASE("numbers are grouped, and times short") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(seconds_text(12'345ms) == "12.3 s");
}

TEST_CASE("the bar of a batch shows its share, its rate and the time left") {
  host::batch_report batch;
  batch.source_bytes = 1000;
  batch.done_bytes = 450;
  batch.records_in = 4500;
  CHECK(batch_bar(batch, 100) == "[=========>          ] 45 %  4,500 records, 100/s, 0:55 left");
  CHECK(batch_bar(batch, 0) == "[=========>          ] 45 %  4,500 records, 0/s");
  batch.done_bytes = 1000;
  batch.records_in = 10'000;
  batch.rejected = 2;
  batch.phase = host::batch_phase::done;
  CHECK(batch_bar(batch, 5) == "[====================] 100 %  10,000 records, 5/s, 2 rejected");
  CHECK(batch_counts(batch) == "10,000 records in, 0 out, 2 rejected");
  batch.phase = host::batch_phase::failed;
  CHECK(batch_counts(batch) == "10,000 records in, 0 out, 2 rejected in the parts that are done");
  batch.rejected = 0;
  CHECK(batch_counts(batch) == "10,000 records in, 0 out in the parts that are done");
}

TEST_CASE("the bar of an empty source is full") {
  host::batch_report batch;
  batch.phase = host::batch_phase::done;
  CHECK(batch_bar(batch, 0) == "[====================] 100 %  0 records, 0/s");
}

TEST_CASE("a batch that does not know how much there is shows no share of it") {
  host::batch_report batch;
  batch.done_bytes = 450;
  batch.records_in = 4500;
  batch.rejected = 1;
  CHECK(batch_bar(batch, 100) == "4,500 records, 100/s, 1 rejected");
}
