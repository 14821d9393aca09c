// Goal: whatever a host process does, what follows is bounded, has a reason in words,
// and leads back to a running host or to none.
#include "tests/unit/actors/node/host_driver.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace sluice;
using namespace sluice::node;
using namespace sluice::node::testing;
using namespace std::chrono_literals;

TEST_CASE("a wanted host is fetched, launched and given its replicas") {
  driver d;
  d.want({{replica_id{1}, processor_name{"work"}, host::replica_goal::run}});
  CHECK(d.state.phase == host_phase::fetching);
  CHECK(d.find<action::fetch>());
  d.give(event::fetched{});
  CHECK(d.state.phase == host_phase::starting);
  REQUIRE(d.find<action::launch>());
  CHECK(d.find<action::launch>()->host == d.state.host);
  d.give(event::started{d.state.host, 77});
  CHECK(d.state.pid == 77);
  d.give(event::connected{d.state.host});
  CHECK(d.state.phase == host_phase::running);
  REQUIRE(d.find<action::send_replicas>());
  CHECK(d.find<action::send_replicas>()->order.replicas.size() == 1);
  CHECK(d.find<action::send_replicas>()->order.revision == 1);
}

TEST_CASE("the same wish again asks for nothing") {
  driver d;
  d.run();
  d.want({{replica_id{1}, processor_name{"work"}, host::replica_goal::run}});
  CHECK(d.last.empty());
}

TEST_CASE("another set of replicas is sent under a higher revision") {
  driver d;
  d.run();
  d.want({{replica_id{1}, processor_name{"work"}, host::replica_goal::drain}});
  REQUIRE(d.find<action::send_replicas>());
  CHECK(d.find<action::send_replicas>()->order.revision == 2);
  CHECK(d.find<action::send_replicas>()->order.replicas[0].goal == host::replica_goal::drain);
}

TEST_CASE("a wish that changes while the process starts is sent at its hello") {
  driver d;
  d.want();
  d.start();
  d.want({{replica_id{4}, processor_name{"work"}, host::replica_goal::run}});
  CHECK(d.last.empty());
  d.give(event::connected{d.state.host});
  CHECK(d.find<action::send_replicas>()->order.replicas[0].id == replica_id{4});
}

TEST_CASE("events of an older process change nothing") {
  driver d;
  d.run();
  auto old = d.state.host;
  d.end(1, 0);
  d.pass(1s);
  d.restart();
  crash_report report;
  report.host = old;
  d.give(event::exited{report});
  d.give(event::unreachable{old, "gone"});
  d.give(event::launch_failed{old, {errc::internal, "late"}, {}});
  d.give(host::host_report{old, 9, {replica(1, host::replica_phase::failed)}});
  CHECK(d.state.phase == host_phase::running);
  CHECK(d.state.replicas.empty());
}

TEST_CASE("a host that ends is started again with another id, and its end is reported") {
  driver d;
  d.run();
  auto old = d.state.host;
  d.end(0, SIGSEGV, "killed by SIGSEGV");
  REQUIRE(d.find<action::report_end>());
  CHECK_FALSE(d.find<action::report_end>()->expected);
  CHECK(d.find<action::report_end>()->report.suspects.size() == 1);
  CHECK(d.state.phase == host_phase::backing_off);
  CHECK(d.state.detail == "killed by SIGSEGV");
  CHECK(wait_left(d.state, d.now) == 100ms);
  CHECK(d.state.last_crash->reason == "killed by SIGSEGV");
  CHECK(d.state.pid == 0);
  CHECK(d.state.replicas.empty());
  d.pass(100ms);
  CHECK(d.find<action::fetch>());
  d.restart();
  CHECK(d.state.host != old);
  CHECK(d.state.phase == host_phase::running);
  CHECK(d.state.starts_total == 2);
}

TEST_CASE("an exit with code 0 that nobody asked for is an end like any other") {
  driver d;
  d.run();
  d.end(0, 0, "exited with code 0");
  CHECK(d.state.phase == host_phase::backing_off);
  CHECK_FALSE(d.find<action::report_end>()->expected);
}

