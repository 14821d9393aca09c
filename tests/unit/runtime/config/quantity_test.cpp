// Goal: amounts are read as people write them, and what cannot be one is refused.
#include "runtime/config/quantity.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::config;
using namespace std::chrono_literals;

TEST_CASE("sizes are read with and without units") {
  CHECK(*parse_size("0") == 0);
  CHECK(*parse_size("1048576") == 1048576);
  CHECK(*parse_size("8GiB") == 8ull << 30);
  CHECK(*parse_size("8 GiB") == 8ull << 30);
  CHECK(*parse_size("512M") == 512ull << 20);
  CHECK(*parse_size("2KB") == 2048);
  CHECK(*parse_size("1.5G") == 3ull << 29);
  CHECK(*parse_size("1Ti") == 1ull << 40);
  CHECK(*parse_size("12B") == 12);
}

TEST_CASE("what is no size is refused") {
  for (auto text : {"", "GiB", "-1", "8XB", "8GiBs", "nan", "inf", "1e40", "9999999T", "8 G B"})
    CHECK_FALSE(parse_size(text));
  CHECK(parse_size("8XB").error().code == errc::invalid_argument);
}

TEST_CASE("spans are read, a bare number is seconds") {
  CHECK(*parse_duration("500ms") == 500ms);
  CHECK(*parse_duration("30") == 30s);
  CHECK(*parse_duration("30s") == 30s);
  CHECK(*parse_duration("5m") == 5min);
  CHECK(*parse_duration("2h") == 2h);
  CHECK(*parse_duration("0.5s") == 500ms);
  for (auto text : {"", "s", "-1s", "1d", "1 fortnight", "9999999h", "nan"})
    CHECK_FALSE(parse_duration(text));
}

TEST_CASE("labels are pairs with commas between") {
  CHECK(parse_labels("")->empty());
  CHECK(*parse_labels("zone=a") == std::map<std::string, std::string>{{"zone", "a"}});
  CHECK(*parse_labels("zone=a, disk=") == std::map<std::string, std::string>{{"disk", ""}, {"zone", "a"}});
  CHECK(parse_labels("x=a=b")->at("x") == "a=b");
  for (auto text : {"zone", "=a", "zone=a,zone=b", "zone=a,,b=c"})
    CHECK_FALSE(parse_labels(text));
}

TEST_CASE("counts keep their bounds") {
  CHECK(*parse_count("0", 0, 10) == 0);
  CHECK(*parse_count("10", 0, 10) == 10);
  for (auto text : {"", "11", "-1", "1.5", "0x1", "1 ", " 1", "99999999999999999999"})
    CHECK_FALSE(parse_count(text, 0, 10));
  CHECK_FALSE(parse_count("0", 1, 10));
}

TEST_CASE("CPUs are a number above zero") {
  CHECK(*parse_cpus("0.5") == 0.5);
  CHECK(*parse_cpus("4") == 4);
  for (auto text : {"", "0", "-1", "four", "1 core", "nan", "inf"})
    CHECK_FALSE(parse_cpus(text));
}
