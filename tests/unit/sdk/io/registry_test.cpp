// Goal: a connector is found by its kind, and a wrong kind is answered with the right ones.

#include <sluice/io/registry.hpp>

#include <doctest/doctest.h>

using namespace sluice;

namespace {

struct no_source : source {
  result<void> open(const source_position&) override { return {}; }
  result<pulled> pull(std::uint32_t, std::chrono::milliseconds) override { return pulled{}; }
};

struct no_sink : sink {
  result<void> open() override { return {}; }
  result<void> push(const record_block&) override { return {}; }
};

connector_registry filled() {
  connector_registry registry;
  registry.add_source("pulse", [](const io_spec& spec) -> result<std::unique_ptr<source>> {
    if (!spec.options.contains("interval_ms"))
      return fail(errc::invalid_argument, "pulse: option 'interval_ms' is missing");
    return std::make_unique<no_source>();
  });
  registry.add_source("file", [](const io_spec&) { return std::make_unique<no_source>(); });
  registry.add_sink("stdout", [](const io_spec&) { return std::make_unique<no_sink>(); });
  return registry;
}

} // namespace

TEST_CASE("a kind is built by what was added for it") {
  auto registry = filled();
  CHECK(registry.source_of({"pulse", {{"interval_ms", "5"}}}));
  CHECK(registry.sink_of({"stdout", {}}));
}

TEST_CASE("what the connector says of its options is passed on") {
  auto made = filled().source_of({"pulse", {}});
  REQUIRE_FALSE(made);
  CHECK(made.error() == failure{errc::invalid_argument, "pulse: option 'interval_ms' is missing"});
}

TEST_CASE("an unknown kind is answered with those that exist") {
  auto made = filled().source_of({"kafka", {}});
  REQUIRE_FALSE(made);
  CHECK(made.error()
        == failure{errc::invalid_argument, "no source is called \"kafka\"; there are: file pulse"});
}

TEST_CASE("a source is no sink") {
  auto made = filled().sink_of({"file", {}});
  REQUIRE_FALSE(made);
  CHECK(made.error().message == "no sink is called \"file\"; there are: stdout");
}

TEST_CASE("an empty registry says that there are none") {
  CHECK(connector_registry{}.sink_of({"file", {}}).error().message
        == "no sink is called \"file\"; there are: none");
}

TEST_CASE("adding a kind again replaces it") {
  auto registry = filled();
  registry.add_sink(
    "stdout", [](const io_spec&) -> result<std::unique_ptr<sink>> { return fail(errc::unsupported, "off"); });
  CHECK(registry.sink_of({"stdout", {}}).error().code == errc::unsupported);
}
