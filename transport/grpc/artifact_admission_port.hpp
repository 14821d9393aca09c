#pragma once

#include <sluice/core/flow_variables.hpp>
#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control {

/// A binary that was taken in: stored by its hash, and proven to be the flow it says.
struct admitted_artifact {
  artifact_id artifact;
  std::uint64_t size_bytes = 0;
  flow_spec spec; ///< what the binary itself said when the head asked it
};

/// One upload. Destroying it before `finish` succeeded leaves nothing behind.
/// Used by one thread.
class artifact_upload {
public:
  virtual ~artifact_upload() = default;

  /// Adds the next bytes.
  virtual result<void> append(std::string_view bytes) = 0;

  /// Checks the hash against the one given to `begin`, stores the binary, runs its
  /// `--describe` and checks the flow. Fails with `corrupt` when the hash differs and
  /// with `invalid_argument` when the binary is no flow, each with the real reason; then
  /// nothing is kept. May take seconds.
  virtual result<admitted_artifact> finish() = 0;
};

/// Where the control service leaves the binaries that are submitted. Implemented with
/// the artifact store and a child process for `--describe`. Safe to use from any thread.
class artifact_admission_port {
public:
  virtual ~artifact_admission_port() = default;

  /// Starts an upload of `size_bytes` whose SHA-256 will be `expected`. `args` and `env`
  /// are what hosts will start the binary with; `--describe` is asked with them too.
  virtual result<std::unique_ptr<artifact_upload>> begin(const artifact_id& expected,
                                                         std::uint64_t size_bytes,
                                                         const std::vector<std::string>& args,
                                                         const flow_variables& env) = 0;
};

} // namespace sluice::control