TEST_CASE("back-off doubles, is jittered downwards by at most half, and is capped") {
  CHECK(backoff_delay(0, 1.0, 100ms, 5min) == 100ms);
  CHECK(backoff_delay(0, 0.0, 100ms, 5min) == 50ms);
  CHECK(backoff_delay(3, 1.0, 100ms, 5min) == 800ms);
  CHECK(backoff_delay(3, 0.5, 100ms, 5min) == 600ms);
  CHECK(backoff_delay(30, 1.0, 100ms, 5min) == 5min);
  CHECK(backoff_delay(4000000000u, 1.0, 100ms, 5min) == 5min);
}

TEST_CASE("a program that exits at once is started five times within a minute, then rarely") {
  for (double jitter : {0.0, 0.4, 1.0}) {
    driver d;
    d.jitter = jitter;
    d.want();
    std::vector<time_point> starts;
    const auto begin = d.now;
    while (d.now < begin + 30min) {
      if (d.state.phase == host_phase::fetching) {
        starts.push_back(d.now);
        d.start();
        d.end(1, 0, "exited with code 1");
      }
      if (starts.size() == 5 && d.now - begin < 10s)
        CHECK(d.state.phase == host_phase::crash_loop);
      d.pass(50ms);
    }
    for (std::size_t i = 5; i < starts.size(); ++i)
      CHECK(starts[i] - starts[i - 5] >= 60s);
    CHECK(starts.size() >= 8);
    CHECK(starts.back() - starts[starts.size() - 2] <= 5min + 1s);
  }
}

TEST_CASE("the first wait of a crash loop is a minute and says why and when") {
  driver d;
  d.jitter = 0;
  d.want();
  for (int i = 0; i < 5; ++i) {
    d.start();
    d.end(1, 0, "exited with code 1");
    if (i < 4)
      d.pass(10s);
  }
  CHECK(d.state.phase == host_phase::crash_loop);
  CHECK(d.state.detail == "exited with code 1; ended 5 times in a row");
  CHECK(wait_left(d.state, d.now) == 60s);
  d.pass(59s);
  CHECK(d.state.phase == host_phase::crash_loop);
  CHECK(wait_left(d.state, d.now) == 1s);
  d.pass(1s);
  CHECK(d.state.phase == host_phase::fetching);
  CHECK(wait_left(d.state, d.now) == 0s);
  d.start();
  d.end(1, 0, "exited with code 1");
  CHECK(d.state.phase == host_phase::crash_loop);
  CHECK(d.state.detail == "exited with code 1; ended 6 times in a row");
  CHECK(wait_left(d.state, d.now) == 2min);
}

TEST_CASE("records that crash a host hold the others up for a second each, however many there are") {
  driver d;
  d.jitter = 1;
  d.run();
  for (int i = 0; i < 200; ++i) {
    d.report({replica(1, host::replica_phase::running, 10)});
    d.end_by_record();
    REQUIRE(d.state.phase == host_phase::backing_off);
    CHECK(wait_left(d.state, d.now)
          == std::min<std::chrono::milliseconds>(100ms * (1 << std::min(i, 10)), 1s));
    d.pass(1s);
    d.restart();
  }
  for (int i = 0; i < 10; ++i) { // the last ones, with nothing else to do
    d.end(0, SIGSEGV);
    CHECK(d.state.phase == host_phase::backing_off);
    d.pass(1s);
    d.restart();
  }
  d.pass(60s);
  for (int i = 0; i < 5; ++i) { // no record has passed for a minute: that is a loop, as if none ever had
    d.end(0, SIGSEGV);
    CHECK(d.state.phase == (i < 4 ? host_phase::backing_off : host_phase::crash_loop));
    if (i < 4) {
      d.pass(1s);
      d.restart();
    }
  }
}

