#pragma once

#include "transport/artifact/artifact_store.hpp"
#include "transport/artifact/describe.hpp"
#include "transport/grpc/artifact_admission_port.hpp"

namespace sluice::artifact {

/// Takes submitted binaries into the head's store once they proved to be flows. What
/// `--describe` says is asked of the very file that is then kept.
class artifact_admission final : public control::artifact_admission_port {
public:
  /// `store` must outlive this and all uploads.
  artifact_admission(artifact_store& store, std::string sluice_version)
    : store_(store), sluice_version_(std::move(sluice_version)) {}

  result<std::unique_ptr<control::artifact_upload>> begin(const artifact_id& expected,
                                                          std::uint64_t size_bytes,
                                                          const std::vector<std::string>& args,
                                                          const flow_variables& env) override;

private:
  artifact_store& store_;
  std::string sluice_version_;
};

} // namespace sluice::artifact
