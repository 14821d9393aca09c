#include <sluice/timeout.hpp>

#include <fmt/format.h>

namespace sluice {

timeout_error::timeout_error(std::chrono::nanoseconds after)
  : std::runtime_error(fmt::format("timed out after {:g} s", std::chrono::duration<double>(after).count())) {}

} // namespace sluice
