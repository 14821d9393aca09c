#include "sdk/client/status.hpp"

namespace sluice::client {

namespace {

grpc::StatusCode status_code_of(errc code) noexcept {
  switch (code) {
  case errc::ok:
    return grpc::StatusCode::OK;
  case errc::invalid_argument:
    return grpc::StatusCode::INVALID_ARGUMENT;
  case errc::not_found:
    return grpc::StatusCode::NOT_FOUND;
  case errc::conflict:
    return grpc::StatusCode::ALREADY_EXISTS;
  case errc::unauthenticated:
    return grpc::StatusCode::UNAUTHENTICATED;
  case errc::permission_denied:
    return grpc::StatusCode::PERMISSION_DENIED;
  case errc::unavailable:
    return grpc::StatusCode::UNAVAILABLE;
  case errc::timeout:
    return grpc::StatusCode::DEADLINE_EXCEEDED;
  case errc::overloaded:
    return grpc::StatusCode::RESOURCE_EXHAUSTED;
  case errc::shutting_down:
    return grpc::StatusCode::UNAVAILABLE;
  case errc::stale:
    return grpc::StatusCode::ABORTED;
  case errc::corrupt:
    return grpc::StatusCode::DATA_LOSS;
  case errc::exhausted:
    return grpc::StatusCode::FAILED_PRECONDITION;
  case errc::unsupported:
    return grpc::StatusCode::UNIMPLEMENTED;
  case errc::cancelled:
    return grpc::StatusCode::CANCELLED;
  case errc::internal:
    return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::UNKNOWN;
}

errc errc_of(grpc::StatusCode code) noexcept {
  switch (code) {
  case grpc::StatusCode::OK:
    return errc::ok;
  case grpc::StatusCode::INVALID_ARGUMENT:
  case grpc::StatusCode::OUT_OF_RANGE:
    return errc::invalid_argument;
  case grpc::StatusCode::NOT_FOUND:
    return errc::not_found;
  case grpc::StatusCode::ALREADY_EXISTS:
    return errc::conflict;
  case grpc::StatusCode::UNAUTHENTICATED:
    return errc::unauthenticated;
  case grpc::StatusCode::PERMISSION_DENIED:
    return errc::permission_denied;
  case grpc::StatusCode::UNAVAILABLE:
    return errc::unavailable;
  case grpc::StatusCode::DEADLINE_EXCEEDED:
    return errc::timeout;
  case grpc::StatusCode::RESOURCE_EXHAUSTED:
    return errc::overloaded;
  case grpc::StatusCode::ABORTED:
    return errc::stale;
  case grpc::StatusCode::DATA_LOSS:
    return errc::corrupt;
  case grpc::StatusCode::FAILED_PRECONDITION:
    return errc::exhausted;
  case grpc::StatusCode::UNIMPLEMENTED:
    return errc::unsupported;
  default:
    return errc::internal;
  }
}

} // namespace

grpc::Status to_status(const failure& why) {
  // A failure without a code is still a failure.
  auto code = why.code == errc::ok ? errc::internal : why.code;
  return {status_code_of(code), why.message};
}

failure from_status(const grpc::Status& status, std::string_view errc_name) {
  for (auto i = static_cast<int>(errc::invalid_argument); i <= static_cast<int>(errc::internal); ++i)
    if (to_string(static_cast<errc>(i)) == errc_name)
      return {static_cast<errc>(i), status.error_message()};
  if (status.error_code()
      == grpc::StatusCode::CANCELLED) // not by the client, who would not ask what came of it
    return {errc::unavailable, "the head ended the call unanswered, as it does when it is stopped"};
  return {errc_of(status.error_code()), status.error_message()};
}

} // namespace sluice::client
