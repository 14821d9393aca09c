#pragma once

#include "sdk/client/control_client.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::test {

/// What a fake head answers and what it was asked. Outlives the clients made of it.
struct fake_head {
  std::optional<failure> refuse;                    ///< every call is answered so
  std::size_t refuse_after_puts = 0;                ///< puts up to this many are taken all the same
  std::deque<failure> refuse_first;                 ///< the next calls are answered so, one each
  client::api::SnapshotReply snapshot;              ///< shown when `snapshots` is empty
  std::deque<client::api::SnapshotReply> snapshots; ///< shown once each, first
  std::vector<std::string> asked;                   ///< one line per changing call
  std::uint64_t purged = 3;
  std::string uploaded;
  client::api::SubmitHeader header; ///< of the last submit
  bool takes_submit_env = true;     ///< false: of an older version
  client::api::SubmitReply submit_reply;
  std::vector<client::api::QueuePutRequest> puts;
  std::vector<client::api::QueueRecord> records;
  std::vector<client::api::DeadLetter> letters;
  std::vector<client::api::ReadLogsReply> logs;
  std::uint64_t requeued = 0;
  std::vector<client::target> targets; ///< what was connected to
};

/// A client without a head behind it.
class fake_control_client final : public client::control_client {
public:
  explicit fake_control_client(fake_head& head) : head_(head) {}

  result<client::api::VersionReply> version() override {
    client::api::VersionReply reply;
    reply.set_sluice_version("9.9.9");
    reply.set_takes_submit_env(head_.takes_submit_env);
    return answer(reply);
  }

  result<client::api::SnapshotReply> snapshot(std::uint32_t) override {
    if (auto why = refusal())
      return tl::unexpected{*why};
    if (head_.snapshots.empty())
      return head_.snapshot;
    auto next = head_.snapshots.front();
    head_.snapshots.pop_front();
    return next;
  }

  result<client::api::SubmitReply> submit(const client::api::SubmitHeader& header,
                                          const client::chunk_source& next) override {
    head_.header = header;
    for (;;) {
      auto chunk = next();
      if (!chunk)
        return fail(chunk);
      if (chunk->empty())
        break;
      head_.uploaded += *chunk;
    }
    return answer(head_.submit_reply);
  }

  result<void> scale(const client::api::ScaleRequest& x) override {
    return note("scale " + x.flow() + "/" + x.processor() + " " + std::to_string(x.replicas()));
  }
  result<void> drain(const client::api::DrainRequest& x) override {
    return note((x.resume() ? "resume " : "drain ")
                + (x.has_flow() ? "flow/" + x.flow() : "node/" + x.node()));
  }
  result<client::api::RollbackReply> rollback(const client::api::RollbackRequest& x) override {
    client::api::RollbackReply reply;
    reply.set_version(8);
    if (auto done = note("rollback " + x.flow() + " " + std::to_string(x.to_version())); !done)
      return fail(done);
    return reply;
  }
  result<void> delete_flow(const client::api::DeleteFlowRequest& x) override {
    return note("delete " + x.flow());
  }

  result<void> read_logs(const client::api::ReadLogsRequest& x,
                         const std::function<bool(const client::api::ReadLogsReply&)>& on_part) override {
    if (auto done = note("logs " + x.flow() + x.host() + x.node() + (x.follow() ? " follow" : "") + " tail "
                         + std::to_string(x.tail_lines()));
        !done)
      return done;
    for (const auto& part : head_.logs)
      if (!on_part(part))
        break;
    return {};
  }

  result<client::api::QueuePutReply> queue_put(const client::api::QueuePutRequest& x) override {
    if (auto why = refusal(); why && head_.puts.size() >= head_.refuse_after_puts)
      return tl::unexpected{*why};
    head_.puts.push_back(x);
    client::api::QueuePutReply reply;
    reply.set_count(static_cast<std::uint64_t>(x.payloads_size()));
    return reply;
  }

  result<client::api::QueuePeekReply> queue_peek(const client::api::QueuePeekRequest& x) override {
    client::api::QueuePeekReply reply;
    for (const auto& record : head_.records)
      if (record.seq() > x.after_seq() && reply.records_size() < static_cast<int>(x.count_max()))
        *reply.add_records() = record;
    if (const auto size_max = x.payload_bytes_max(); size_max > 0)
      for (auto& record : *reply.mutable_records())
        record.set_payload(record.payload().substr(0, size_max));
    return answer(reply);
  }

  result<client::api::QueueDeadLettersReply>
  queue_dead_letters(const client::api::QueueDeadLettersRequest& x) override {
    client::api::QueueDeadLettersReply reply;
    for (const auto& letter : head_.letters)
      if (letter.id() > x.after_id() && reply.letters_size() < static_cast<int>(x.count_max()))
        *reply.add_letters() = letter;
    return answer(reply);
  }

  result<client::api::QueueRequeueReply> queue_requeue(const client::api::QueueRequeueRequest& x) override {
    client::api::QueueRequeueReply reply;
    reply.set_count(head_.requeued);
    if (auto done = note("requeue " + x.queue() + " " + std::to_string(x.ids_size())); !done)
      return fail(done);
    return reply;
  }

  result<client::api::QueuePurgeReply> queue_purge(const client::api::QueuePurgeRequest& x) override {
    client::api::QueuePurgeReply reply;
    reply.set_count(head_.purged);
    if (auto done = note("purge " + x.queue() + (x.dead_letters() ? " dead letters" : "")); !done)
      return fail(done);
    return reply;
  }

  result<client::api::CreateJoinTokenReply> create_join_token(std::chrono::seconds ttl) override {
    client::api::CreateJoinTokenReply reply;
    reply.set_token("slj1.made");
    reply.set_link_address("127.0.0.1:7410");
    if (auto done = note("join token " + std::to_string(ttl.count())); !done)
      return fail(done);
    return reply;
  }

  result<client::api::ShowTokenReply> show_token() override {
    client::api::ShowTokenReply reply;
    reply.set_token("the-token");
    reply.set_ca_fingerprint("the-pin");
    reply.set_control_address("10.0.0.1:7411");
    return answer(reply);
  }

  result<void> stop(const std::string& reason) override { return note("stop " + reason); }

private:
  std::optional<failure> refusal() {
    if (!head_.refuse_first.empty()) {
      auto why = head_.refuse_first.front();
      head_.refuse_first.pop_front();
      return why;
    }
    return head_.refuse;
  }

  template <class Reply>
  result<Reply> answer(const Reply& reply) {
    if (auto why = refusal())
      return tl::unexpected{*why};
    return reply;
  }

  result<void> note(std::string line) {
    head_.asked.push_back(std::move(line));
    if (auto why = refusal())
      return tl::unexpected{*why};
    return {};
  }

  fake_head& head_;
};

} // namespace sluice::test
