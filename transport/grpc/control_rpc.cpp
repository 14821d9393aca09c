#include "transport/grpc/control_rpc.hpp"

#include "transport/grpc/ask.hpp"
#include "transport/grpc/convert.hpp"
#include "transport/grpc/log_reader.hpp"
#include "sdk/client/status.hpp"

#include <sluice/codec/utf8.hpp>
#include <sluice/core/flow_variables.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/core/name_rule.hpp>
#include <sluice/core/version.hpp>

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace sluice::control {

namespace {

/// For one request to an actor of the head, which answers from memory or after a sync.
constexpr std::chrono::milliseconds actor_timeout{10'000};
/// For one that moves as many dead letters as there are.
constexpr std::chrono::milliseconds requeue_timeout{600'000};

constexpr std::size_t name_bytes_max = 256; ///< of anything that names something
constexpr int args_count_max = 256;
constexpr std::size_t args_bytes_max = 64u << 10;
constexpr std::uint32_t peek_count_max = 1000;
constexpr std::chrono::hours join_token_ttl_max{24};

/// Ends a call the way the client expects: the exact code travels beside the status.
grpc::Status end(grpc::ServerContext* context, const failure& why) {
  context->AddTrailingMetadata(client::errc_metadata_key, std::string{to_string(why.code)});
  return client::to_status(why);
}

template <class T>
grpc::Status end(grpc::ServerContext* context, const result<T>& done) {
  return done ? grpc::Status::OK : end(context, done.error());
}

/// How long an actor may take: as long as the client waits, and not without end.
std::chrono::milliseconds time_left(const grpc::ServerContext* context,
                                    std::chrono::milliseconds longest = actor_timeout) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(context->deadline()
                                                                    - std::chrono::system_clock::now());
  return std::clamp(left, std::chrono::milliseconds{1}, longest);
}

result<void> check_name(const char* what, const std::string& name) {
  if (is_valid_name(name))
    return {};
  auto shown = codec::to_utf8(name.substr(0, name_bytes_max));
  return fail(errc::invalid_argument,
              std::string{what} + " name '" + shown + "' is not valid: it has " + std::string{name_rule});
}

flow_variables variables_of(const v1::SubmitHeader& header) {
  return {header.env().begin(), header.env().end()};
}

result<void> check_header(const v1::SubmitHeader& header) {
  auto wrong = [](const std::string& text) { return fail(errc::invalid_argument, "submit: " + text); };
  if (header.request_id().empty() || header.request_id().size() > name_bytes_max)
    return wrong("the request id is missing or longer than 256 bytes");
  const auto& hash = header.sha256();
  auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (hash.size() != 64 || !std::all_of(hash.begin(), hash.end(), is_hex))
    return wrong("the SHA-256 is not 64 lower-case hex digits");
  if (header.size_bytes() == 0)
    return wrong("the binary is empty");
  if (header.size_bytes() > limits::artifact_size_bytes_max)
    return wrong("the binary has " + std::to_string(header.size_bytes()) + " bytes, at most "
                 + std::to_string(limits::artifact_size_bytes_max) + " are allowed");
  std::size_t args_bytes = 0;
  for (const auto& arg : header.args())
    args_bytes += arg.size() + 1;
  if (header.args_size() > args_count_max || args_bytes > args_bytes_max)
    return wrong("too many arguments: at most 256 with 64 KiB together");
  if (auto done = check_variables(variables_of(header)); !done)
    return wrong(done.error().message);
  return {};
}

record_block block_of(const v1::QueuePutRequest& request) {
  record_block_builder builder;
  std::size_t size = 0;
  for (const auto& payload : request.payloads())
    size += payload.size() + record_overhead_bytes;
  builder.reserve(size);
  for (const auto& payload : request.payloads())
    builder.add(payload);
  return builder.finish();
}

/// What a batch has taken over is its next run's, which would wait for ever for what is gone.
result<void> check_purge(const v1::QueuePurgeRequest& request) {
  if (!request.queue().starts_with(batch_queue_prefix) || request.dead_letters())
    return {};
  return fail(errc::conflict,
              "queue/" + request.queue()
                + ": these are the splits of a batch, with records that are nowhere else; they go "
                  "when a run of it has done them: submit its flow again, if it was deleted");
}

result<void> check_put(const v1::QueuePutRequest& request) {
  if (auto done = check_name("queue", request.queue()); !done)
    return done;
  if (request.queue().starts_with(batch_queue_prefix))
    return fail(errc::invalid_argument,
                "queue/" + request.queue() + ": names that begin with \"" + std::string{batch_queue_prefix}
                  + "\" are those of batches; put the records into the queue that the batch "
                    "reads");
  if (request.payloads_size() > static_cast<int>(limits::block_count_max))
    return fail(errc::invalid_argument, "queue/" + request.queue() + ": "
                                          + std::to_string(request.payloads_size())
                                          + " records in one request, at most "
                                          + std::to_string(limits::block_count_max) + " are allowed");
  for (const auto& payload : request.payloads())
    if (payload.size() > limits::record_size_bytes_max)
      return fail(errc::invalid_argument,
                  "queue/" + request.queue() + ": a record has " + std::to_string(payload.size())
                    + " bytes, at most " + std::to_string(limits::record_size_bytes_max)
                    + " are allowed; put the data elsewhere and its address in the record");
  if (request.producer().size() > name_bytes_max)
    return fail(errc::invalid_argument, "the producer's name is longer than 256 bytes");
  return {};
}

/// Counts one call for as long as it lives.
class counted {
public:
  explicit counted(std::atomic<int>& count) : count_(count), order_(++count) {}
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --count_; }
  int order() const noexcept { return order_; }

private:
  std::atomic<int>& count_;
  int order_;
};

} // namespace

control_rpc::control_rpc(caf::actor_system& sys, control_backend backend, std::string control_address)
  : sys_(sys), backend_(std::move(backend)), control_address_(std::move(control_address)) {}

void control_rpc::end_following() {
  {
    std::lock_guard guard{mutex_};
    ending_ = true;
  }
  wake_.notify_all();
}

void control_rpc::set_control_address(std::string address) {
  std::lock_guard guard{mutex_};
  control_address_ = std::move(address);
}

bool control_rpc::pause(grpc::ServerContext* context, std::chrono::milliseconds span) {
  std::unique_lock guard{mutex_};
  wake_.wait_for(guard, span, [&] { return ending_; });
  return !ending_ && !context->IsCancelled();
}

grpc::Status control_rpc::Version(grpc::ServerContext* context, const v1::VersionRequest*,
                                  v1::VersionReply* reply) {
  auto answer = ask<cluster::view_reply>(sys_, backend_.cluster, time_left(context), cluster::view_request{});
  if (!answer)
    return end(context, answer);
  reply->set_sluice_version(SLUICE_VERSION);
  reply->set_cluster_id(answer->view->cluster_id);
  reply->set_started_at_unix_ms(to_unix_ms(answer->view->started_at));
  reply->set_takes_submit_env(true);
  return grpc::Status::OK;
}

grpc::Status control_rpc::Snapshot(grpc::ServerContext* context, const v1::SnapshotRequest* request,
                                   v1::SnapshotReply* reply) {
  auto answer = ask<cluster::view_reply>(sys_, backend_.cluster, time_left(context), cluster::view_request{});
  if (!answer)
    return end(context, answer);
  auto stats = ask<queue::stats_reply>(sys_, backend_.queues, time_left(context), queue::stats_request{});
  if (!stats)
    return end(context, stats);
  *reply = to_proto(*answer->view, stats->queues, request->event_count_max());
  if (!answer->view->trouble.empty())
    reply->add_problems("the head cannot store its state: " + answer->view->trouble);
  if (!stats->trouble.empty())
    reply->add_problems("the queues store nothing: " + stats->trouble);
  reply->set_sluice_version(SLUICE_VERSION);
  reply->set_taken_at_unix_ms(to_unix_ms(std::chrono::system_clock::now()));
  return grpc::Status::OK;
}

result<admitted_artifact> control_rpc::receive(const v1::SubmitHeader& header, grpc::ServerContext* context,
                                               grpc::ServerReader<v1::SubmitRequest>* reader) {
  auto upload = backend_.artifacts->begin(artifact_id{header.sha256()}, header.size_bytes(),
                                          {header.args().begin(), header.args().end()}, variables_of(header));
  if (!upload)
    return fail(upload);
  std::uint64_t received = 0;
  v1::SubmitRequest part;
  while (reader->Read(&part)) {
    if (!part.has_chunk())
      return fail(errc::invalid_argument, "submit: one header only, then the binary in chunks");
    received += part.chunk().size();
    if (received > header.size_bytes())
      return fail(errc::corrupt, "submit: the upload is longer than the "
                                   + std::to_string(header.size_bytes())
                                   + " bytes it announced; nothing was kept");
    if (auto done = (*upload)->append(part.chunk()); !done)
      return fail(done);
  }
  if (context->IsCancelled())
    return fail(errc::cancelled, "submit: the client went away during the upload; nothing was kept");
  if (received < header.size_bytes())
    return fail(errc::corrupt, "submit: the upload ended after " + std::to_string(received) + " of "
                                 + std::to_string(header.size_bytes())
                                 + " bytes; nothing was kept, send it again");
  return (*upload)->finish();
}

result<v1::SubmitReply> control_rpc::submit(grpc::ServerContext* context,
                                            grpc::ServerReader<v1::SubmitRequest>* reader) {
  v1::SubmitRequest first;
  if (!reader->Read(&first) || !first.has_header())
    return fail(errc::invalid_argument, "submit: the first message must be the header");
  const auto& header = first.header();
  if (auto done = check_header(header); !done)
    return fail(done);
  if (backend_.artifacts == nullptr)
    return fail(errc::unsupported, "submit: this head takes no binaries");
  auto admitted = receive(header, context, reader);
  if (!admitted)
    return fail(admitted);
  auto answer =
    ask<cluster::submit_reply>(sys_, backend_.cluster, time_left(context),
                               cluster::submit_request{header.request_id(),
                                                       admitted->spec,
                                                       admitted->artifact,
                                                       admitted->size_bytes,
                                                       {header.args().begin(), header.args().end()},
                                                       variables_of(header)});
  if (!answer)
    return fail(answer);
  v1::SubmitReply reply;
  reply.set_flow(admitted->spec.name.value);
  reply.set_version(answer->version.value);
  reply.set_is_new(answer->is_new);
  reply.set_artifact(admitted->artifact.value);
  return reply;
}

grpc::Status control_rpc::Submit(grpc::ServerContext* context, grpc::ServerReader<v1::SubmitRequest>* reader,
                                 v1::SubmitReply* reply) {
  auto done = submit(context, reader);
  if (done)
    *reply = std::move(*done);
  return end(context, done);
}

grpc::Status control_rpc::Scale(grpc::ServerContext* context, const v1::ScaleRequest* request,
                                v1::ScaleReply*) {
  return end(context,
             ask<void>(sys_, backend_.cluster, time_left(context),
                       cluster::scale_request{flow_name{request->flow()},
                                              processor_name{request->processor()}, request->replicas()}));
}

grpc::Status control_rpc::Drain(grpc::ServerContext* context, const v1::DrainRequest* request,
                                v1::DrainReply*) {
  auto timeout = time_left(context);
  switch (request->target_case()) {
  case v1::DrainRequest::kFlow:
    return end(context,
               ask<void>(sys_, backend_.cluster, timeout,
                         cluster::drain_flow_request{flow_name{request->flow()}, request->resume()}));
  case v1::DrainRequest::kNode:
    return end(context, ask<void>(sys_, backend_.cluster, timeout,
                                  cluster::drain_node_request{node_id{request->node()}, request->resume()}));
  default:
    return end(context, failure{errc::invalid_argument, "drain what? name a flow or a node"});
  }
}

grpc::Status control_rpc::Rollback(grpc::ServerContext* context, const v1::RollbackRequest* request,
                                   v1::RollbackReply* reply) {
  auto answer = ask<cluster::submit_reply>(sys_, backend_.cluster, time_left(context),
                                           cluster::rollback_request{flow_name{request->flow()},
                                                                     flow_version{request->to_version()},
                                                                     request->request_id()});
  if (answer)
    reply->set_version(answer->version.value);
  return end(context, answer);
}

grpc::Status control_rpc::DeleteFlow(grpc::ServerContext* context, const v1::DeleteFlowRequest* request,
                                     v1::DeleteFlowReply*) {
  return end(context, ask<void>(sys_, backend_.cluster, time_left(context),
                                cluster::delete_flow_request{flow_name{request->flow()}}));
}

grpc::Status control_rpc::ReadLogs(grpc::ServerContext* context, const v1::ReadLogsRequest* request,
                                   grpc::ServerWriter<v1::ReadLogsReply>* writer) {
  counted follower{followers_};
  if (request->follow() && follower.order() > control_server::log_followers_max)
    return end(context, failure{errc::overloaded,
                                "the head serves " + std::to_string(control_server::log_followers_max)
                                  + " readers of logs already; try again when one has ended"});
  log_reader_ports ports;
  ports.write = [&](const v1::ReadLogsReply& part) { return writer->Write(part); };
  ports.pause = [&](std::chrono::milliseconds span) { return pause(context, span); };
  return end(context, read_logs(sys_, backend_.cluster, *request, ports));
}

grpc::Status control_rpc::QueuePut(grpc::ServerContext* context, const v1::QueuePutRequest* request,
                                   v1::QueuePutReply* reply) {
  if (auto done = check_put(*request); !done)
    return end(context, done);
  auto records = block_of(*request);
  // So that a number that comes back with other records is refused, and not taken for a repeat.
  const auto of_queue = XXH3_64bits(request->queue().data(), request->queue().size());
  const auto fingerprint = XXH3_64bits_withSeed(records.bytes().data(), records.bytes().size(), of_queue) | 1;
  auto answer = ask<queue::append_reply>(sys_, backend_.queues, time_left(context),
                                         queue::append_request{queue_name{request->queue()},
                                                               std::move(records), request->producer(),
                                                               request->producer_seq(), fingerprint});
  if (answer)
    reply->set_count(answer->count);
  return end(context, answer);
}

grpc::Status control_rpc::QueuePeek(grpc::ServerContext* context, const v1::QueuePeekRequest* request,
                                    v1::QueuePeekReply* reply) {
  auto count = std::min(request->count_max() == 0 ? 10u : request->count_max(), peek_count_max);
  auto answer =
    ask<queue::peek_reply>(sys_, backend_.queues, time_left(context),
                           queue::peek_request{queue_name{request->queue()}, request->after_seq(), count});
  const std::size_t size_max = request->payload_bytes_max() == 0 ? SIZE_MAX : request->payload_bytes_max();
  if (answer)
    for (const auto& record : answer->records) {
      auto* to = reply->add_records();
      to->set_seq(record.seq);
      to->set_attempts(record.attempts);
      to->set_payload(record.payload.data(), std::min(record.payload.size(), size_max));
    }
  return end(context, answer);
}

grpc::Status control_rpc::QueueDeadLetters(grpc::ServerContext* context,
                                           const v1::QueueDeadLettersRequest* request,
                                           v1::QueueDeadLettersReply* reply) {
  auto count = std::min(request->count_max() == 0 ? 100u : request->count_max(), peek_count_max);
  auto answer = ask<queue::dead_letters_reply>(
    sys_, backend_.queues, time_left(context),
    queue::dead_letters_request{queue_name{request->queue()}, request->after_id(), count});
  if (answer)
    for (const auto& letter : answer->letters)
      *reply->add_letters() = to_proto(letter);
  return end(context, answer);
}

grpc::Status control_rpc::QueueRequeue(grpc::ServerContext* context, const v1::QueueRequeueRequest* request,
                                       v1::QueueRequeueReply* reply) {
  if (static_cast<std::size_t>(request->ids_size())
      > limits::block_count_max) // each is looked up, one by one
    return end(context, failure{errc::invalid_argument,
                                "a request names at most " + std::to_string(limits::block_count_max)
                                  + " dead letters, this one " + std::to_string(request->ids_size())
                                  + ": send the others in further requests, or name none to move all"});
  auto answer = ask<queue::count_reply>(
    sys_, backend_.queues, time_left(context, requeue_timeout),
    queue::requeue_request{queue_name{request->queue()}, {request->ids().begin(), request->ids().end()}});
  if (answer)
    reply->set_count(answer->count);
  return end(context, answer);
}

grpc::Status control_rpc::QueuePurge(grpc::ServerContext* context, const v1::QueuePurgeRequest* request,
                                     v1::QueuePurgeReply* reply) {
  if (auto fine = check_purge(*request); !fine)
    return end(context, fine);
  auto what = request->dead_letters() ? queue::purge_what::dead_letters : queue::purge_what::records;
  auto answer = ask<queue::count_reply>(sys_, backend_.queues, time_left(context),
                                        queue::purge_request{queue_name{request->queue()}, what});
  if (answer)
    reply->set_count(answer->count);
  return end(context, answer);
}

grpc::Status control_rpc::CreateJoinToken(grpc::ServerContext* context,
                                          const v1::CreateJoinTokenRequest* request,
                                          v1::CreateJoinTokenReply* reply) {
  std::chrono::seconds longest = join_token_ttl_max;
  if (request->ttl_s() > static_cast<std::uint64_t>(longest.count()))
    return end(context, failure{errc::invalid_argument, "a join token lives for at most 24 hours"});
  auto ttl = request->ttl_s() == 0 ? std::chrono::seconds{3600}
                                   : std::chrono::seconds{static_cast<std::int64_t>(request->ttl_s())};
  auto made = backend_.create_join_token(ttl);
  if (!made)
    return end(context, made);
  reply->set_token(made->token);
  reply->set_ca_fingerprint(made->ca_fingerprint);
  reply->set_link_address(made->link_address);
  reply->set_expires_at_unix_ms(to_unix_ms(made->expires_at));
  return grpc::Status::OK;
}

grpc::Status control_rpc::ShowToken(grpc::ServerContext* context, const v1::ShowTokenRequest*,
                                    v1::ShowTokenReply* reply) {
  if (!context->peer().starts_with("unix:"))
    return end(context,
               failure{errc::permission_denied,
                       "the token is shown over the head's unix socket only: run this on its machine"});
  auto token = backend_.show_token();
  if (!token)
    return end(context, token);
  reply->set_token(*token);
  reply->set_ca_fingerprint(backend_.ca_fingerprint);
  std::lock_guard guard{mutex_};
  reply->set_control_address(control_address_);
  return grpc::Status::OK;
}

grpc::Status control_rpc::Stop(grpc::ServerContext*, const v1::StopRequest* request, v1::StopReply*) {
  backend_.stop(codec::to_utf8(request->reason().substr(0, name_bytes_max)));
  return grpc::Status::OK;
}

} // namespace sluice::control
