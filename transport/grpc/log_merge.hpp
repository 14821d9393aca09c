#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control {

/// Brings the lines of several logs into the order of time.
///
/// Each line begins with its timestamp, as the node wrote it; one without is as old as the
/// line before it. Lines of one log keep their order, and of lines of the same time those of
/// the lower log come first. Holds what it was fed and has not handed out: feed a log only
/// when it is empty. Pure; not for several threads.
class log_merge {
public:
  /// Lines of one log, whole, each with its '\n'.
  struct piece {
    std::size_t log = 0;
    std::string text;
  };

  /// Adds lines of `log`, behind those it holds. Logs are counted from 0.
  void feed(std::size_t log, std::string_view text);

  bool is_empty(std::size_t log) const noexcept;

  /// Hands out the lines that come next, as many as are of one log. They are the next only while each log that
  /// has more to come holds some of it. Nothing when no log holds any.
  std::optional<piece> next();

private:
  struct held {
    std::string text;
    std::size_t at = 0; ///< handed out up to here
    std::string key;    ///< time of the line at `at`
  };

  bool goes_before(std::size_t left, std::size_t right) const;
  static void step(held& log);

  std::vector<held> logs_;
};

} // namespace sluice::control
