#include "tests/support/sink_conformance.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace sluice::testing {

namespace {

std::string result_text(int n, const std::string& text = "a") {
  return "{\"n\":" + std::to_string(n) + ",\"text\":\"" + text + "\"}";
}

record_block block_of(const std::vector<std::string>& results) {
  record_block_builder made;
  std::uint64_t seq = 0;
  for (const auto& each : results)
    made.add(++seq, 0, each);
  return made.finish();
}

void expect(const sink_case& kind, const std::vector<std::string>& wanted) {
  CHECK(kind.contents() == (kind.keeps ? wanted : std::vector<std::string>{}));
}

void writes_all_in_order(const sink_case& kind) {
  auto to = kind.make();
  REQUIRE(to->open());
  REQUIRE(to->push(block_of({result_text(1), result_text(2)})));
  expect(kind, {result_text(1), result_text(2)});
  REQUIRE(to->push(block_of({result_text(3)})));
  REQUIRE(to->close());
  expect(kind, {result_text(1), result_text(2), result_text(3)});
}

void takes_an_empty_push(const sink_case& kind) {
  auto to = kind.make();
  REQUIRE(to->open());
  REQUIRE(to->push(record_block{}));
  expect(kind, {});
}

void goes_on_where_another_ended(const sink_case& kind) {
  for (int i = 1; i <= 3; ++i) {
    auto to = kind.make();
    REQUIRE(to->open());
    REQUIRE(to->push(block_of({result_text(i)})));
    if (i != 2) // one dies without closing
      REQUIRE(to->close());
  }
  expect(kind, {result_text(1), result_text(2), result_text(3)});
}

void shares_its_target(const sink_case& kind) {
  auto one = kind.make();
  auto other = kind.make();
  REQUIRE(one->open());
  REQUIRE(one->push(block_of({result_text(1)})));
  REQUIRE(other->open());
  REQUIRE(other->push(block_of({result_text(2)})));
  REQUIRE(one->push(block_of({result_text(3)})));
  expect(kind, {result_text(1), result_text(2), result_text(3)});
}

void takes_what_is_large_and_odd(const sink_case& kind) {
  auto to = kind.make();
  REQUIRE(to->open());
  const std::vector<std::string> odd{result_text(1, std::string(300'000, 'x')),
                                     result_text(2, "a,b"),
                                     result_text(3, "say \\\"hi\\\""),
                                     result_text(4, "12"),
                                     result_text(5, ""),
                                     result_text(6, "\xc3\xa4\xe2\x82\xac"),
                                     result_text(7, "true")};
  REQUIRE(to->push(block_of(odd)));
  expect(kind, odd);
}

} // namespace

void check_sink(const sink_case& kind) {
  SUBCASE("writes all of a push, in order") { writes_all_in_order(kind); }
  SUBCASE("takes an empty push") { takes_an_empty_push(kind); }
  SUBCASE("goes on where another one ended") { goes_on_where_another_ended(kind); }
  SUBCASE("shares its target with another") { shares_its_target(kind); }
  SUBCASE("takes results that are large or look odd") { takes_what_is_large_and_odd(kind); }
}

} // namespace sluice::testing
