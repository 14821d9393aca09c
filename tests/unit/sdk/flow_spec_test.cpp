// Goal: a description says exactly what the flow says, a wrong one is refused with the
// place and the rule, and no text from outside does harm.

#include <sluice/flow_spec.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <random>
#include <string>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

processor_spec plain(std::string name = "price") {
  processor_spec spec;
  spec.name = processor_name{std::move(name)};
  spec.source = {"queue", {{"name", "orders"}}};
  spec.sink = {"empty", {}};
  return spec;
}

flow_spec flow_of(processor_spec processor) { return {flow_name{"orders"}, "0.1.0", {std::move(processor)}}; }

/// What `check` says after one change to a good processor.
std::string mistake(const std::function<void(processor_spec&)>& change) {
  auto processor = plain();
  change(processor);
  auto checked = check(flow_of(processor));
  if (checked)
    return "";
  CHECK(checked.error().code == errc::invalid_argument);
  return checked.error().message;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

std::string read_error(std::string_view text) {
  auto spec = flow_spec_from_json(text);
  if (spec)
    return "";
  CHECK(spec.error().code == errc::invalid_argument);
  return spec.error().message;
}

} // namespace

TEST_CASE("a plain flow passes") { CHECK(check(flow_of(plain()))); }

TEST_CASE("names of flows and processors are checked") {
  flow_spec spec = flow_of(plain());
  spec.name.value = "Orders";
  CHECK(check(spec).error().message.starts_with("flow \"Orders\": a name has 1 to 63"));
  CHECK(mistake([](auto& p) { p.name.value = ""; }).starts_with("processor \"\": a name has"));
  CHECK(mistake([](auto& p) { p.name.value = "a b"; }).starts_with("processor \"a b\": a name has"));
}

TEST_CASE("a flow needs a processor") {
  CHECK(check({flow_name{"orders"}, "", {}}).error().message == "flow \"orders\": has no processors");
}

TEST_CASE("two processors of one name are refused") {
  flow_spec spec{flow_name{"orders"}, "", {plain("a"), plain("b"), plain("a")}};
  CHECK(check(spec).error().message == "processor \"a\": name: is used twice in flow \"orders\"");
}

TEST_CASE("a mistake names the processor, the option and the rule") {
  CHECK(mistake([](auto& p) { p.source = {}; }) == "processor \"price\": source: is missing");
  CHECK(mistake([](auto& p) { p.sink = {}; }) == "processor \"price\": sink: is missing");
  CHECK(mistake([](auto& p) { p.min_replicas = 2; })
        == "processor \"price\": min_replicas: must not be above max_replicas (1), is 2");
  CHECK(mistake([](auto& p) { p.num_replicas = 2; })
        == "processor \"price\": num_replicas: must be from min_replicas (1) to max_replicas (1), is 2");
  CHECK(mistake([](auto& p) { p.num_replicas = 0; })
        == "processor \"price\": num_replicas: must be from min_replicas (1) to max_replicas (1), is 0");
  CHECK(mistake([](auto& p) { p.max_replicas = 0; })
        == "processor \"price\": max_replicas: must be from 1 to 10000, is 0");
  CHECK(mistake([](auto& p) { p.max_replicas = 10001; })
        == "processor \"price\": max_replicas: must be from 1 to 10000, is 10001");
  CHECK(mistake([](auto& p) { p.num_concurrency = 0; })
        == "processor \"price\": num_concurrency: must be from 1 to 1024, is 0");
  CHECK(mistake([](auto& p) { p.max_attempts = 0; })
        == "processor \"price\": max_attempts: must be from 1 to 1000, is 0");
  CHECK(mistake([](auto& p) { p.batch_size = 0; })
        == "processor \"price\": batch_size: must be from 1 to 4096, is 0");
  CHECK(mistake([](auto& p) { p.batch_size = 4097; })
        == "processor \"price\": batch_size: must be from 1 to 4096, is 4097");
  CHECK(mistake([](auto& p) {
          p.node_labels = {{"a,b", "1"}};
        })
        == "processor \"price\": node_labels: \"a,b=1\" is no label that a node can have: KEY=VALUE without "
           "commas, up to 256 bytes each");
  CHECK_FALSE(mistake([](auto& p) { p.node_labels = {{"", "1"}}; }).empty());
  CHECK(mistake([](auto& p) { p.node_labels = {{"gpu", "a=b"}, {"disk", ""}}; }) == "");
  CHECK(mistake([](auto& p) { p.timeout = -1ms; }) == "processor \"price\": timeout: must not be negative");
  CHECK(mistake([](auto& p) { p.log_level = "loud"; })
        == "processor \"price\": log_level: must be trace, debug, info, warn or error, is \"loud\"");
  CHECK(mistake([](auto& p) {
          p.num_cpus = -0.5;
        }).starts_with("processor \"price\": num_cpus: must be from 0 to 1024"));
}