TEST_CASE("a host that serves between its crashes is never kept down for long") {
  auto served = 12s;
  SUBCASE("12 s") {}
  SUBCASE("20 s") { served = 20s; }
  SUBCASE("50 s") { served = 50s; }
  driver d;
  d.run();
  for (int i = 0; i < 30; ++i) {
    d.serve(served);
    d.end(0, SIGSEGV);
    CHECK(d.state.phase == host_phase::backing_off);
    CHECK(wait_left(d.state, d.now) <= 100ms);
    d.pass(1s);
    d.restart();
  }
}

TEST_CASE("ends without service between make a crash loop, however slowly they come") {
  driver d;
  d.run();
  for (int i = 0; i < 5; ++i) {
    d.report({replica(1, host::replica_phase::starting)}); // its setup hangs, then aborts
    d.pass(9s);
    d.report({replica(1, host::replica_phase::starting)});
    d.pass(9s);
    d.end(1, 0);
    CHECK(d.state.phase == (i < 4 ? host_phase::backing_off : host_phase::crash_loop));
    if (i < 4) {
      d.pass(1s);
      d.restart();
    }
  }
}

TEST_CASE("after a crash loop, service makes up for some of the ends and then for all") {
  driver d;
  d.jitter = 0;
  d.want();
  for (int i = 0; i < 20; ++i) {
    d.start();
    d.end(1, 0);
    d.pass(i < 19 ? 6min : 1s);
  }
  CHECK(d.state.detail == "ended; ended 20 times in a row");
  d.pass(6min);
  SUBCASE("half a minute: the next waits are shorter") {
    d.restart();
    d.serve(25s);
    d.end(1, 0);
    CHECK(d.state.phase == host_phase::crash_loop);
    CHECK(wait_left(d.state, d.now) < 5min);
    d.pass(6min);
    d.restart();
    d.serve(50s);
    d.end(1, 0);
    CHECK(d.state.phase == host_phase::backing_off);
  }
  SUBCASE("a minute: the next end is a first one") {
    d.restart();
    d.serve(limits::host_restart_window);
    d.end(1, 0);
    CHECK(d.state.phase == host_phase::backing_off);
    CHECK(d.state.ends_in_row == 1);
  }
}

TEST_CASE("each process begins with order 1") {
  driver d;
  d.run();
  d.want();
  CHECK(d.find<action::send_replicas>()->order.revision == 2);
  d.end(1, 0);
  d.pass(1s);
  d.restart();
  CHECK(d.find<action::send_replicas>()->order.revision == 1);
}

TEST_CASE("a process that started clears the memory of failed fetches") {
  driver d;
  d.want();
  for (int i = 0; i < 6; ++i) {
    d.give(event::fetched{fail(errc::unavailable, "no link")});
    d.pass(limits::artifact_fetch_backoff_max);
  }
  d.start();
  d.end(1, 0);
  d.pass(1s);
  d.give(event::fetched{fail(errc::unavailable, "no link")});
  CHECK(d.state.detail == "artifact: no link");
  CHECK(wait_left(d.state, d.now) == 100ms);
}

TEST_CASE("a minute of service clears the memory of failures") {
  driver d;
  d.run();
  for (int i = 0; i < 4; ++i) {
    d.end(1, 0);
    d.pass(2s);
    d.restart();
  }
  CHECK(d.state.ends_in_row == 4);
  d.serve(60s);
  d.end(1, 0);
  CHECK(d.state.phase == host_phase::backing_off);
  CHECK(d.state.ends_in_row == 1);
}

TEST_CASE("a minute of waiting in a crash loop clears nothing") {
  driver d;
  d.want();
  for (int i = 0; i < 5; ++i) {
    d.start();
    d.end(1, 0);
    d.pass(2s);
  }
  d.pass(60s + 30s);
  d.restart();
  d.pass(1s);
  d.end(1, 0);
  CHECK(d.state.phase == host_phase::crash_loop);
}

