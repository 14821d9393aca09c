#include "sdk/client/control_client.hpp"

#include "sdk/client/reach.hpp"
#include "sdk/client/status.hpp"
#include "proto/sluice/control/v1/control.grpc.pb.h"

#include <sluice/core/limits.hpp>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::client {

namespace {

constexpr int message_size_bytes_max = 64 << 20; ///< a block of the largest records, or a large snapshot

/// Uploads slower than this are given up.
constexpr std::uint64_t upload_bytes_per_s_min = 1u << 20;
/// The head asks the binary to describe itself before it answers.
constexpr std::chrono::seconds describe_allowance{60};

class grpc_client final : public control_client {
public:
  grpc_client(std::shared_ptr<grpc::Channel> channel, target where)
    : stub_(api::Control::NewStub(std::move(channel))), where_(std::move(where)) {}

  result<api::VersionReply> version() override { return call(&stub::Version, api::VersionRequest{}); }

  result<api::SnapshotReply> snapshot(std::uint32_t event_count_max) override {
    api::SnapshotRequest request;
    request.set_event_count_max(event_count_max);
    return call(&stub::Snapshot, request);
  }

  result<api::SubmitReply> submit(const api::SubmitHeader& header, const chunk_source& next) override {
    grpc::ClientContext context;
    auto extra = std::chrono::seconds{header.size_bytes() / upload_bytes_per_s_min} + describe_allowance;
    prepare(context, where_.timeout + extra);
    api::SubmitReply reply;
    auto writer = stub_->Submit(&context, &reply);
    api::SubmitRequest part;
    *part.mutable_header() = header;
    std::optional<failure> local; // why reading the file failed
    bool open = writer->Write(part);
    while (open) {
      auto chunk = next();
      if (!chunk) {
        local = chunk.error();
        context.TryCancel();
        break;
      }
      if (chunk->empty())
        break;
      part.set_chunk(chunk->data(), chunk->size());
      open = writer->Write(part);
    }
    writer->WritesDone();
    auto status = writer->Finish();
    if (local)
      return tl::unexpected{*local};
    if (!status.ok())
      return tl::unexpected{failure_of(status, context)};
    return reply;
  }

  result<void> scale(const api::ScaleRequest& request) override { return done(call(&stub::Scale, request)); }

  result<void> drain(const api::DrainRequest& request) override { return done(call(&stub::Drain, request)); }

  result<api::RollbackReply> rollback(const api::RollbackRequest& request) override {
    return call(&stub::Rollback, request);
  }

  result<void> delete_flow(const api::DeleteFlowRequest& request) override {
    return done(call(&stub::DeleteFlow, request));
  }

  result<void> read_logs(const api::ReadLogsRequest& request,
                         const std::function<bool(const api::ReadLogsReply&)>& on_part) override {
    grpc::ClientContext context;
    prepare(context, where_.timeout);
    if (request.follow())
      context.set_deadline(std::chrono::system_clock::time_point::max());
    auto reader = stub_->ReadLogs(&context, request);
    api::ReadLogsReply part;
    bool enough = false;
    while (!enough && reader->Read(&part))
      enough = !on_part(part);
    if (enough)
      context.TryCancel();
    auto status = reader->Finish();
    if (enough || status.ok())
      return {};
    return tl::unexpected{failure_of(status, context)};
  }

  result<api::QueuePutReply> queue_put(const api::QueuePutRequest& request) override {
    return call(&stub::QueuePut, request);
  }
  result<api::QueuePeekReply> queue_peek(const api::QueuePeekRequest& request) override {
    return call(&stub::QueuePeek, request);
  }
  result<api::QueueDeadLettersReply>
  queue_dead_letters(const api::QueueDeadLettersRequest& request) override {
    return call(&stub::QueueDeadLetters, request);
  }
  result<api::QueueRequeueReply> queue_requeue(const api::QueueRequeueRequest& request) override {
    return call(&stub::QueueRequeue, request);
  }
  result<api::QueuePurgeReply> queue_purge(const api::QueuePurgeRequest& request) override {
    return call(&stub::QueuePurge, request);
  }

  result<api::CreateJoinTokenReply> create_join_token(std::chrono::seconds ttl) override {
    api::CreateJoinTokenRequest request;
    request.set_ttl_s(static_cast<std::uint64_t>(ttl.count()));
    return call(&stub::CreateJoinToken, request);
  }
  result<api::ShowTokenReply> show_token() override {
    return call(&stub::ShowToken, api::ShowTokenRequest{});
  }

  result<void> stop(const std::string& reason) override {
    api::StopRequest request;
    request.set_reason(reason);
    return done(call(&stub::Stop, request));
  }

private:
  using stub = api::Control::Stub;

