#pragma once

#include <sluice/core/result.hpp>

#include <grpcpp/support/status.h>

#include <string_view>

namespace sluice::client {

/// Trailing metadata with the exact `errc` of a failed call, by name: several codes
/// share one gRPC status code.
constexpr const char* errc_metadata_key = "sluice-errc";

/// The gRPC form of a failure; its text is carried unchanged.
grpc::Status to_status(const failure& why);

/// Reads what `to_status` and the metadata said. `errc_name` empty or unknown: the code
/// is the nearest one for the gRPC status. `status` must not be ok.
failure from_status(const grpc::Status& status, std::string_view errc_name);

} // namespace sluice::client
