// Goal: a generator makes a value when it is asked for and not before.

#include <sluice/generator.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;

namespace {

generator<int> count(int to, int& made) {
  for (int i = 1; i <= to; ++i) {
    ++made;
    co_yield i;
  }
}

generator<std::string> words(std::string text) {
  const std::string kept = text;
  co_yield kept;
  co_yield std::string(100, 'x');
  co_yield "literal";
  co_yield text;
}

generator<int> throws_after(int good) {
  for (int i = 0; i < good; ++i)
    co_yield i;
  throw std::runtime_error{"broken"};
}

generator<std::unique_ptr<int>> boxes() {
  for (int i = 0; i < 3; ++i)
    co_yield std::make_unique<int>(i);
}

generator<int> holds(std::shared_ptr<int> kept) {
  for (;;)
    co_yield *kept;
}

} // namespace

TEST_CASE("values are made one by one") {
  int made = 0;
  auto numbers = count(3, made);
  CHECK(made == 0);
  std::vector<int> seen;
  for (int value : numbers) {
    seen.push_back(value);
    CHECK(made == value);
  }
  CHECK(seen == std::vector<int>{1, 2, 3});
  int none = 0;
  for (int value : count(0, none))
    CHECK(value == 0);
  CHECK(none == 0);
}

TEST_CASE("anything that makes a value can be yielded") {
  std::vector<std::string> seen;
  for (const auto& word : words("first"))
    seen.push_back(word);
  CHECK(seen == std::vector<std::string>{"first", std::string(100, 'x'), "literal", "first"});
  int sum = 0;
  for (auto& box : boxes()) {
    auto taken = std::move(box);
    sum += *taken;
  }
  CHECK(sum == 3);
}

TEST_CASE("an exception comes out where the next value is asked for") {
  std::vector<int> seen;
  auto walk = [&](int good) {
    for (int value : throws_after(good))
      seen.push_back(value);
  };
  CHECK_THROWS_WITH(walk(0), "broken");
  CHECK_THROWS_WITH(walk(2), "broken");
  CHECK(seen == std::vector<int>{0, 1});
}

TEST_CASE("one that is dropped half-way ends where it stands") {
  auto kept = std::make_shared<int>(7);
  {
    auto endless = holds(kept);
    CHECK(kept.use_count() == 2);
    auto at = endless.begin();
    CHECK(*at == 7);
    ++at;
    CHECK(*at == 7);
    auto moved = std::move(endless);
    CHECK(kept.use_count() == 2);
  }
  CHECK(kept.use_count() == 1);
}
