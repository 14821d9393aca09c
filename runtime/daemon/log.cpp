#include "runtime/daemon/log.hpp"

#include "runtime/daemon/line_quota.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>

namespace sluice::daemon {

namespace {

spdlog::logger& logger() {
  static auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("node", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

} // namespace

void set_log_level(std::string_view name) { logger().set_level(spdlog::level::from_str(std::string{name})); }

void log_line(std::string_view part, const std::string& text, log_level level) {
  constexpr std::array levels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                              spdlog::level::err};
  logger().log(levels[static_cast<std::size_t>(level)], "{}: {}", part, text);
}

std::function<void(const failure&)> make_refusal_log(log_level level) {
  return [quota = line_quota{}, level](const failure& why) mutable {
    if (why.code == errc::cancelled) // a join that was answered: its connection has served
      return;
    const auto left_out = quota.take(std::chrono::steady_clock::now());
    if (!left_out)
      return;
    log_line("link",
             "refused: " + why.message
               + (*left_out > 0 ? "; " + std::to_string(*left_out) + " before it were not told" : ""),
             level);
  };
}

} // namespace sluice::daemon
