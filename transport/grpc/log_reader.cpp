#include "transport/grpc/log_reader.hpp"

#include "transport/grpc/ask.hpp"
#include "transport/grpc/convert.hpp"
#include "transport/grpc/log_merge.hpp"

#include <sluice/codec/utf8.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace sluice::control {

namespace {

constexpr std::chrono::milliseconds node_timeout{5'000};
constexpr std::uint32_t chunk_size_bytes_max = 256u << 10;
constexpr std::uint32_t chunk_size_bytes_min = 16u << 10; ///< of each log, if there are many
constexpr std::uint32_t held_bytes_max = 16u << 20;       ///< of all, but for `chunk_size_bytes_min`

/// One host's log, or the access log of a node, and how far it was read.
struct open_log {
  node::handle agent;
  flow_name flow;
  std::size_t index = 0;        ///< its place in the merge
  std::uint32_t tail_lines = 0; ///< > 0: it begins with its last lines; until a read has succeeded
  std::uint64_t offset = 0;
  bool ended = false;
  bool is_dry = false; ///< there was no more for now
};

class reader {
public:
  reader(caf::actor_system& sys, const cluster::handle& cluster, const v1::ReadLogsRequest& request,
         const log_reader_ports& ports, host_id host)
    : sys_(sys), cluster_(cluster), request_(request), ports_(ports), host_(host) {}

  result<void> run() {
    if (auto found = scan(true); !found)
      return fail(found);
    if (logs_.empty() && unreachable_.empty())
      return nothing_found();
    auto since_scan = std::chrono::milliseconds{0};
    while (read_what_is_new() && request_.follow()) {
      if (!ports_.pause(log_poll_interval))
        break;
      since_scan += log_poll_interval;
      if (since_scan < log_rescan_interval)
        continue;
      since_scan = std::chrono::milliseconds{0};
      static_cast<void>(scan(false)); // a head that cannot answer now is asked again a second later
    }
    return {};
  }

private:
  using key = std::pair<host_id, node_id>;

  bool wants_access_log() const { return !request_.node().empty(); }

  result<void> nothing_found() const {
    if (wants_access_log())
      return fail(errc::not_found, known_node_ ? "node/" + request_.node()
                                                   + " keeps no access log; its setting access-log says so"
                                               : "there is no node '" + request_.node()
                                                   + "'; `sluice list nodes` shows those there are");
    if (host_)
      return fail(errc::not_found, "no node keeps a log of host/" + to_text(host_)
                                     + "; `sluice list hosts` shows those there are");
    if (known_flow_)
      return {}; // no host of it has started yet
    return fail(errc::not_found, "there is no flow '" + request_.flow()
                                   + "' and no log of one; `sluice list "
                                     "flows` shows those there are");
  }

  /// Looks for logs that are not open yet. Those that were there at the first time begin with as many of their last
  /// lines as were asked for, the others with their first.
  result<void> scan(bool is_first) {
    auto reply = ask<cluster::view_reply>(sys_, cluster_, node_timeout, cluster::view_request{});
    if (!reply)
      return fail(reply);
    for (const auto& flow : reply->view->flows)
      known_flow_ = known_flow_ || flow.name.value == request_.flow();
    for (const auto& node : reply->view->nodes) {
      const bool is_named = node.info.id.value == request_.node();
      known_node_ = known_node_ || is_named;
      if (node.phase == cluster::node_phase::left || (wants_access_log() && !is_named))
        continue;
      if (is_first)
        unseen_.insert(node.info.id);
      if (auto done = scan_node(node); !done && is_concerned(node))
        report_unreachable(node.info.id, done.error().message);
    }
    return {};
  }

  result<void> scan_node(const cluster::node_view& node) {
    const auto& id = node.info.id;
    if (node.phase == cluster::node_phase::dead)
      return fail(errc::unavailable, "the node is dead");
    auto agent = ask<cluster::agent_reply>(sys_, cluster_, node_timeout, cluster::agent_request{id});
    if (!agent)
      return fail(agent);
    flow_name of{wants_access_log() ? std::string{node::access_log_flow} : request_.flow()};
    auto sources = ask<node::log_sources_reply>(sys_, agent->agent, node_timeout,
                                                node::log_sources_request{std::move(of)});
    if (!sources)
      return fail(sources);
    unreachable_.erase(id);
    const auto tail_lines = unseen_.erase(id) > 0 ? request_.tail_lines() : 0;
    for (const auto& source : sources->sources) {
      if (host_ && source.host != host_)
        continue;
      const key which{source.host, id};
      if (auto known = logs_.find(which); known != logs_.end()) {
        known->second.agent = agent->agent; // the node may have reconnected
        continue;
      }
      const auto index = keys_.size();
      keys_.push_back(which);
      logs_[which] = {agent->agent, source.flow, index, tail_lines};
    }
    return {};
  }

  /// Whether an unreachable node may keep what was asked for.
  bool is_concerned(const cluster::node_view& node) const {
    if (wants_access_log())
      return true;
    for (const auto& host : node.hosts)
      if (host_ ? host.id == host_ : host.flow.value == request_.flow())
        return true;
    return false;
  }

  void report_unreachable(const node_id& node, const std::string& why) {
    if (!unreachable_.insert(node).second)
      return; // said already
    v1::ReadLogsReply part;
    part.set_node(node.value);
    part.set_unreachable(codec::to_utf8(why));
    gone_ = gone_ || !ports_.write(part);
  }

  /// Reads every open log to its end, by time over all of them: of each a piece is held, and what is the oldest
  /// is handed out. False = the client is gone.
  bool read_what_is_new() {
    for (auto& [which, log] : logs_)
      log.is_dry = log.ended;
    while (!gone_) {
      for (auto& [which, log] : logs_)
        if (!gone_ && !log.is_dry && merge_.is_empty(log.index))
          read(which, log);
      const auto piece = gone_ ? std::nullopt : merge_.next();
      if (!piece)
        break;
      hand_out(keys_[piece->log], piece->text, false);
    }
    return !gone_;
  }

  /// What one log may hold, so that many together hold not too much.
  std::uint32_t chunk_size_bytes() const {
    const auto share = held_bytes_max / static_cast<std::uint32_t>(std::max<std::size_t>(1, logs_.size()));
    return std::clamp(share, chunk_size_bytes_min, chunk_size_bytes_max);
  }

  /// Reads one piece.
  void read(const key& which, open_log& log) {
    if (!ports_.pause(std::chrono::milliseconds{0})) {
      gone_ = true;
      return;
    }
    const auto& [host, node] = which;
    auto chunk =
      ask<node::log_chunk>(sys_, log.agent, node_timeout,
                           node::log_request{log.flow, host, log.offset, log.tail_lines, chunk_size_bytes()});
    if (!chunk) {
      report_unreachable(node, chunk.error().message);
      log.is_dry = true;
      return;
    }
    log.tail_lines = 0;
    const bool has_moved = chunk->offset_next > log.offset;
    log.offset = chunk->offset_next;
    log.ended = chunk->text.empty() && chunk->host_ended;
    log.is_dry = log.ended || chunk->text.empty() || !has_moved;
    merge_.feed(log.index, chunk->text);
    if (log.ended)
      hand_out(which, {}, true);
  }

  void hand_out(const key& which, const std::string& text, bool ended) {
    const auto& [host, node] = which;
    v1::ReadLogsReply part;
    part.set_node(node.value);
    if (!wants_access_log()) {
      part.set_flow(logs_.at(which).flow.value);
      part.set_host(to_text(host));
    }
    part.set_text(codec::to_utf8(text));
    part.set_host_ended(ended);
    gone_ = gone_ || !ports_.write(part);
  }

  caf::actor_system& sys_;
  const cluster::handle& cluster_;
  const v1::ReadLogsRequest& request_;
  const log_reader_ports& ports_;
  host_id host_;
  std::map<key, open_log> logs_;
  std::vector<key> keys_; ///< by place in the merge
  log_merge merge_;
  std::set<node_id> unreachable_;
  std::set<node_id> unseen_; ///< were there at the first scan and have not told their logs yet
  bool known_flow_ = false;
  bool known_node_ = false;
  bool gone_ = false;
};

} // namespace

result<void> read_logs(caf::actor_system& sys, const cluster::handle& cluster,
                       const v1::ReadLogsRequest& request, const log_reader_ports& ports) {
  host_id host;
  if (!request.host().empty()) {
    auto parsed = host_id_from_text(request.host());
    if (!parsed)
      return fail(parsed);
    host = *parsed;
  }
  if (!host && request.flow().empty() && request.node().empty())
    return fail(errc::invalid_argument, "logs of what? name a flow, a host or a node");
  return reader{sys, cluster, request, ports, host}.run();
}

} // namespace sluice::control