TEST_CASE("an artifact that cannot be fetched is tried again with back-off and is no crash") {
  driver d;
  d.want();
  for (int i = 0; i < 12; ++i) {
    d.give(event::fetched{fail(errc::unavailable, "the head is out of reach")});
    CHECK(d.state.phase == host_phase::backing_off);
    CHECK_FALSE(d.state.last_crash);
    d.pass(limits::artifact_fetch_backoff_max);
    CHECK(d.state.phase == host_phase::fetching);
  }
  d.give(event::fetched{fail(errc::unavailable, "the head is out of reach")});
  CHECK(d.state.detail == "artifact: the head is out of reach");
  CHECK(wait_left(d.state, d.now) == 30s);
  CHECK(d.state.ends_in_row == 0);
}

TEST_CASE("a damaged artifact is fetched again") {
  driver d;
  d.want();
  d.give(event::fetched{});
  auto code = errc::corrupt;
  SUBCASE("damaged") {}
  SUBCASE("gone") { code = errc::not_found; }
  d.give(event::launch_failed{d.state.host, {code, "artifact ab is damaged"}, {}});
  CHECK(d.state.phase == host_phase::backing_off);
  CHECK(d.state.ends_in_row == 0);
  CHECK((d.find<action::report_end>() != nullptr) == (code == errc::corrupt)); // for the events
  d.pass(100ms);
  CHECK(d.find<action::fetch>());
  d.give(event::fetched{fail(code, "the head's is, too")});
  CHECK(d.last.empty()); // that has been told
}

TEST_CASE("a launch that fails counts as an end and is reported") {
  driver d;
  d.want();
  d.give(event::fetched{});
  auto host = d.state.host;
  d.give(event::launch_failed{host, {errc::invalid_argument, "exec format error"}, {}});
  CHECK(d.state.phase == host_phase::backing_off);
  CHECK(d.state.ends_in_row == 1);
  REQUIRE(d.find<action::report_end>());
  CHECK(d.find<action::report_end>()->report.reason == "could not be started: exec format error");
  CHECK(d.find<action::report_end>()->report.host == host);
}

TEST_CASE("a host that says no hello in time is killed for that") {
  driver d;
  d.want();
  d.start();
  d.pass(limits::host_start_deadline - 1ms);
  CHECK(d.last.empty());
  d.pass(1ms);
  REQUIRE(d.find<action::kill>());
  CHECK(d.state.phase == host_phase::starting);
  d.end(0, SIGKILL, "killed by SIGKILL (not by Sluice)");
  CHECK(d.state.last_crash->reason == "did not say hello within 10 s");
  CHECK(d.state.phase == host_phase::backing_off);
}

TEST_CASE("a hello that comes after the kill changes nothing") {
  driver d;
  d.want();
  d.start();
  d.pass(limits::host_start_deadline);
  d.give(event::connected{d.state.host});
  CHECK(d.state.phase == host_phase::starting);
  CHECK(d.last.empty());
}

TEST_CASE("a process that survives its kill is killed again") {
  driver d;
  d.want();
  d.start();
  d.pass(limits::host_start_deadline);
  d.pass(limits::host_terminate_grace);
  CHECK(d.find<action::kill>());
  d.pass(limits::host_terminate_grace);
  CHECK(d.find<action::kill>());
}

TEST_CASE("more memory than allowed ends the host with both figures") {
  driver d;
  d.want({}, 256u << 20);
  d.start();
  d.give(event::connected{d.state.host});
  d.give(event::tick{std::uint64_t{256} << 20});
  CHECK(d.last.empty());
  d.give(event::tick{std::uint64_t{412} << 20});
  CHECK(d.find<action::kill>());
  d.give(event::tick{std::uint64_t{500} << 20});
  CHECK(d.last.empty()); // once
  d.end(0, SIGKILL, "killed by SIGKILL (not by Sluice)");
  CHECK(d.state.last_crash->reason == "out of memory: 412 MiB used, limit 256 MiB");
  CHECK(d.state.memory_bytes == 0);
}

