#include "runtime/cli/style.hpp"

#include <algorithm>
#include <array>

namespace sluice::cli {

std::string style::paint(const char* code, std::string_view text) const {
  if (!colours_ || text.empty())
    return std::string{text};
  return "\x1b[" + std::string{code} + "m" + std::string{text} + "\x1b[0m";
}

std::string style::phase(std::string_view word) const {
  constexpr std::array good_words{"alive", "running", "completed"};
  constexpr std::array bad_words{"dead", "failed", "crash_loop", "error"};
  constexpr std::array warning_words{"suspect", "degraded", "backing_off", "warning", "waiting", "updating"};
  auto is_one_of = [&](const auto& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (is_one_of(good_words))
    return good(word);
  if (is_one_of(bad_words))
    return bad(word);
  if (is_one_of(warning_words))
    return warning(word);
  return std::string{word};
}

} // namespace sluice::cli
