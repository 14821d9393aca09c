// Goal: numbers, tables and messages are shown as people read them, and cannot break a terminal.
#include "runtime/cli/format.hpp"
#include "runtime/cli/payload.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/table.hpp"
#include "proto/sluice/control/v1/control.pb.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

using namespace sluice;
using namespace sluice::cli;
namespace api = sluice::control::v1;

TEST_CASE("counts have commas between thousands") {
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(1000) == "1,000");
  CHECK(count_text(1234567) == "1,234,567");
  CHECK(short_count_text(9'999'999) == "9,999,999");
  CHECK(short_count_text(10'000'000) == "10.0M");
  CHECK(short_count_text(999'949'999) == "999.9M");
  CHECK(short_count_text(999'950'000) == "1.0G");
  CHECK(short_count_text(2'500'000'000'000) == "2.5T");
  CHECK(count_text(~0ull) == "18,446,744,073,709,551,615");
}

TEST_CASE("rates keep about three digits") {
  CHECK(rate_text(0) == "0/s");
  CHECK(rate_text(std::nan("")) == "0/s");
  CHECK(rate_text(0.25) == "0.2/s");
  CHECK(rate_text(9.96) == "10/s");
  CHECK(rate_text(950.4) == "950/s");
  CHECK(rate_text(12'345) == "12.3k/s");
  CHECK(rate_text(2'500'000) == "2.5M/s");
}

TEST_CASE("bytes have binary units") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1024) == "1.0 KiB");
  CHECK(bytes_text((1u << 20) - 1) == "1.0 MiB");
  CHECK(bytes_text(5ull << 40) == "5.0 TiB");
  CHECK(bytes_text(5000ull << 40) == "5000.0 TiB");
}