TEST_CASE("processor counts that are no numbers are refused") {
  CHECK_FALSE(mistake([](auto& p) { p.num_cpus = std::numeric_limits<double>::quiet_NaN(); }).empty());
  CHECK_FALSE(mistake([](auto& p) { p.num_cpus = std::numeric_limits<double>::infinity(); }).empty());
}

TEST_CASE("values at the bounds pass") {
  CHECK(mistake([](auto& p) {
          p.min_replicas = 0;
          p.num_replicas = 0;
          p.max_replicas = 10000;
          p.num_concurrency = 1024;
          p.max_attempts = 1000;
          p.batch_size = 4096;
          p.num_cpus = 0;
          p.timeout = 0ms;
        })
        == "");
}

TEST_CASE("a queue needs a good name, a file a path") {
  CHECK(mistake([](auto& p) {
          p.source.options.clear();
        }).starts_with("processor \"price\": source: a queue's name has"));
  CHECK(mistake([](auto& p) {
          p.sink = {"queue", {{"name", "A"}}};
        }).find("sink: a queue's name has")
        != std::string::npos);
  CHECK(mistake([](auto& p) {
          p.source = {"file", {}};
        })
        == "processor \"price\": source: a file needs a path");
  CHECK(mistake([](auto& p) {
          p.sink = {"file", {{"path", ""}}};
        })
        == "processor \"price\": sink: a file needs a path");
}

TEST_CASE("what only comes is no sink, and the queues of batches are theirs") {
  CHECK(mistake([](auto& p) {
          p.sink = {"pulse", {{"interval_ms", "5"}}};
        })
        == "processor \"price\": sink: a pulse only comes, nothing goes into it; it is a source");
  for (auto end : {&processor_spec::source, &processor_spec::sink})
    CHECK(mistake([&](auto& p) {
            p.*end = {"queue", {{"name", "batch.sales.sum"}}};
          }).find("names of queues that begin with \"batch.\" are those of batches")
          != std::string::npos);
}

TEST_CASE("a pulse needs an interval above zero") {
  for (const char* interval : {"", "0", "000", "-5", "1s", "1.5"})
    CHECK(mistake([&](auto& p) {
            p.source = {"pulse", {{"interval_ms", interval}}};
          })
          == "processor \"price\": source: a pulse needs an interval of at least 1 ms");
  CHECK(mistake([](auto& p) { p.source = {"pulse", {}}; }).find("a pulse needs") != std::string::npos);
  CHECK(mistake([](auto& p) { p.source = {"pulse", {{"interval_ms", "1"}}}; }) == "");
}

TEST_CASE("a source whose position has one owner takes one replica") {
  for (const char* kind : {"file", "pulse"}) {
    auto source = io_spec{kind, {{"path", "in"}, {"interval_ms", "100"}}};
    CHECK(
      mistake([&](auto& p) {
        p.source = source;
        p.max_replicas = 2;
      }).starts_with("processor \"price\": max_replicas: must be 1 with a " + std::string{kind} + " source"));
    CHECK(
      mistake([&](auto& p) {
        p.source = source;
        p.min_replicas = 0;
        p.num_replicas = 0;
      }).starts_with("processor \"price\": num_replicas: must be 1 with a " + std::string{kind} + " source"));
    CHECK(mistake([&](auto& p) { p.source = source; }) == "");
  }
  CHECK(mistake([](auto& p) {
          p.sink = {"file", {{"path", "out"}}};
          p.max_replicas = 2;
        })
        == ""); // a file as sink may have several writers' replicas
}

TEST_CASE("options are bounded in number, name and size") {
  CHECK_FALSE(mistake([](auto& p) {
                for (int i = 0; i < 65; ++i)
                  p.sink.options.emplace("option-" + std::to_string(i), "");
              }).empty());
  CHECK_FALSE(mistake([](auto& p) { p.sink.options["a b"] = ""; }).empty());
  CHECK_FALSE(mistake([](auto& p) { p.sink.options["a"] = std::string(4097, 'x'); }).empty());
  CHECK(mistake([](auto& p) { p.sink.options["a"] = std::string(4096, 'x'); }).empty());
}

TEST_CASE("patterns have names") {
  CHECK(to_string(pattern::consumer) == "consumer");
  CHECK(to_string(pattern::batch) == "batch");
  CHECK(to_string(static_cast<pattern>(99)) == "unknown");
}

TEST_CASE("a description reads back as the same flow") {
  processor_spec full = plain("full");
  full.kind = pattern::collector;
  full.source = {"file", {{"path", "/tmp/\"quoted\"\n\xc3\xa4"}, {"format", "csv"}}};
  full.num_replicas = 3;
  full.min_replicas = 0;
  full.max_replicas = 4294967295u;
  full.autoscale = false;
  full.num_cpus = 0.1 + 0.2;
  full.memory_bytes = 18446744073709551615u;
  full.node_labels = {{"gpu", "1"}, {"disk", ""}};
  full.num_concurrency = 17;
  full.timeout = std::chrono::milliseconds{9223372036854775807};
  full.max_attempts = 9;
  full.batch_size = 12;
  full.log_level = "debug";
  full.input_type = "order";
  full.output_type = "list of priced";
  flow_spec spec{flow_name{"orders"}, "0.1.0", {plain(), full}};
  auto again = flow_spec_from_json(to_json(spec));
  REQUIRE(again);
  CHECK(*again == spec);
}

