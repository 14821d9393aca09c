#pragma once

#include "transport/grpc/control_service.hpp"
#include "proto/sluice/control/v1/control.grpc.pb.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace sluice::control {

/// The calls of the control API. Called by gRPC's threads, several at once; owns no
/// state but what ends long calls.
class control_rpc final : public v1::Control::Service {
public:
  control_rpc(caf::actor_system& sys, control_backend backend, std::string control_address);

  /// Ends every call that follows logs. Calls that come later end at once.
  void end_following();

  /// The address shown with the token, once the port is known.
  void set_control_address(std::string address);

  grpc::Status Version(grpc::ServerContext*, const v1::VersionRequest*, v1::VersionReply*) override;
  grpc::Status Snapshot(grpc::ServerContext*, const v1::SnapshotRequest*, v1::SnapshotReply*) override;
  grpc::Status Submit(grpc::ServerContext*, grpc::ServerReader<v1::SubmitRequest>*,
                      v1::SubmitReply*) override;
  grpc::Status Scale(grpc::ServerContext*, const v1::ScaleRequest*, v1::ScaleReply*) override;
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainReply*) override;
  grpc::Status Rollback(grpc::ServerContext*, const v1::RollbackRequest*, v1::RollbackReply*) override;
  grpc::Status DeleteFlow(grpc::ServerContext*, const v1::DeleteFlowRequest*, v1::DeleteFlowReply*) override;
  grpc::Status ReadLogs(grpc::ServerContext*, const v1::ReadLogsRequest*,
                        grpc::ServerWriter<v1::ReadLogsReply>*) override;
  grpc::Status QueuePut(grpc::ServerContext*, const v1::QueuePutRequest*, v1::QueuePutReply*) override;
  grpc::Status QueuePeek(grpc::ServerContext*, const v1::QueuePeekRequest*, v1::QueuePeekReply*) override;
  grpc::Status QueueDeadLetters(grpc::ServerContext*, const v1::QueueDeadLettersRequest*,
                                v1::QueueDeadLettersReply*) override;
  grpc::Status QueueRequeue(grpc::ServerContext*, const v1::QueueRequeueRequest*,
                            v1::QueueRequeueReply*) override;
  grpc::Status QueuePurge(grpc::ServerContext*, const v1::QueuePurgeRequest*, v1::QueuePurgeReply*) override;
  grpc::Status CreateJoinToken(grpc::ServerContext*, const v1::CreateJoinTokenRequest*,
                               v1::CreateJoinTokenReply*) override;
  grpc::Status ShowToken(grpc::ServerContext*, const v1::ShowTokenRequest*, v1::ShowTokenReply*) override;
  grpc::Status Stop(grpc::ServerContext*, const v1::StopRequest*, v1::StopReply*) override;

private:
  result<admitted_artifact> receive(const v1::SubmitHeader& header, grpc::ServerContext* context,
                                    grpc::ServerReader<v1::SubmitRequest>* reader);
  result<v1::SubmitReply> submit(grpc::ServerContext* context, grpc::ServerReader<v1::SubmitRequest>* reader);
  /// Waits while a call follows something. False = it should end.
  bool pause(grpc::ServerContext* context, std::chrono::milliseconds span);

  caf::actor_system& sys_;
  control_backend backend_;
  std::string control_address_;
  std::atomic<int> followers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
};

} // namespace sluice::control
