#include "tests/support/fake_control.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <type_traits>

namespace sluice::test {

namespace {

using locked = std::lock_guard<std::mutex>;

/// Notes a changing request and answers it the way the state says; `caf::unit` = with nothing.
template <class Reply>
caf::result<std::conditional_t<std::is_same_v<Reply, caf::unit_t>, void, Reply>>
note(fake_head_state& state, std::string line, Reply reply) {
  locked guard{state.mutex};
  state.asked.push_back(std::move(line));
  if (state.refuse)
    return to_caf(*state.refuse);
  return reply;
}

class fake_upload final : public control::artifact_upload {
public:
  fake_upload(fake_admission& owner, std::string hash) : owner_(owner), hash_(std::move(hash)) {
    ++owner_.uploads_open;
  }
  ~fake_upload() override { --owner_.uploads_open; }

  result<void> append(std::string_view bytes) override {
    bytes_ += bytes;
    return {};
  }

  result<control::admitted_artifact> finish() override {
    if (owner_.no_flow)
      return tl::unexpected{*owner_.no_flow};
    owner_.kept[hash_] = bytes_;
    return control::admitted_artifact{artifact_id{hash_}, bytes_.size(), owner_.spec};
  }

private:
  fake_admission& owner_;
  std::string hash_;
  std::string bytes_;
};

} // namespace

cluster::handle spawn_fake_cluster(caf::actor_system& sys, std::shared_ptr<fake_head_state> state) {
  return sys.spawn([state](cluster::handle::pointer self) -> cluster::handle::behavior_type {
    return {
      [](const cluster::register_node&) { return cluster::registered{}; },
      [](const node::node_report&) {},
      [](const cluster::node_leaves&) {},
      [](const cluster::node_unreachable&) {},
      [](const cluster::host_ended&) {},
      [state](const cluster::submit_request& x) {
        {
          locked guard{state->mutex};
          state->args = x.args;
          state->env = x.env;
        }
        return note(*state, "submit " + x.request_id + " " + x.spec.name.value + " " + x.artifact.value,
                    cluster::submit_reply{flow_version{7}, true});
      },
      [state](const cluster::scale_request& x) {
        return note(*state,
                    "scale " + x.flow.value + "/" + x.processor.value + " " + std::to_string(x.replicas),
                    caf::unit);
      },
      [state](const cluster::drain_flow_request& x) {
        return note(*state, (x.resume ? "resume flow/" : "drain flow/") + x.flow.value, caf::unit);
      },
      [state](const cluster::drain_node_request& x) {
        return note(*state, (x.resume ? "resume node/" : "drain node/") + x.node.value, caf::unit);
      },
      [state](const cluster::rollback_request& x) {
        return note(*state, "rollback " + x.flow.value + " " + std::to_string(x.to.value),
                    cluster::submit_reply{flow_version{8}, false});
      },
      [state](const cluster::delete_flow_request& x) {
        return note(*state, "delete " + x.flow.value, caf::unit);
      },
      [state, self](const cluster::view_request&) -> caf::result<cluster::view_reply> {
        locked guard{state->mutex};
        if (state->silent)
          return self->make_response_promise<cluster::view_reply>();
        return cluster::view_reply{std::make_shared<const cluster::cluster_view>(state->view)};
      },
      [state](const cluster::agent_request& x) -> caf::result<cluster::agent_reply> {
        locked guard{state->mutex};
        auto found = state->agents.find(x.node);
        if (found == state->agents.end())
          return to_caf({errc::unavailable, "node/" + x.node.value + " is not connected"});
        return cluster::agent_reply{found->second};
      },
      [](const cluster::head_event&) {},
    };
  });
}

queue::admin_handle spawn_fake_queues(caf::actor_system& sys, std::shared_ptr<fake_head_state> state) {
  return sys.spawn([state](queue::admin_handle::pointer) -> queue::admin_handle::behavior_type {
    return {
      [state](const queue::append_request& x) {
        auto reply = note(*state,
                          "append " + x.queue.value + " " + std::to_string(x.records.count()) + " "
                            + x.producer + " " + std::to_string(x.producer_seq),
                          queue::append_reply{x.records.count()});
        locked guard{state->mutex};
        state->fingerprints.push_back(x.fingerprint);
        if (!state->refuse)
          for (auto record : x.records)
            state->stored.emplace_back(record.payload);
        return reply;
      },
      [](const queue::lease_request&) { return queue::lease_reply{}; },
      [](const queue::commit_request&) { return queue::commit_reply{}; },
      [](const queue::renew_request&) { return queue::count_reply{}; },
      [](const queue::release_request&) { return queue::count_reply{}; },
      [](const queue::cursor_request&) { return std::string{}; },
      [state](const queue::stats_request&) {
        locked guard{state->mutex};
        return queue::stats_reply{state->stats, state->queue_trouble};
      },
      [state](const queue::peek_request& x) {
        locked guard{state->mutex};
        record_block_builder block;
        for (auto i = x.after_seq; i < state->stored.size() && block.count() < x.count_max; ++i)
          block.add(i + 1, 0, state->stored[i]);
        return queue::peek_reply{block.finish()};
      },
      [state](const queue::dead_letters_request&) {
        locked guard{state->mutex};
        return queue::dead_letters_reply{state->letters};
      },
      [state](const queue::requeue_request& x) {
        return note(*state, "requeue " + x.queue.value + " " + std::to_string(x.ids.size()),
                    queue::count_reply{x.ids.size()});
      },
      [state](const queue::purge_request& x) {
        return note(*state,
                    "purge " + x.queue.value
                      + (x.what == queue::purge_what::dead_letters ? " dead letters" : " records"),
                    queue::count_reply{3});
      },
    };
  });
}

node::handle spawn_fake_agent(caf::actor_system& sys, std::shared_ptr<fake_head_state> state,
                              std::shared_ptr<std::vector<fake_log>> logs) {
  return sys.spawn([state, logs](node::handle::pointer) -> node::handle::behavior_type {
    return {
      [](const node::desired_state&) {},
      [state, logs](const node::log_request& x) -> caf::result<node::log_chunk> {
        locked guard{state->mutex};
        for (auto& log : *logs) {
          if (log.source.host != x.host)
            continue;
          if (log.failures > 0 && log.failures-- > 0)
            break;
          auto from = std::min<std::size_t>(x.offset, log.text.size());
          if (x.tail_lines > 0) {
            from = log.text.size();
            for (std::uint32_t lines = 0; from > 0; --from)
              if (log.text[from - 1] == '\n' && lines++ == x.tail_lines)
                break;
          }
          return node::log_chunk{x.host, log.text.substr(from), log.text.size(), log.source.ended};
        }
        return to_caf({errc::not_found, "no such log"});
      },
      [state, logs](const node::log_sources_request& x) {
        locked guard{state->mutex};
        node::log_sources_reply reply;
        for (const auto& log : *logs)
          if (x.flow.empty() || x.flow == log.source.flow)
            reply.sources.push_back(log.source);
        return reply;
      },
    };
  });
}

result<std::unique_ptr<control::artifact_upload>> fake_admission::begin(const artifact_id& expected,
                                                                        std::uint64_t,
                                                                        const std::vector<std::string>&,
                                                                        const flow_variables& given) {
  env = given;
  return std::make_unique<fake_upload>(*this, expected.value);
}

} // namespace sluice::test
