// Goal: a program describes its flow in a few lines, options that are not given follow from
// those that are, and a mistake is told by name, option and rule.

#include <sluice/codec/codec.hpp>
#include <sluice/core/version.hpp>
#include <sluice/flow.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;
using io::empty;
using io::file;
using io::file_format;
using io::pulse;
using io::queue;
using io::standard_output;

namespace {

struct order {
  std::string id;
};
struct priced {
  double total;
};

priced price(const order&) { return {1}; }
void drop(order) {}
async<std::vector<priced>> price_later(order) { co_return {}; }

enum class colour { red, green };
struct sale {
  std::string city;
  std::optional<std::string> note;
  colour shade;
  int count;
  std::optional<bool> paid;
  std::chrono::milliseconds took;
  json_text more;
  std::vector<std::string> tags;
};
void sold(const sale&) {}

struct audit {
  std::optional<priced> process(const priced& p) { return p; }
};

processor_spec only(consumer_options options) {
  flow f{"orders"};
  f.consumer<price>("price", std::move(options));
  return f.spec().processors.at(0);
}

consumer_options fed() { return {.source = queue("in"), .sink = queue("out")}; }

std::string mistake(const flow& f) {
  try {
    (void)f.spec();
  } catch (const flow_error& e) {
    return e.what();
  }
  return "";
}

struct replicas {
  std::uint32_t num, min, max;
  friend bool operator==(const replicas&, const replicas&) = default;
};

replicas replicas_of(std::optional<std::uint32_t> num, std::optional<std::uint32_t> min,
                     std::optional<std::uint32_t> max) {
  auto options = fed();
  options.num_replicas = num;
  options.min_replicas = min;
  options.max_replicas = max;
  auto spec = only(options);
  return {spec.num_replicas, spec.min_replicas, spec.max_replicas};
}

constexpr auto unset = std::nullopt;

} // namespace

TEST_CASE("a flow is described by what was added to it, in that order") {
  flow f{"orders"};
  f.consumer<price>("price", fed())
    .consumer<audit>("audit", {.source = queue("out"), .sink = file("audit.jsonl")})
    .consumer<drop>("drop", {.source = queue("x")})
    .consumer<price_later>("later", fed());
  auto spec = f.spec();
  CHECK(spec.name == flow_name{"orders"});
  CHECK(spec.sluice_version == SLUICE_VERSION);
  REQUIRE(spec.processors.size() == 4);
  CHECK(spec.processors[0].name == processor_name{"price"});
  CHECK(spec.processors[0].kind == pattern::consumer);
  CHECK(spec.processors[0].input_type == "order");
  CHECK(spec.processors[0].output_type == "priced");
  CHECK(spec.processors[1].output_type == "priced");
  CHECK(spec.processors[2].output_type == "");
  CHECK(spec.processors[2].sink == empty());
  CHECK(spec.processors[3].output_type == "priced");
  CHECK(flow_spec_from_json(to_json(spec)) == spec);
}

TEST_CASE("every processor has a factory of bodies") {
  flow f{"orders"};
  f.consumer<price>("price", fed()).consumer<audit>("audit", fed());
  REQUIRE(f.bodies().size() == 2);
  encoded_results out;
  CHECK(std::get<body_factory>(f.bodies().at(processor_name{"price"}))()->process(R"({"id":"x"})", out));
  CHECK(out[0] == R"({"total":1})");
  auto make = std::get<body_factory>(f.bodies().at(processor_name{"audit"}));
  CHECK(make() != make());
}

TEST_CASE("options arrive in the description") {
  auto spec = only({.source = queue("in"),
                    .sink = queue("out"),
                    .num_replicas = 2,
                    .min_replicas = 0,
                    .max_replicas = 9,
                    .autoscale = false,
                    .num_cpus = 0.25,
                    .memory_bytes = 1 << 20,
                    .node_labels = {{"gpu", "1"}},
                    .num_concurrency = 8,
                    .timeout = 5s,
                    .max_attempts = 2,
                    .batch_size = 10,
                    .log_level = "debug"});
  processor_spec expected;
  expected.name = processor_name{"price"};
  expected.source = {"queue", {{"name", "in"}}};
  expected.sink = {"queue", {{"name", "out"}}};
  expected.num_replicas = 2;
  expected.min_replicas = 0;
  expected.max_replicas = 9;
  expected.autoscale = false;
  expected.num_cpus = 0.25;
  expected.memory_bytes = 1 << 20;
  expected.node_labels = {{"gpu", "1"}};
  expected.num_concurrency = 8;
  expected.timeout = 5000ms;
  expected.max_attempts = 2;
  expected.batch_size = 10;
  expected.log_level = "debug";
  expected.input_type = "order";
  expected.output_type = "priced";
  CHECK(spec == expected);
}

TEST_CASE("options that are not given have the defaults of the description") {
  processor_spec expected;
  expected.name = processor_name{"price"};
  expected.source = queue("in");
  expected.sink = queue("out");
  expected.input_type = "order";
  expected.output_type = "priced";
  CHECK(only(fed()) == expected);
}

