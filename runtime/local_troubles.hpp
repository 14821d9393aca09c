#pragma once

#include "runtime/local_progress.hpp"

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace sluice::runtime {

/// What a run by hand says of what does not work at the moment and is tried again: nobody else would. Pure: time is an
/// argument.
class trouble_teller {
public:
  /// How often a trouble that lasts is said again.
  static constexpr std::chrono::seconds repeat_every{30};
  /// So long nothing may be wrong before it is said to be over: what fails at every other try says nothing new.
  static constexpr std::chrono::seconds quiet_min{2};

  /// The lines to say now: a text that is new for its processor, or has not been said for `repeat_every`, and the end
  /// of what was said.
  std::vector<std::string> next(const std::vector<processor_progress>& all,
                                std::chrono::steady_clock::time_point now);

private:
  struct told {
    std::map<std::string, std::chrono::steady_clock::time_point> said_at; ///< by text
    std::chrono::steady_clock::time_point seen_at;                        ///< that anything was wrong
  };

  std::map<processor_name, told> told_; ///< of processors with a trouble
};

} // namespace sluice::runtime