TEST_CASE("latencies are told in the unit that fits") {
  CHECK(latency_text(0) == "-");
  CHECK(latency_text(999) == "999us");
  CHECK(latency_text(1'250) == "1.2ms");
  CHECK(latency_text(30'000'000) == "30.0s");
}

TEST_CASE("spans use the two largest units") {
  CHECK(span_text(0) == "0.0s");
  CHECK(span_text(320) == "0.3s");
  CHECK(span_text(9'949) == "9.9s");
  CHECK(span_text(9'960) == "10s");
  CHECK(span_text(59'600) == "1m00s");
  CHECK(span_text(192'000) == "3m12s");
  CHECK(span_text(5 * 3600'000 + 120'000) == "5h02m");
  CHECK(span_text(76ull * 3600'000) == "3d04h");
}

TEST_CASE("CPUs have no zeros at their end") {
  CHECK(cpus_text(2) == "2");
  CHECK(cpus_text(10) == "10");
  CHECK(cpus_text(0.5) == "0.5");
  CHECK(cpus_text(0) == "0");
}

TEST_CASE("widths count what is shown") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("gr\xc3\xbc\xc3\x9f") == 4);
  CHECK(display_width("\xe6\xb0\xb4") == 2); // a wide character
  CHECK(display_width("e\xcc\x81") == 1);    // a combining accent
  CHECK(display_width("\x1b") == 0);
  CHECK(display_width("\xff") == 1);
}

TEST_CASE("text is cut to its width with a sign that something is missing") {
  CHECK(fit("abcdef", 0) == "abcdef");
  CHECK(fit("abcdef", 6) == "abcdef");
  CHECK(fit("abcdef", 4) == "abc\xe2\x80\xa6");
  CHECK(fit("\xe6\xb0\xb4\xe6\xb0\xb4", 3) == "\xe6\xb0\xb4\xe2\x80\xa6");
}

TEST_CASE("text of others cannot move the cursor or begin a line") {
  CHECK(fit("a\nb\x1b[2Jc\r", 0) == "a b [2Jc");
  CHECK(fit("\xc2\x9b", 0).empty()); // an eight-bit escape
}

TEST_CASE("columns are as wide as what is in them, with no blanks at a line's end") {
  table rows{{{"NAME"}, {"COUNT", align::right}, {"DETAIL", align::left, true}}};
  rows.add({"a", "5", ""});
  rows.add({"longer", "1,000", "why"});
  std::ostringstream to;
  rows.print(to, {});
  CHECK(to.str()
        == "NAME    COUNT  DETAIL\n"
           "a           5\n"
           "longer  1,000  why\n");
}

TEST_CASE("a narrow terminal shortens the elastic columns only") {
  table rows{{{"NAME"}, {"DETAIL", align::left, true}, {"END"}}};
  rows.add({"a-name-that-stays", std::string(50, 'x'), "end"});
  std::ostringstream to;
  rows.print(to, {.is_terminal = true, .width = 40});
  CHECK(to.str()
        == "NAME               DETAIL            END\n"
           "a-name-that-stays  "
             + std::string(15, 'x') + "\xe2\x80\xa6  end\n");
}

TEST_CASE("columns are left out by importance, and what fits in their place comes back") {
  table rows{{{"ID"},
              {"WIDE", align::left, false, 1},
              {"LONG", align::left, false, 2},
              {"N", align::right, false, 3}}};
  rows.add({"an-id", std::string(12, 'w'), std::string(12, 'l'), "7"});
  const auto at = [&](std::size_t width) {
    std::ostringstream to;
    rows.print(to, {.is_terminal = true, .width = width});
    return to.str();
  };
  CHECK(at(36).find("an-id  wwwwwwwwwwww  llllllllllll  7\n") != std::string::npos);
  CHECK(at(35).find("an-id  wwwwwwwwwwww  llllllllllll\n") != std::string::npos);
  CHECK(at(32).find("an-id  wwwwwwwwwwww  7\n") != std::string::npos);
  CHECK(at(21).find("an-id  wwwwwwwwwwww\n") != std::string::npos);
  CHECK(at(18).find("an-id  7\n") != std::string::npos);
}

TEST_CASE("what may not be left out is cut, the first column last, and no line is wider") {
  table rows{{{"IDENTIFIER"}, {"PHASE"}, {"DETAIL", align::left, true}, {"COUNT", align::right}}};
  rows.add({"0123456789", "running", std::string(40, 'x'), "123,456,789"});
  const auto at = [&](std::size_t width) {
    std::ostringstream to;
    rows.print(to, {.is_terminal = true, .width = width});
    return to.str();
  };
  CHECK(at(34)
        == "IDENTIFIER  PHASE   DETAIL   COUNT\n"
           "0123456789  runni\xe2\x80\xa6  xxxxx\xe2\x80\xa6  123,4\xe2\x80\xa6\n");
  for (std::size_t width = 1; width < 80; ++width) {
    std::istringstream lines{at(width)};
    for (std::string line; std::getline(lines, line);)
      CHECK_MESSAGE(display_width(line) <= width, line);
  }
}

TEST_CASE("colours are there only where the stream has them") {
  CHECK(style({}).phase("dead") == "dead");
  CHECK(style({.colours = true}).phase("dead") == "\x1b[31mdead\x1b[0m");
  CHECK(style({.colours = true}).phase("drained") == "drained");
}

TEST_CASE("messages become JSON with the field names of the API") {
  api::Queue queue;
  queue.set_name("a \"b\"");
  queue.set_depth_count(9'007'199'254'740'993ull);
  auto json = to_json(queue);
  CHECK(json.find("\"name\": \"a \\\"b\\\"\"") != std::string::npos);
  CHECK(json.find("\"depth_count\": 9007199254740993") != std::string::npos);
  CHECK(json.find("\"dead_count\": 0") != std::string::npos);
  CHECK(json.back() == '\n');
}

TEST_CASE("optional fields are left out where they are not set, lists are not") {
  api::Processor processor;
  processor.set_rate_per_s(INFINITY);
  auto json = to_json(processor);
  CHECK(json.find("backlog_count") == std::string::npos);
  CHECK(json.find("\"rate_per_s\": null") != std::string::npos);
  processor.set_backlog_count(0);
  CHECK(to_json(processor).find("\"backlog_count\": 0") != std::string::npos);
  CHECK(to_json(api::SnapshotReply{}).find("\"flows\": []") != std::string::npos);
  CHECK(to_json(std::vector<const google::protobuf::Message*>{}) == "[]\n");
}

TEST_CASE("maps are in order of their keys, bytes are text or base64") {
  api::Node node;
  (*node.mutable_labels())["z"] = "1";
  (*node.mutable_labels())["a"] = "2";
  auto json = to_json(node);
  CHECK(json.find("\"a\"") < json.find("\"z\""));
  api::QueueRecord record;
  record.set_payload("{}");
  CHECK(to_json(record).find("\"payload\": \"{}\"") != std::string::npos);
  record.set_payload("\xff");
  CHECK(to_json(record).find("\"base64\": \"/w==\"") != std::string::npos);
}

TEST_CASE("lines show what is set, dates as dates, and nothing that moves the cursor") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  api::Host host;
  host.set_id("x");
  host.mutable_last_crash()->set_reason("line one\nline \x1b[2Jtwo");
  host.mutable_last_crash()->set_at_unix_ms(86'400'000);
  host.mutable_last_crash()->add_log_tail("last words");
  CHECK(to_lines(host)
        == "id: x\n"
           "last_crash:\n"
           "  at: 1970-01-02 00:00:00\n"
           "  reason:\n"
           "    line one\n"
           "    line  [2Jtwo\n"
           "  log_tail:\n"
           "    last words\n");
}

TEST_CASE("lines leave out a part of which nothing is set") {
  api::Processor processor;
  processor.set_name("show");
  processor.mutable_spec()->mutable_source();
  processor.mutable_requests();
  CHECK(to_lines(processor) == "name: show\n");
  processor.mutable_spec()->set_pattern("endpoint");
  CHECK(to_lines(processor) == "name: show\nspec:\n  pattern: endpoint\n");
}

TEST_CASE("fields are found by path") {
  api::Processor processor;
  processor.mutable_spec()->mutable_source()->set_kind("queue");
  (*processor.mutable_spec()->mutable_source()->mutable_options())["name"] = "in";
  CHECK(field_text(processor, "spec.source.kind") == "queue");
  CHECK(field_text(processor, "spec.source.options.name") == "in");
  CHECK(field_text(processor, "spec.source.options.other") == "");
  CHECK(field_text(processor, "replicas_desired") == "0");
  for (auto path : {"", "nothing", "spec", "spec.nothing", "name.x", "spec."})
    CHECK_FALSE(field_text(processor, path));
}

TEST_CASE("a payload becomes one line of JSON whatever it is") {
  CHECK(to_json_line("{\"a\": 1}") == "{\"a\": 1}");
  CHECK(to_json_line("{\n\"a\":\n1}") == "{ \"a\": 1}");
  CHECK(to_json_line("plain text") == "\"plain text\"");
  CHECK(to_json_line("") == "\"\"");
  CHECK(to_json_line("\xff") == "{\"base64\":\"/w==\"}");
}

TEST_CASE("what is not one JSON value is refused") {
  for (auto good : {"1", "null", "\"x\"", " {\"a\": [1, 2]} "})
    CHECK(check_json(good));
  for (auto bad : {"", "{", "{\"a\":}", "1 2", "nul", "'x'", "{\"a\":1,}", "NaN", "\"\xff\""})
    CHECK_FALSE(check_json(bad));
}