TEST_CASE("a host that crashes by itself while it is killed keeps its own reason") {
  driver d;
  d.want({}, 1);
  d.start();
  d.give(event::connected{d.state.host});
  d.give(event::tick{std::uint64_t{412} << 20});
  d.end(0, SIGSEGV, "killed by SIGSEGV");
  CHECK(d.state.last_crash->reason == "killed by SIGSEGV");
}

TEST_CASE("a call that outlasts the processor's timeout ends the host, blaming what is that old") {
  driver d;
  d.state.timeouts[processor_name{"work"}] = 2s;
  d.run();
  d.report({replica(1, host::replica_phase::running, 0, 2s + limits::host_hang_grace - 1ms)});
  CHECK(d.last.empty());
  d.report({replica(1, host::replica_phase::running, 0, 2500ms)});
  REQUIRE(d.find<action::kill>());
  CHECK(d.find<action::kill>()->hung_after == 2s);
  CHECK(d.find<action::kill>()->why.starts_with("hung: "));
  d.end(0, SIGKILL);
  CHECK(d.state.last_crash->reason
        == "hung: processor 'work' has worked on one call for 2.5 s, its limit is 2 s");
}

TEST_CASE("a setup that outlasts its limit ends the host; no record is to blame") {
  driver d;
  d.state.timeouts[processor_name{"work"}] = 2s;
  d.state.setup_limits[processor_name{"work"}] = 60s;
  d.run();
  d.report({replica(1, host::replica_phase::starting, 0, 60s)});
  CHECK(d.last.empty());
  d.report({replica(1, host::replica_phase::starting, 0, 75s)});
  REQUIRE(d.find<action::kill>());
  CHECK(d.find<action::kill>()->hung_after > 24h);
  d.end(0, SIGKILL);
  CHECK(d.state.last_crash->reason
        == "hung: the setup of processor 'work' has taken 75 s, its limit is 60 s");
}

TEST_CASE("without a timeout a call may take as long as it likes") {
  driver d;
  d.state.timeouts[processor_name{"work"}] = 0s;
  d.run();
  d.report({replica(1, host::replica_phase::running, 0, 5h)});
  CHECK(d.last.empty());
}

TEST_CASE("a host that reports nothing for long is hung") {
  driver d;
  d.run();
  d.pass(limits::host_silence_timeout - 1ms);
  CHECK(d.last.empty());
  d.report({});
  d.pass(limits::host_silence_timeout - 1ms);
  CHECK(d.last.empty());
  d.pass(1ms);
  CHECK(d.find<action::kill>());
  d.end(0, SIGKILL);
  CHECK(d.state.last_crash->reason == "hung: reported nothing for 10 s");
}

TEST_CASE("what a host could not tell while the agent stood still is forgiven") {
  driver d;
  d.run();
  d.now += 20s;
  d.give(event::slept{20s});
  d.give(event::tick{});
  CHECK(d.last.empty());
  d.pass(limits::host_silence_timeout);
  CHECK(d.find<action::kill>());
}

TEST_CASE("a lost link ends the host, unless its end explains itself first") {
  driver d;
  d.run();
  d.give(event::unreachable{d.state.host, "closed by the peer"});
  CHECK(d.last.empty());
  SUBCASE("the process ends") {
    d.pass(100ms);
    d.end(0, SIGSEGV, "killed by SIGSEGV");
    CHECK(d.state.last_crash->reason == "killed by SIGSEGV");
  }
  SUBCASE("the process stays") {
    d.pass(1s);
    CHECK(d.find<action::kill>());
    d.end(0, SIGKILL);
    CHECK(d.state.last_crash->reason == "hung: lost its link to the node: closed by the peer");
  }
  SUBCASE("other replicas are wanted meanwhile") {
    d.want({{replica_id{4}, processor_name{"work"}, host::replica_goal::run}});
    CHECK(d.last.empty());
  }
  SUBCASE("the host is not wanted any more") {
    d.unwant();
    CHECK(d.find<action::terminate>());
    CHECK(d.state.phase == host_phase::stopping);
  }
}

