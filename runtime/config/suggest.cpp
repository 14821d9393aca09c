#include "runtime/config/suggest.hpp"

#include <algorithm>

namespace sluice::config {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j)
    cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({change, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t word_length_max = 64; // nobody mistypes more than that
  if (word.empty() || word.size() > word_length_max)
    return {};
  std::string_view best;
  auto best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1; // a third of the letters may be wrong
  for (auto candidate : candidates)
    if (auto distance = edit_distance(word, candidate); distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  if (!best.empty() || word.size() < 3)
    return best;
  for (auto candidate : candidates)
    if (candidate.starts_with(word))
      return candidate;
  return {};
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  auto meant = closest(word, candidates);
  return meant.empty() ? std::string{} : "; did you mean '" + std::string{meant} + "'?";
}

} // namespace sluice::config
