#pragma once

#include "actors/node/resource_port.hpp"

#include <cstdint>

namespace sluice::process {

/// Reads `/proc`. Safe to use from any thread.
class proc_resources final : public node::resource_port {
public:
  std::optional<node::process_sample> sample_process(std::int64_t pid) override;
  node::machine_sample sample_machine() override;
};

/// How many processes the kernel has killed on this machine for want of memory; 0 if it
/// does not say.
std::uint64_t kernel_oom_kills();

} // namespace sluice::process
