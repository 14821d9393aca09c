#include "tests/support/source_conformance.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <utility>
#include <vector>

namespace sluice::testing {

namespace {

using namespace std::chrono_literals;
using taken = std::vector<std::pair<std::uint64_t, std::string>>;

/// Pulls until `count` records have come or the source gives none.
taken pull_all(source& from, std::size_t count, std::uint32_t count_max = 100) {
  taken out;
  while (out.size() < count) {
    auto got = from.pull(count_max, 2000ms);
    REQUIRE_MESSAGE(got.has_value(), (got ? "" : got.error().message));
    CHECK(got->records.count() <= count_max);
    if (got->records.empty())
      break;
    for (auto record : got->records)
      out.emplace_back(record.seq, record.payload);
  }
  return out;
}

/// Feeds and pulls `count` records, in one go where the kind allows it.
taken feed_and_pull(const source_case& kind, source& from, std::size_t count) {
  if (!kind.one_at_a_time) {
    kind.feed(count);
    return pull_all(from, count);
  }
  taken out;
  for (std::size_t i = 0; i < count; ++i) {
    kind.feed(1);
    for (auto& each : pull_all(from, 1))
      out.push_back(std::move(each));
  }
  return out;
}

void gives_each_record_once(const source_case& kind) {
  auto from = kind.make();
  if (kind.ends)
    kind.feed(10);
  REQUIRE(from->open(0));
  auto all = kind.ends ? pull_all(*from, 10) : feed_and_pull(kind, *from, 10);
  REQUIRE(all.size() == 10);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].first > (i == 0 ? 0 : all[i - 1].first));
    CHECK_FALSE(all[i].second.empty());
  }
  from->settled(all.back().first);
  from->settled(all.back().first); // twice does no harm
  from->settled(all.front().first);
}

void keeps_the_bound(const source_case& kind) {
  if (kind.one_at_a_time)
    return;
  auto from = kind.make();
  kind.feed(5);
  REQUIRE(from->open(0));
  CHECK(pull_all(*from, 5, 1).size() == 5);
}

void answers_empty_in_time(const source_case& kind) {
  auto from = kind.make();
  REQUIRE(from->open(0));
  if (kind.one_at_a_time)
    pull_all(*from, 1);
  const auto before = std::chrono::steady_clock::now();
  auto got = from->pull(10, 30ms);
  REQUIRE(got);
  CHECK(got->records.empty());
  CHECK(got->end == kind.ends);
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}

void resumes_anywhere(const source_case& kind) {
  auto first = kind.make();
  if (!first->has_position())
    return;
  kind.feed(6);
  REQUIRE(first->open(0));
  const auto all = pull_all(*first, 6);
  REQUIRE(all.size() == 6);
  first.reset();
  for (std::size_t done = 0; done < all.size(); ++done) {
    auto again = kind.make();
    REQUIRE(again->open(done == 0 ? 0 : all[done - 1].first));
    const taken rest{all.begin() + static_cast<std::ptrdiff_t>(done), all.end()};
    CHECK(pull_all(*again, rest.size()) == rest);
  }
  auto at_end = kind.make();
  REQUIRE(at_end->open(all.back().first));
  auto got = at_end->pull(10, 30ms);
  REQUIRE(got);
  CHECK(got->records.empty());
}

void stays_at_its_end(const source_case& kind) {
  if (!kind.ends)
    return;
  auto from = kind.make();
  kind.feed(3);
  REQUIRE(from->open(0));
  bool ended = false;
  std::size_t count = 0;
  for (int i = 0; i < 10; ++i) {
    auto got = from->pull(2, 30ms);
    REQUIRE(got);
    count += got->records.count();
    CHECK((!ended || (got->end && got->records.empty())));
    ended = got->end;
  }
  CHECK(ended);
  CHECK(count == 3);
}

} // namespace

void check_source(const source_case& kind) {
  SUBCASE("gives each record once, in order, with growing seqs") { gives_each_record_once(kind); }
  SUBCASE("keeps the bound of a pull") { keeps_the_bound(kind); }
  SUBCASE("answers empty within the wait") { answers_empty_in_time(kind); }
  SUBCASE("resumes behind any record") { resumes_anywhere(kind); }
  SUBCASE("stays at its end") { stays_at_its_end(kind); }
}

} // namespace sluice::testing