TEST_CASE("any number of CPUs reads back exactly") {
  std::mt19937_64 random{7};
  for (int round = 0; round < 500; ++round) {
    auto spec = flow_of(plain());
    spec.processors[0].num_cpus = static_cast<double>(random()) / static_cast<double>(random() | 1);
    CHECK(flow_spec_from_json(to_json(spec)) == spec);
  }
}

TEST_CASE("the description is laid out for people, version first") {
  auto text = to_json(flow_of(plain()));
  CHECK(text.starts_with("{\n  \"sluice\": \"0.1.0\",\n  \"flow\": {\n    \"name\": \"orders\",\n"));
  CHECK(text.ends_with("\n}\n"));
}

TEST_CASE("missing options take their defaults, unknown members are ignored") {
  auto spec = flow_spec_from_json(R"({"sluice":"9","later":[{}],"flow":{"name":"f","processors":[
    {"name":"p","source":{"kind":"queue","options":{"name":"q"},"x":1},"sink":{"kind":"empty"},"y":{"z":[1]}}]}})");
  REQUIRE(spec);
  processor_spec expected;
  expected.name = processor_name{"p"};
  expected.source = {"queue", {{"name", "q"}}};
  expected.sink = {"empty", {}};
  CHECK(*spec == flow_spec{flow_name{"f"}, "9", {expected}});
}

TEST_CASE("a wrong member is named with its path") {
  auto text = to_json(flow_of(plain()));
  CHECK(read_error("[]") == "description: expected object, got array");
  CHECK(read_error("{}") == "description.sluice: missing, expected string");
  CHECK(read_error(R"({"sluice":"0"})") == "description.flow: missing, expected object");
  CHECK(read_error(replaced(text, "\"num_replicas\": 1", "\"num_replicas\": \"1\""))
        == "description.flow.processors[0].num_replicas: expected integer, got string");
  CHECK(read_error(replaced(text, "\"num_replicas\": 1", "\"num_replicas\": -1"))
        == "description.flow.processors[0].num_replicas: expected integer from 0 to 4294967295, got -1");
  CHECK(read_error(replaced(text, "\"consumer\"", "\"producer\""))
        == "description.flow.processors[0].pattern: expected one of consumer, endpoint, collector, "
           "websocket, batch, "
           "got \"producer\"");
  CHECK(read_error(replaced(text, "\"name\": \"price\",", ""))
        == "description.flow.processors[0].name: missing, expected string");
  CHECK(read_error(replaced(text, "\"orders\"\n", "7\n"))
        == "description.flow.processors[0].source.options.name: expected string, got number");
}

TEST_CASE("what is no JSON is refused with the place") {
  CHECK(read_error("") == "description: not valid JSON at byte 0: expected object, got the end of the text");
  CHECK(read_error("usage: orders [OPTIONS]") == "description: not valid JSON at byte 0: expected object");
  auto text = to_json(flow_of(plain()));
  for (std::size_t size = 0; size + 2 < text.size(); ++size)
    CHECK_FALSE(flow_spec_from_json(text.substr(0, size)));
  CHECK_FALSE(flow_spec_from_json(text + "x"));
}

TEST_CASE("a description is bounded in size and depth") {
  CHECK(read_error(std::string(limits::flow_spec_bytes_max + 1, ' ')) == "flow: longer than 4194304 bytes");
  CHECK_FALSE(flow_spec_from_json(std::string(1'000'000, '[')));
  CHECK_FALSE(flow_spec_from_json("{\"x\":" + std::string(1'000'000, '[')));
}

TEST_CASE("mutated descriptions are refused or read, and what is read can be written again") {
  std::mt19937 random{3};
  auto text = to_json(flow_of(plain()));
  constexpr std::string_view tokens[] = {"{",  "}",    "[",     "]", ",",    ":", "\"",
                                         "\\", "null", "1e999", "-", "\xff", "0"};
  int read_count = 0;
  for (int round = 0; round < 4000; ++round) {
    auto mutant = text;
    for (auto changes = random() % 3 + 1; changes > 0; --changes) {
      auto at = random() % mutant.size();
      if (random() % 2 == 0)
        mutant[at] = static_cast<char>(random());
      else
        mutant.replace(at, random() % 4, tokens[random() % std::size(tokens)]);
    }
    auto spec = flow_spec_from_json(mutant);
    if (!spec) {
      CHECK_FALSE(spec.error().message.empty());
      continue;
    }
    ++read_count;
    CHECK(flow_spec_from_json(to_json(*spec)) == *spec);
  }
  CHECK(read_count > 0);
}
