#include "runtime/run_options.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;

namespace {

std::string mistake(const std::vector<std::string>& args) {
  auto parsed = parse_run_options(args);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == errc::invalid_argument);
  return parsed.error().message;
}

} // namespace

TEST_CASE("without options a flow runs by hand in its default place") {
  auto parsed = parse_run_options({});
  REQUIRE(parsed);
  CHECK(parsed->mode == run_mode::local);
  CHECK(parsed->state_dir.empty());
  CHECK(parsed->feeds.empty());
}

TEST_CASE("options take their value behind a = or as the next argument") {
  auto parsed = parse_run_options({"--state-dir", "a b", "--put=orders=x=y.jsonl", "--put", "more=-"});
  REQUIRE(parsed);
  CHECK(parsed->state_dir == "a b");
  REQUIRE(parsed->feeds.size() == 2);
  CHECK(parsed->feeds[0].queue == "orders");
  CHECK(parsed->feeds[0].file == "x=y.jsonl");
  CHECK(parsed->feeds[1].file == "-");
}

TEST_CASE("describe and help win over everything before --") {
  CHECK(parse_run_options({"--what", "--describe"})->mode == run_mode::describe);
  CHECK(parse_run_options({"--what", "--help"})->mode == run_mode::help);
  CHECK(parse_run_options({"-h"})->mode == run_mode::help);
  CHECK(parse_run_options({"--", "--describe"})->mode == run_mode::local);
}

TEST_CASE("what follows -- is the program's own") {
  auto parsed = parse_run_options({"--state-dir=d", "--", "--region", "eu"});
  REQUIRE(parsed);
  CHECK(parsed->state_dir == "d");
}

TEST_CASE("mistakes are named") {
  CHECK(mistake({"--stat-dir=x"}).find("unknown option '--stat-dir=x'") == 0);
  CHECK(mistake({"orders.jsonl"}).find("unknown option 'orders.jsonl'") == 0);
  CHECK(mistake({"--state-dir"}) == "--state-dir needs a value");
  CHECK(mistake({"--state-dir="}) == "--state-dir needs a value");
  CHECK(mistake({"--put", "orders"}).find("--put takes QUEUE=FILE") == 0);
  CHECK(mistake({"--put", "orders="}).find("--put takes QUEUE=FILE") == 0);
  CHECK(mistake({"--put", "No Name=x"})
        == "--put: 'No Name' is no name of a queue: one has 1 to 63 lower-case letters, digits, '-', '_' and "
           "'.', "
           "and begins with a letter or digit, for example orders-2");
  CHECK(mistake({"--put", "a=-", "--put", "b=-"}) == "--put: only one queue can be fed from standard input");
  CHECK(mistake({"--put", "a=x", "--peek", "a"}).find("--peek") == 0);
  CHECK(mistake({"--requeue", "a", "--dead-letters"}).find("--requeue") != std::string::npos);
}

TEST_CASE("the help says the four ways") {
  const auto help = run_help("orders", "orders");
  for (const char* part :
       {"four ways", "sluice submit orders", "--describe", "--put QUEUE=FILE", "local/orders\n", "130"})
    CHECK_MESSAGE(help.find(part) != std::string::npos, part);
}

TEST_CASE("dead letters are printed, or put back") {
  CHECK(parse_run_options({"--dead-letters"}).value().mode == run_mode::dead_letters);
  const auto back = parse_run_options({"--requeue", "a", "--requeue=b"}).value();
  CHECK(back.mode == run_mode::local);
  CHECK(back.requeues == std::vector<std::string>{"a", "b"});
}

TEST_CASE("--restart takes no value") {
  CHECK_FALSE(parse_run_options({}).value().restart);
  auto options = parse_run_options({"--restart", "--state-dir", "x"});
  REQUIRE(options.has_value());
  CHECK(options->restart);
  CHECK(options->state_dir == "x");
}

TEST_CASE("options that do nothing for a flow are named") {
  flow_spec spec;
  processor_spec plain;
  plain.name = processor_name{"work"};
  spec.processors = {plain};
  const auto said = [&](const std::vector<std::string>& args) {
    return idle_options(parse_run_options(args).value(), spec);
  };
  using texts = std::vector<std::string>;
  CHECK(said({}).empty());
  CHECK(said({"--http", "127.0.0.1:0"}) == texts{"--http has no effect: this flow has no routes"});
  CHECK(said({"--access-log=x"}) == texts{"--access-log has no effect: this flow has no routes"});
  CHECK(said({"--restart"}) == texts{"--restart has no effect: this flow has no batches"});
  CHECK(said({"--put", "in=x"}) == texts{"--put in: no processor of this flow reads that queue"});
  spec.processors[0].source = {"queue", {{"name", "in"}}};
  CHECK(said({"--put", "in=x"}).empty());
  spec.processors[0].http.emplace();
  CHECK(said({"--http", "127.0.0.1:0", "--access-log=x"}).empty());
  spec.processors[0].kind = pattern::batch;
  CHECK(said({"--restart"}).empty());
}
