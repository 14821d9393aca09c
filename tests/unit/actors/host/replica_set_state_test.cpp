#include "actors/host/replica_set_state.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::host;

namespace {

desired_replicas want(std::uint64_t revision,
                      std::initializer_list<std::pair<std::uint64_t, replica_goal>> all) {
  desired_replicas out;
  out.revision = revision;
  for (const auto& [id, goal] : all)
    out.replicas.push_back({replica_id{id}, processor_name{"p"}, goal});
  return out;
}

replica_report report(std::uint64_t id, replica_phase phase) {
  replica_report out;
  out.id = replica_id{id};
  out.phase = phase;
  return out;
}

constexpr auto run = replica_goal::run;
constexpr auto drain = replica_goal::drain;

} // namespace

TEST_CASE("a replica that is wanted is started once, whatever is repeated") {
  replica_set_state set;
  CHECK(set.on_desired(want(1, {{1, run}, {2, run}})).start.size() == 2);
  CHECK(set.on_desired(want(1, {{1, run}, {2, run}})).start.empty());
  CHECK(set.reports().size() == 2);
  CHECK(set.reports()[0].phase == replica_phase::starting);
}

TEST_CASE("an older revision is ignored") {
  replica_set_state set;
  set.on_desired(want(5, {{1, run}}));
  const auto todo = set.on_desired(want(4, {{2, run}}));
  CHECK(todo.start.empty());
  CHECK(todo.drain.empty());
  CHECK(set.revision() == 5);
}

TEST_CASE("a replica is drained when told or no longer named, again each time until it has ended") {
  replica_set_state set;
  set.on_desired(want(1, {{1, run}, {2, run}}));
  CHECK(set.on_desired(want(2, {{1, drain}})).drain == std::vector{replica_id{1}, replica_id{2}});
  CHECK(set.on_desired(want(2, {{1, drain}})).drain == std::vector{replica_id{1}, replica_id{2}});
  set.on_report(report(1, replica_phase::down));
  set.on_report(report(2, replica_phase::down));
  CHECK(set.on_desired(want(2, {{1, drain}})).drain.empty());
  REQUIRE(set.reports().size() == 1); // the named one stays, the other is forgotten
  CHECK(set.reports()[0].phase == replica_phase::down);
  CHECK(set.on_desired(want(3, {})).drain.empty());
  CHECK(set.reports().empty());
}

TEST_CASE("a replica that failed stays in the report and is not started again") {
  replica_set_state set;
  set.on_desired(want(1, {{1, run}}));
  set.on_lost(replica_id{1}, "no connector");
  CHECK(set.on_desired(want(2, {{1, run}})).start.empty());
  REQUIRE(set.reports().size() == 1);
  CHECK(set.reports()[0].phase == replica_phase::failed);
  CHECK(set.reports()[0].last_error == "no connector");
  set.on_lost(replica_id{1}, "late news");
  set.on_report(report(1, replica_phase::running));
  CHECK(set.reports()[0].last_error == "no connector");
}

TEST_CASE("a drain of a replica that never ran here is down at once") {
  replica_set_state set;
  const auto todo = set.on_desired(want(1, {{9, drain}}));
  CHECK(todo.start.empty());
  CHECK(todo.drain.empty());
  CHECK(set.reports()[0].phase == replica_phase::down);
}

TEST_CASE("a change of phase or of exhausted is news, numbers are not") {
  replica_set_state set;
  set.on_desired(want(1, {{1, run}}));
  auto now = report(1, replica_phase::running);
  CHECK(set.on_report(now));
  now.processed_total = 7;
  CHECK_FALSE(set.on_report(now));
  now.exhausted = true;
  CHECK(set.on_report(now));
  CHECK_FALSE(set.on_report(report(5, replica_phase::running)));
  CHECK(set.reports()[0].processed_total == 7);
}

TEST_CASE("every phase has a name") {
  CHECK(to_string(replica_phase::starting) == "starting");
  CHECK(to_string(replica_phase::failed) == "failed");
}
