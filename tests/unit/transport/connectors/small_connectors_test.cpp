#include "tests/support/sink_conformance.hpp"
#include "tests/support/source_conformance.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/connectors/builtin.hpp"
#include "transport/connectors/pulse/pulse_source.hpp"
#include "transport/connectors/stdout/stdout_sink.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <fcntl.h>
#include <sstream>
#include <unistd.h>

using namespace sluice;
using namespace sluice::testing;
using namespace sluice::test;
using namespace std::chrono_literals;

namespace {

/// A pulse whose time the test moves; waiting moves it too.
struct pulse_fixture {
  std::chrono::steady_clock::time_point now{1h};
  std::chrono::milliseconds waited{0};
  std::unique_ptr<source> make(std::chrono::milliseconds interval) {
    return connectors::pulse_source::make(
      interval, {[this] { return now; }, [] { return std::chrono::system_clock::time_point{1714564800s}; },
                 [this](std::chrono::milliseconds time) {
                   waited += time;
                   now += time;
                 }});
  }
};

std::string only(result<pulled> got) {
  REQUIRE(got);
  REQUIRE(got->records.count() == 1);
  return std::string{(*got->records.begin()).payload};
}

} // namespace

TEST_CASE_FIXTURE(pulse_fixture, "a pulse conforms") {
  check_source({[&] { return make(60s); }, [&](std::size_t) { now += 60s; }, false, true});
}

TEST_CASE_FIXTURE(pulse_fixture, "a tick says its number and the time") {
  auto from = make(1s);
  REQUIRE(from->open(0));
  CHECK(only(from->pull(10, 0ms)) == "{\"tick\":1,\"time\":\"2024-05-01T12:00:00Z\"}");
}

TEST_CASE_FIXTURE(pulse_fixture, "a pulse waits for its next tick and no longer than it may") {
  auto from = make(1s);
  REQUIRE(from->open(0));
  only(from->pull(10, 500ms));
  auto early = from->pull(10, 400ms);
  REQUIRE(early);
  CHECK(early->records.empty());
  CHECK(waited == 400ms);
  only(from->pull(10, 5s));
  CHECK(waited == 1s);
}

TEST_CASE_FIXTURE(pulse_fixture, "ticks that nobody asked for are one, and the grid stays") {
  auto from = make(1s);
  REQUIRE(from->open(0));
  only(from->pull(10, 0ms));
  now += 7500ms;
  only(from->pull(10, 0ms));
  waited = 0ms;
  only(from->pull(10, 5s));
  CHECK(waited == 500ms);
}

TEST_CASE("results are printed as lines") {
  temp_dir folder;
  const auto path = folder / "printed";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  check_sink({[&] { return connectors::stdout_sink::make_for_test(fd); },
              [&] {
                std::vector<std::string> lines;
                std::istringstream in{read_file(path)};
                for (std::string line; std::getline(in, line);)
                  lines.push_back(line);
                return lines;
              },
              true});
  ::close(fd);
}

TEST_CASE("a pipe that nobody reads any more is a failure for good") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  auto before = std::signal(SIGPIPE, SIG_IGN);
  auto to = connectors::stdout_sink::make_for_test(ends[1]);
  record_block_builder one;
  one.add("{}");
  auto pushed = to->push(one.finish());
  REQUIRE_FALSE(pushed);
  CHECK(pushed.error().code == errc::not_found);
  std::signal(SIGPIPE, before);
  ::close(ends[1]);
}

TEST_CASE("the empty sink conforms") {
  connector_registry registry;
  connectors::add_builtin_connectors(registry);
  check_sink({[&] {
                return std::move(*registry.sink_of({"empty", {}}));
              },
              [] { return std::vector<std::string>{}; }, false});
}

TEST_CASE("all kinds are there, and wrong options are refused by name") {
  connector_registry registry;
  connectors::add_builtin_connectors(registry);
  CHECK(registry.source_of({"pulse", {{"interval_ms", "1000"}}}));
  CHECK(registry.sink_of({"stdout", {}}));
  auto why = [](const auto& made) { return made ? std::string{} : made.error().message; };
  CHECK(why(registry.source_of({"pulse", {}})) == "pulse: option 'interval_ms' is missing");
  CHECK(why(registry.source_of({"pulse", {{"interval_ms", "0"}}}))
        == "pulse: option 'interval_ms' must be a number from 1 to 31622400000, is '0'");
  CHECK(why(registry.source_of({"pulse", {{"interval_ms", "1s"}}})).find("must be a number")
        != std::string::npos);
  CHECK(why(registry.sink_of({"stdout", {{"color", "red"}}}))
        == "stdout: there is no option 'color'; it has none");
  CHECK(why(registry.source_of({"stdout", {}})) == "no source is called \"stdout\"; there are: file pulse");
}
