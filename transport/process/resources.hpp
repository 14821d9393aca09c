#pragma once

#include "actors/node/resource_port.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::process {

/// Reads `/proc`. Safe to use from any thread.
class proc_resources final : public node::resource_port {
public:
  std::optional<node::process_sample> sample_process(std::int64_t pid) override;
  node::machine_sample sample_machine() override;
};

/// The beginning of a file of the kernel; empty if it cannot be read.
std::string read_small_file(const std::string& path);

/// How many processes the kernel has killed for want of memory, by the line "oom_kill N" of a file of its own;
/// nullopt if the file does not say.
std::optional<std::uint64_t> kernel_oom_kills_in(const std::string& path);

} // namespace sluice::process