  template <class Request, class Reply>
  result<Reply> call(grpc::Status (stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) {
    grpc::ClientContext context;
    prepare(context, where_.timeout);
    Reply reply;
    auto status = ((*stub_).*method)(&context, request, &reply);
    if (!status.ok())
      return tl::unexpected{failure_of(status, context)};
    return reply;
  }

  template <class Reply>
  static result<void> done(const result<Reply>& reply) {
    if (!reply)
      return fail(reply);
    return {};
  }

  void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout) const {
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    if (!where_.token.empty())
      context.AddMetadata("authorization", "Bearer " + where_.token);
  }

  failure failure_of(const grpc::Status& status, const grpc::ClientContext& context) const {
    const auto& trailing = context.GetServerTrailingMetadata();
    auto name = trailing.find(errc_metadata_key);
    if (name != trailing.end())
      return from_status(status, {name->second.data(), name->second.size()});
    auto why = from_status(status, {}); // gRPC itself says so, or the check of the token
    auto says = [&](const char* words) { return why.message.find(words) != std::string::npos; };
    if (why.code == errc::timeout || (why.code == errc::unavailable && says("timed out")))
      return {errc::timeout,
              "the head at " + where_.address + " did not answer within "
                + std::to_string(where_.timeout.count())
                + " ms; it may be busy or paused: try again, or give it longer with --timeout"};
    if (why.code == errc::unavailable && says("ALPN"))
      why.message =
        where_.address + " answers, but is no control port; `sluice token show` on the head prints it";
    else if (why.code == errc::unavailable)
      why.message = "the head at " + where_.address + " is gone (" + why.message
                    + "); if it does not come back, start it with: sluice start --head";
    else if (why.code == errc::unauthenticated)
      why.message +=
        "; `sluice token show` on the head prints the token, SLUICE_TOKEN or --token-file gives it";
    return why;
  }

  std::unique_ptr<stub> stub_;
  target where_;
};

/// Lets only a head of the cluster through: gRPC has checked that the pinned CA signed
/// the certificate, but every node has one of it. A head's names it as
/// "sluice://CLUSTER/head/NAME"; what its host is called does not matter.
class head_verifier final : public grpc::experimental::ExternalCertificateVerifier {
public:
  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* status) override {
    for (const auto& name : request->uri_names())
      if (is_head_uri({name.data(), name.size()})) {
        *status = grpc::Status::OK;
        return true;
      }
    *status = {grpc::StatusCode::UNAUTHENTICATED, "the certificate is not a head's"};
    return true;
  }

  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}
};

std::shared_ptr<grpc::ChannelCredentials> head_credentials(const std::string& root_pem) {
  namespace ge = grpc::experimental;
  ge::TlsChannelCredentialsOptions tls;
  tls.set_certificate_provider(std::make_shared<ge::StaticDataCertificateProvider>(root_pem));
  tls.watch_root_certs();
  tls.set_verify_server_certs(true);
  tls.set_check_call_host(false);
  tls.set_certificate_verifier(ge::ExternalCertificateVerifier::Create<head_verifier>());
  return ge::TlsCredentials(tls);
}

result<std::shared_ptr<grpc::Channel>> open_channel(const target& where, const parsed_address& parts) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(message_size_bytes_max);
  arguments.SetMaxSendMessageSize(message_size_bytes_max);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   20'000); // notices a head that vanished while logs are followed
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  if (!parts.socket_path.empty()) {
    if (auto reached = reach_socket(parts.socket_path); !reached)
      return fail(reached);
    return grpc::CreateCustomChannel("unix:" + parts.socket_path, grpc::experimental::LocalCredentials(UDS),
                                     arguments);
  }
  if (where.ca_pin.empty())
    return fail(errc::invalid_argument,
                "connecting to " + where.address
                  + " needs the fingerprint of the cluster's CA: "
                    "--ca-pin or SLUICE_CA_PIN; `sluice token show` on the head prints it");
  if (where.token.empty())
    return fail(errc::unauthenticated, "connecting to " + where.address
                                         + " needs the cluster token: SLUICE_TOKEN or "
                                           "--token-file; `sluice token show` on the head prints it");
  auto pin = normalise_pin(where.ca_pin);
  if (!pin)
    return fail(pin);
  auto root = fetch_pinned_certificate(parts, *pin, where.timeout);
  if (!root)
    return fail(root);
  auto host = parts.host.find(':') == std::string::npos ? parts.host : "[" + parts.host + "]";
  return grpc::CreateCustomChannel(host + ":" + parts.port, head_credentials(*root), arguments);
}

} // namespace

result<std::unique_ptr<control_client>> connect(const target& where) {
  auto parts = parse_address(where.address);
  if (!parts)
    return fail(parts);
  auto channel = open_channel(where, *parts);
  if (!channel)
    return fail(channel);
  return std::make_unique<grpc_client>(*channel, where);
}

} // namespace sluice::client