TEST_CASE("a link that breaks before the hello ends the start early") {
  driver d;
  d.want();
  d.start();
  d.give(event::unreachable{d.state.host, "other protocol version"});
  CHECK(d.state.phase == host_phase::starting);
  d.give(event::connected{d.state.host});
  CHECK(d.state.phase == host_phase::starting);
  d.pass(1s);
  CHECK(d.find<action::kill>());
  d.end(0, SIGKILL);
  CHECK(d.state.last_crash->reason == "lost its link to the node: other protocol version");
}

TEST_CASE("a host in this process is neither measured nor killed") {
  driver d;
  d.state.isolated = false;
  d.state.timeouts[processor_name{"work"}] = 1s;
  d.want({}, 1);
  d.start();
  d.pass(1h);
  CHECK(d.last.empty());
  d.give(event::connected{d.state.host});
  d.give(event::tick{std::uint64_t{1} << 30});
  d.report({replica(1, host::replica_phase::running, 0, 1h)});
  d.pass(1h);
  CHECK(d.last.empty());
  CHECK(d.state.phase == host_phase::running);
}

TEST_CASE("a stop drains, then asks, then kills") {
  driver d;
  d.run();
  d.unwant();
  CHECK(d.state.phase == host_phase::stopping);
  REQUIRE(d.find<action::send_replicas>());
  CHECK(d.find<action::send_replicas>()->order.replicas.empty());
  CHECK(d.find<action::send_replicas>()->order.revision == 2);
  SUBCASE("all replicas come down") {
    d.report({replica(1, host::replica_phase::draining)});
    CHECK(d.last.empty());
    d.report({replica(1, host::replica_phase::down)});
    CHECK(d.find<action::terminate>());
    d.end(0, 0);
    CHECK(d.state.phase == host_phase::down);
    CHECK(d.find<action::report_end>()->expected);
    CHECK(d.find<action::report_end>()->report.suspects.empty());
    CHECK_FALSE(d.state.last_crash);
  }
  SUBCASE("a report from before the order does not count") {
    d.give(host::host_report{d.state.host, 1, {}});
    CHECK(d.last.empty());
    d.give(host::host_report{d.state.host, 2, {}});
    CHECK(d.find<action::terminate>());
  }
  SUBCASE("the drain takes too long and SIGTERM does nothing") {
    d.pass(limits::drain_timeout - 1ms);
    CHECK(d.last.empty());
    d.pass(1ms);
    CHECK(d.find<action::terminate>());
    d.pass(limits::host_terminate_grace);
    CHECK(d.find<action::kill>());
    d.end(0, SIGKILL);
    CHECK(d.find<action::report_end>()->expected);
    CHECK(d.state.phase == host_phase::down);
  }
  SUBCASE("it crashes while it drains") {
    d.end(0, SIGSEGV, "killed by SIGSEGV");
    CHECK_FALSE(d.find<action::report_end>()->expected);
    CHECK(d.state.phase == host_phase::down);
  }
  SUBCASE("somebody kills it while it drains") {
    d.end(0, SIGKILL, "killed by SIGKILL (not by Sluice)");
    CHECK_FALSE(d.find<action::report_end>()->expected);
    CHECK(d.find<action::report_end>()->report.suspects.size() == 1);
  }
  SUBCASE("it is wanted again after it was silent in its drain") {
    d.pass(limits::host_silence_timeout + 1s);
    d.want({{replica_id{2}, processor_name{"work"}, host::replica_goal::run}});
    d.give(event::tick{});
    CHECK(d.last.empty());
  }
  SUBCASE("a call hangs while it drains") {
    d.state.timeouts[processor_name{"work"}] = 1s;
    d.report({replica(1, host::replica_phase::draining, 0, 2s)});
    CHECK(d.find<action::kill>());
    d.end(0, SIGKILL);
    CHECK_FALSE(d.find<action::report_end>()->expected);
  }
  SUBCASE("silence while it drains is no reason of its own") {
    d.pass(limits::host_silence_timeout + 1s);
    CHECK(d.last.empty());
  }
  SUBCASE("the link breaks while it drains") {
    d.give(event::unreachable{d.state.host, "closed"});
    CHECK(d.find<action::terminate>());
  }
  SUBCASE("it is wanted again while it drains") {
    d.want({{replica_id{2}, processor_name{"work"}, host::replica_goal::run}});
    CHECK(d.state.phase == host_phase::running);
    CHECK(d.find<action::send_replicas>()->order.revision == 3);
    d.report({});
    d.pass(limits::host_silence_timeout - 1ms);
    CHECK(d.last.empty());
    CHECK(d.state.phase == host_phase::running);
  }
  SUBCASE("it is wanted again after SIGTERM") {
    d.report({});
    d.want();
    CHECK(d.state.phase == host_phase::stopping);
    d.end(0, SIGTERM);
    CHECK(d.state.phase == host_phase::fetching);
    CHECK(d.find<action::fetch>());
    CHECK(d.find<action::report_end>()->expected);
    CHECK(d.state.ends_in_row == 0);
  }
}