TEST_CASE(
  "many coroutines of a consumer run side by side unless it says how many; other code asks for threads") {
  auto later = [](std::optional<std::uint32_t> given) {
    auto options = fed();
    options.num_concurrency = given;
    flow f{"orders"};
    f.consumer<price_later>("later", std::move(options));
    return f.spec().processors.at(0).num_concurrency;
  };
  CHECK(later(unset) == async_concurrency_default);
  CHECK(later(1) == 1);
  CHECK(later(7) == 7);
  CHECK(only(fed()).num_concurrency == 1);
  flow none{"orders"};
  auto options = fed();
  options.num_concurrency = 0;
  none.consumer<price_later>("later", std::move(options));
  CHECK(mistake(none) == "processor \"later\": num_concurrency: must be from 1 to 1024, is 0");
}

TEST_CASE("replica options that are not given follow from those that are") {
  CHECK(replicas_of(unset, unset, unset) == replicas{1, 1, 1});
  CHECK(replicas_of(4, unset, unset) == replicas{4, 1, 4});
  CHECK(replicas_of(unset, 2, unset) == replicas{2, 2, 2});
  CHECK(replicas_of(unset, unset, 10) == replicas{1, 1, 10});
  CHECK(replicas_of(unset, 0, unset) == replicas{1, 0, 1});
  CHECK(replicas_of(0, unset, unset) == replicas{0, 0, 1});
  CHECK(replicas_of(3, 2, unset) == replicas{3, 2, 3});
  CHECK(replicas_of(unset, 3, 5) == replicas{3, 3, 5});
  CHECK(replicas_of(2, 1, 10) == replicas{2, 1, 10});
}

TEST_CASE("contradicting replica options are refused, not bent") {
  auto told = [](auto num, auto min, auto max) {
    flow f{"orders"};
    auto options = fed();
    options.num_replicas = num;
    options.min_replicas = min;
    options.max_replicas = max;
    f.consumer<price>("price", options);
    return mistake(f);
  };
  CHECK(told(unset, 5, 3) == "processor \"price\": min_replicas: must not be above max_replicas (3), is 5");
  CHECK(told(4, unset, 3)
        == "processor \"price\": num_replicas: must be from min_replicas (1) to max_replicas (3), is 4");
  CHECK(told(1, 2, unset)
        == "processor \"price\": num_replicas: must be from min_replicas (2) to max_replicas (2), is 1");
  CHECK(told(unset, unset, 0) != "");
}

TEST_CASE("results need a sink, and nothing needs none") {
  flow f{"orders"};
  f.consumer<price>("price", {.source = queue("in")});
  CHECK(
    mistake(f)
    == "processor \"price\": sink: is missing; say where the results go, or sluice::empty() to drop them");
  flow g{"orders"};
  g.consumer<drop>("drop", {.source = queue("in"), .sink = queue("out")});
  CHECK(mistake(g) == "processor \"drop\": sink: must not be given, as the processor returns nothing");
  flow h{"orders"};
  h.consumer<drop>("drop", {.source = queue("in"), .sink = empty()});
  CHECK(mistake(h) == "");
}

TEST_CASE("mistakes of the flow as a whole are told") {
  CHECK(mistake(flow{"orders"}) == "flow \"orders\": has no processors");
  flow twice{"orders"};
  twice.consumer<price>("a", fed()).consumer<price>("a", fed());
  CHECK(mistake(twice) == "processor \"a\": name: is used twice in flow \"orders\"");
  flow unfed{"orders"};
  unfed.consumer<drop>("drop", {});
  CHECK(mistake(unfed) == "processor \"drop\": source: is missing");
}

TEST_CASE("a CSV is told which of its columns are text, which are values, by the type of the record") {
  flow f{"sales"};
  f.consumer<sold>("csv", {.source = file("a.csv")});
  f.consumer<sold>("jsonl", {.source = file("a.jsonl")});
  const auto& spec = f.spec();
  CHECK(spec.processors[0].source.options.at("text_columns") == "city,note,shade");
  CHECK(spec.processors[0].source.options.at("text_columns_with_empty") == "city");
  CHECK(spec.processors[0].source.options.at("value_columns") == "count,paid,took");
  CHECK(!spec.processors[1].source.options.contains("text_columns"));
  CHECK(!spec.processors[1].source.options.contains("value_columns"));
}

TEST_CASE("sources and sinks are kinds with options") {
  CHECK(queue("q") == io_spec{"queue", {{"name", "q"}}});
  CHECK(file("a.jsonl") == io_spec{"file", {{"path", "a.jsonl"}, {"format", "jsonl"}}});
  CHECK(file("a.csv") == io_spec{"file", {{"path", "a.csv"}, {"format", "csv"}}});
  CHECK(file("a.txt", {.format = file_format::csv, .tail = true})
        == io_spec{"file", {{"path", "a.txt"}, {"format", "csv"}, {"tail", "true"}}});
  CHECK(pulse(2s) == io_spec{"pulse", {{"interval_ms", "2000"}}});
  CHECK(standard_output() == io_spec{"stdout", {}});
  CHECK(empty() == io_spec{"empty", {}});
}

TEST_CASE("a pulse of no time is refused when the flow is built") {
  flow f{"orders"};
  f.consumer<drop>("drop", {.source = pulse(0ms)});
  CHECK(mistake(f) == "processor \"drop\": source: a pulse needs an interval of at least 1 ms");
}
