// Goal: a typing error finds the word that was meant, and nonsense finds none.
#include "runtime/config/suggest.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace sluice::config;

TEST_CASE("the distance counts letters changed, added, removed and swapped") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "abc") == 0);
  CHECK(edit_distance("abc", "abd") == 1);
  CHECK(edit_distance("abc", "ab") == 1);
  CHECK(edit_distance("ab", "abc") == 1);
  CHECK(edit_distance("--haed", "--head") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest word is found, the beginning of a word too") {
  std::array<std::string_view, 4> words{"status", "start", "stop", "completion"};
  CHECK(closest("statsu", words) == "status");
  CHECK(closest("strat", words) == "start");
  CHECK(closest("comp", words) == "completion");
  CHECK(closest("xyzzy", words).empty());
  CHECK(closest("", words).empty());
  CHECK(closest(std::string(1000, 's'), words).empty());
  CHECK(did_you_mean("stpo", words) == "; did you mean 'stop'?");
  CHECK(did_you_mean("zzzz", words).empty());
}