TEST_CASE("a host that is starting is stopped without a drain") {
  driver d;
  d.want();
  d.start();
  d.unwant();
  CHECK(d.find<action::terminate>());
  CHECK_FALSE(d.find<action::send_replicas>());
  d.give(event::connected{d.state.host});
  CHECK(d.last.empty());
  d.end(0, SIGTERM);
  CHECK(d.state.phase == host_phase::down);
}

TEST_CASE("a host that is being killed and not wanted goes down") {
  driver d;
  d.want({}, 1);
  d.start();
  d.give(event::connected{d.state.host});
  d.give(event::tick{std::uint64_t{412} << 20});
  d.unwant();
  CHECK(d.state.phase == host_phase::stopping);
  CHECK(d.last.empty());
  d.pass(limits::host_terminate_grace);
  CHECK(d.find<action::kill>());
  d.end(0, SIGKILL);
  CHECK(d.state.phase == host_phase::down);
  CHECK(d.find<action::report_end>()->report.reason == "out of memory: 412 MiB used, limit 0 MiB");
}

TEST_CASE("without a process a stop is done at once, whatever it waited for") {
  driver d;
  d.want();
  SUBCASE("an artifact") {}
  SUBCASE("a back-off") {
    d.start();
    d.end(1, 0);
  }
  SUBCASE("a crash loop") {
    for (int i = 0; i < 5; ++i) {
      d.start();
      d.end(1, 0);
      if (i < 4)
        d.pass(10s);
    }
    CHECK(d.state.phase == host_phase::crash_loop);
  }
  d.unwant();
  CHECK(d.state.phase == host_phase::down);
  CHECK_FALSE(next_due(d.state));
  d.give(event::fetched{});
  CHECK(d.state.phase == host_phase::down);
  CHECK(d.last.empty());
  d.want();
  CHECK(d.state.phase == host_phase::fetching);
}

TEST_CASE("a launch that fails during a stop ends the stop") {
  driver d;
  d.want();
  d.give(event::fetched{});
  d.unwant();
  d.give(event::launch_failed{d.state.host, {errc::internal, "no memory"}, {}});
  CHECK(d.state.phase == host_phase::down);
}

TEST_CASE("timers never ask for a look that changes nothing, for ever") {
  // Every phase: applying a due tick must move the due time or clear it.
  driver d;
  d.run();
  for (int step = 0; step < 3; ++step) {
    if (step == 1)
      d.unwant();
    for (int i = 0; i < 50; ++i) {
      auto due = next_due(d.state);
      if (!due)
        break;
      d.now = std::max(d.now, *due);
      d.give(event::tick{});
      auto next = next_due(d.state);
      CHECK((!next || *next > d.now));
    }
  }
}
