#pragma once

#include "proto/sluice/control/v1/control.pb.h"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::client {

namespace api = control::v1;

/// Where a head is and how to prove who we are.
struct target {
  std::string address; ///< "unix:PATH" or "HOST:PORT"
  std::string token;   ///< for HOST:PORT
  std::string ca_pin;  ///< for HOST:PORT: SHA-256 of the cluster's CA certificate in hex
  std::chrono::milliseconds timeout{10'000}; ///< of each call; must be positive
};

/// Gives the next piece of a binary; an empty one ends it. The view must stay valid
/// until the next call.
using chunk_source = std::function<result<std::string_view>()>;

/// What a program may ask of a head, as typed calls. One thread at a time.
///
/// Every call ends by its deadline. Failures carry the head's own code and text;
/// `unavailable` says what to do next. Calls that change something may be repeated after
/// `unavailable` or `timeout` with the same arguments: they do nothing twice.
class control_client {
public:
  virtual ~control_client() = default;

  virtual result<api::VersionReply> version() = 0;
  virtual result<api::SnapshotReply> snapshot(std::uint32_t event_count_max) = 0;

  virtual result<api::SubmitReply> submit(const api::SubmitHeader& header, const chunk_source& next) = 0;
  virtual result<void> scale(const api::ScaleRequest& request) = 0;
  virtual result<void> drain(const api::DrainRequest& request) = 0;
  virtual result<api::RollbackReply> rollback(const api::RollbackRequest& request) = 0;
  virtual result<void> delete_flow(const api::DeleteFlowRequest& request) = 0;

  /// Calls `on_part` for every part until the stream ends or `on_part` returns false.
  /// With `follow` there is no deadline.
  virtual result<void> read_logs(const api::ReadLogsRequest& request,
                                 const std::function<bool(const api::ReadLogsReply&)>& on_part) = 0;

  virtual result<api::QueuePutReply> queue_put(const api::QueuePutRequest& request) = 0;
  virtual result<api::QueuePeekReply> queue_peek(const api::QueuePeekRequest& request) = 0;
  virtual result<api::QueueDeadLettersReply>
  queue_dead_letters(const api::QueueDeadLettersRequest& request) = 0;
  virtual result<api::QueueRequeueReply> queue_requeue(const api::QueueRequeueRequest& request) = 0;
  virtual result<api::QueuePurgeReply> queue_purge(const api::QueuePurgeRequest& request) = 0;

  virtual result<api::CreateJoinTokenReply> create_join_token(std::chrono::seconds ttl) = 0;
  virtual result<api::ShowTokenReply> show_token() = 0;
  virtual result<void> stop(const std::string& reason) = 0;
};

/// Makes a client and reaches the head once. Fails with `unavailable` when nobody
/// answers, `unauthenticated` when the head's CA is not the pinned one, and
/// `invalid_argument` when the address cannot be read.
result<std::unique_ptr<control_client>> connect(const target& where);

} // namespace sluice::client
