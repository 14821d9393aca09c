// Goal: a run by hand says that it goes on only if it does.
#include "runtime/local_batch.hpp"

#include <doctest/doctest.h>

using namespace sluice;

TEST_CASE("a batch of which nothing is done begins, and says nothing") {
  batch::job job;
  CHECK(runtime::resume_remark(processor_name{"work"}, job) == "");
  job.source.size_bytes = 1000; // its splits are planned
  job.split_count = 10;
  CHECK(runtime::resume_remark(processor_name{"work"}, job) == "");
}

TEST_CASE("a batch that goes on says where: by share of a file, by records of a queue") {
  batch::job job;
  job.done.add(0);
  job.totals.bytes_in = 400;
  job.totals.records_in = 1234;
  job.from = "queue orders";
  CHECK(runtime::resume_remark(processor_name{"work"}, job)
        == "work: goes on where it was, behind 1,234 records"); // whatever is asked for
  job.from = "file /in";
  job.source.size_bytes = 1000;
  CHECK(runtime::resume_remark(processor_name{"work"}, job)
        == "work: goes on where it was, at 40 %; --restart begins anew");
}
