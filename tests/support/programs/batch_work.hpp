#pragma once

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

/// What the batch of the tests does, and the benchmark beside it by hand.
namespace batch_work {

struct item {
  std::uint64_t id = 0;
  std::string text;
};

struct copy {
  std::uint64_t id = 0;
  std::uint64_t number = 0;
  std::string text;
};

struct by_text {
  std::string text;
  std::uint64_t count = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// None, one or two of each.
inline std::vector<copy> copies(const item& in) {
  if (in.text == "throw")
    throw std::runtime_error{"this record always throws"};
  if (in.text == "crash")
    std::abort();
  std::vector<copy> out;
  for (std::uint64_t i = 0; i < in.id % 3; ++i)
    out.push_back({in.id, i, in.text});
  return out;
}

inline by_text count_one(const item& in) { return {in.text, 1, in.id, in.id}; }
inline by_text add(by_text left, by_text right) {
  return {left.text, left.count + right.count, left.first, right.last};
}

} // namespace batch_work
