#pragma once

#include <sluice/core/ids.hpp>

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// What user code has to say, beside its results: lines on the standard error, which `sluice logs` shows.
///
/// `log::info("took {} ms", ms)` in a processor writes `info  orders/7: took 3 ms`: the processor, and
/// which replica of it. What is below the processor's `log_level` is not written, and not formatted. Any thread;
/// one that the program itself started speaks for no processor and writes from info on.
namespace sluice::log {

enum class level : std::uint8_t { trace, debug, info, warn, error };

/// Whom the lines of a thread come from. `level_min` by name, as the option `log_level` has it.
struct speaker {
  speaker() = default;
  speaker(const processor_name& processor, replica_id replica, std::string_view level_min);

  std::string prefix; ///< "orders/7: "
  level least = level::info;
};

/// While one lives, its thread speaks for `who`, which must outlive it. The runtime's own.
class speaking {
public:
  explicit speaking(const speaker& who) noexcept;
  ~speaking();
  speaking(const speaking&) = delete;
  speaking& operator=(const speaking&) = delete;

private:
  const speaker* before_;
};

/// True if this thread would write a line of that level.
bool is_written(level of) noexcept;

/// Writes `text`, each of its lines with level and processor in front, as one piece.
void write(level of, std::string_view text);

template <class... Args>
void at(level of, fmt::format_string<Args...> format, Args&&... args) {
  if (is_written(of))
    write(of, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  at(level::trace, format, std::forward<Args>(args)...);
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  at(level::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  at(level::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  at(level::warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  at(level::error, format, std::forward<Args>(args)...);
}

} // namespace sluice::log
