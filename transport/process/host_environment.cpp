#include "transport/process/host_environment.hpp"

#include <cstdlib>
#include <cstring>

namespace sluice::process {

namespace {

std::optional<std::uint64_t> read_number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0' || std::strspn(text, "0123456789") != std::strlen(text))
    return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

} // namespace

std::optional<host_environment> read_host_environment() {
  const auto host = read_number("SLUICE_HOST");
  const auto version = read_number("SLUICE_FLOW_VERSION");
  const char* flow = std::getenv("SLUICE_FLOW");
  if (!host || *host == 0 || !version || flow == nullptr)
    return std::nullopt;
  return host_environment{host_id{*host}, flow_name{flow}, flow_version{*version}};
}

} // namespace sluice::process
