#include "actors/batch/batch_job.hpp"
#include "actors/cluster/cluster_changes.hpp"

#include <algorithm>
#include <cstdio>
#include <unordered_map>

namespace sluice::cluster {

namespace {

std::string subject_of(const node_id& node) { return "node/" + node.value; }

std::string seconds(std::chrono::nanoseconds length) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(length).count());
  return text;
}

std::string offer_of(const node::node_info& info) {
  char text[96];
  std::snprintf(text, sizeof text, "%.1f CPUs and %.1f GiB of memory", info.cpus,
                static_cast<double>(info.memory_bytes) / (1u << 30));
  return text;
}

bool is_same(const node::node_info& left, const node::node_info& right) {
  return left.started == right.started && left.address == right.address && left.cpus == right.cpus
         && left.memory_bytes == right.memory_bytes && left.labels == right.labels
         && left.sluice_version == right.sluice_version && left.is_head == right.is_head
         && left.http_address == right.http_address;
}

/// Lost replicas that were not replaced meanwhile are the node's again.
void adopt(change& it, node_record& node) {
  for (auto id : node.replicas)
    it.state.replicas.at(id).is_lost = false;
  node.must_send = true;
  if (node.stored.gone) {
    node.stored.gone = false;
    it.store(node);
  }
}

/// Dead or left: nobody waits for it, its leases go back, its replicas are replaced.
void lose(change& it, node_record& node) {
  node.stored.gone = true;
  node.is_connected = false;
  node.gone_at = it.at.now;
  node.report.reset();
  it.store(node);
  for (auto id : node.replicas) {
    auto& replica = it.state.replicas.at(id);
    replica.is_lost = true;
    replica.is_presumed = false;
    replica.report.reset();
    replica.up_since.reset();
  }
  it.out.actions.push_back(release_leases{{node.stored.info.id, {}, {}}, false, ""});
}

/// What ran there before has ended with the old process.
void begin_anew(change& it, node_record& node) {
  node.report.reset();
  for (auto id : node.replicas) {
    auto& replica = it.state.replicas.at(id);
    replica.is_presumed = false;
    replica.report.reset();
    replica.up_since.reset();
    replica.drain_revision = 0;
  }
  it.out.actions.push_back(release_leases{{node.stored.info.id, {}, {}}, false, ""});
}

/// True if the two reports differ in anything that is compared with what is wanted.
bool is_news(const std::optional<host::replica_report>& before, const host::replica_report* after) {
  if (!before || !after)
    return before.has_value() != (after != nullptr);
  const auto batch_phase_of = [](const host::replica_report& of) {
    return of.batch ? of.batch->phase : host::batch_phase::running;
  };
  return before->phase != after->phase || batch_phase_of(*before) != batch_phase_of(*after);
}

bool is_news(const node::node_report* before, const node::node_report& after) {
  if (!before)
    return true;
  return !std::ranges::equal(
    before->hosts, after.hosts, [](const node::host_status& a, const node::host_status& b) {
      return a.flow == b.flow && a.version == b.version && a.phase == b.phase && a.detail == b.detail;
    });
}

bool has_process(const node::host_status& host) {
  return host.phase == node::host_phase::starting || host.phase == node::host_phase::running
         || host.phase == node::host_phase::stopping;
}

/// The word of a host's end may be lost on its way. What it held goes back all the same once its node does
/// not name it any more, and counts no attempt: it would, if the leases ran out.
void release_ended(change& it, const node::node_report& before, const node::node_report& after) {
  for (const auto& host : before.hosts) {
    const bool is_there = std::ranges::any_of(
      after.hosts, [&](const node::host_status& each) { return each.id == host.id && has_process(each); });
    if (host.id && has_process(host) && !is_there)
      it.out.actions.push_back(release_leases{{after.node, host.id, {}}, false, ""});
  }
}

bool is_over(const host::replica_report& report) {
  return report.phase == host::replica_phase::down || report.phase == host::replica_phase::failed;
}

bool has_host(const node::node_report& report, const stored_replica& replica) {
  return std::ranges::any_of(report.hosts, [&](const node::host_status& host) {
    return host.flow == replica.flow && host.version == replica.version && has_process(host);
  });
}

/// True if a replica that was told to drain has come to its end. One that its node does not
/// name may be on its way into a host that has yet to report.
bool has_drained(const change& it, const replica_record& replica, const node::node_report& report,
                 const host::replica_report* now) {
  if (replica.stored.goal != host::replica_goal::drain || replica.drain_revision == 0
      || report.revision < replica.drain_revision)
    return false;
  if (now)
    return is_over(*now);
  return replica.report.has_value() || !has_host(report, replica.stored)
         || it.at.now - replica.drain_sent_at >= it.state.limits.unseen_after;
}

/// Keeps what is newest about a batch: its replicas do not all know the same.
void note_batch(change& it, const stored_replica& replica, const host::replica_report& report) {
  auto found = it.state.flows.find(replica.flow);
  if (!report.batch || found == it.state.flows.end() || found->second.stored.target != replica.version
      || report.batch->run != replica.version.value)
    return;
  auto [known, is_new] = found->second.batches.try_emplace(replica.processor, *report.batch);
  const bool is_open = known->second.phase == host::batch_phase::running;
  if (is_open
      && (report.batch->phase != host::batch_phase::running
          || report.batch->done_bytes >= known->second.done_bytes))
    known->second = *report.batch;
}

/// Takes over what the node says about its replicas; forgets drained ones that are gone.
void take_replicas(change& it, node_record& node, const node::node_report& report) {
  std::unordered_map<std::uint64_t, const host::replica_report*> reported;
  for (const auto& host : report.hosts)
    for (const auto& replica : host.replicas)
      if (auto [at, is_new] = reported.emplace(replica.id.value, &replica); !is_new && is_over(*at->second))
        at->second = &replica; // an old process of the host is named beside the new one
  const auto ids = node.replicas;
  for (auto id : ids) {
    auto& replica = it.state.replicas.at(id);
    auto found = reported.find(id.value);
    const auto* now = found == reported.end() ? nullptr : found->second;
    it.needs_reconcile = it.needs_reconcile || replica.is_presumed || is_news(replica.report, now);
    replica.is_presumed = false;
    if (now)
      note_batch(it, replica.stored, *now);
    if (has_drained(it, replica, report, now)) {
      it.needs_reconcile = true;
      it.forget_replica(id);
      continue;
    }
    const bool is_up = now && now->phase == host::replica_phase::running;
    if (!is_up)
      replica.up_since.reset();
    else if (!replica.up_since)
      replica.up_since = it.at.now;
    replica.report = now ? std::optional{*now} : std::nullopt;
  }
}

} // namespace

void take(change& it, const node_registers& what) {
  const auto& info = what.info;
  if (info.id.empty() || !info.started)
    return it.refuse(errc::invalid_argument, "a node registers with its id and its incarnation");
  auto found = it.state.nodes.find(info.id);
  const bool is_new = found == it.state.nodes.end();
  auto& node = is_new ? it.state.nodes[info.id] : found->second;
  const bool is_other_process = !is_new && node.stored.info.started != info.started;
  if (is_other_process && node.is_connected && it.state.detector.of(info.id) == liveness::alive)
    return it.refuse(errc::conflict, info.id.value + " is in the cluster already, as another process at "
                                       + node.stored.info.address
                                       + ": stop that one, or give this one a state directory of its own");
  const bool was_gone = node.stored.gone;
  const bool changed = is_new || !is_same(node.stored.info, info) || was_gone;
  const bool was_connected = node.is_connected;
  node.stored.info = info;
  node.has_left = false;
  node.has_registered = true;
  node.is_connected = true;
  it.state.detector.watch(info.id, it.at.now);
  if (is_other_process)
    begin_anew(it, node);
  adopt(it, node);
  if (changed && !was_gone)
    it.store(node);
  if (is_new)
    it.tell("info", subject_of(info.id), "joined with " + offer_of(info));
  else if (is_other_process && !was_gone)
    it.tell("warning", subject_of(info.id), "was started again; what ran on it starts again");
  else if (was_gone)
    it.tell("info", subject_of(info.id), "is back");
  else if (was_connected || node.shown == node_phase::suspect)
    it.tell("info", subject_of(info.id), "reconnected");
  node.shown = phase_of(it.state, node);
}

void take(change& it, const std::shared_ptr<const node::node_report>& what) {
  it.needs_reconcile = false;
  auto found = it.state.nodes.find(what->node);
  if (found == it.state.nodes.end())
    return;
  auto& node = found->second;
  if (node.stored.info.started != what->started || node.has_left || !node.has_registered)
    return; // a process that is no more, or one that has yet to register
  if (auto back = it.state.detector.heard(what->node, it.at.now)) {
    it.needs_reconcile = true;
    node.is_connected = true;
    if (back->before == liveness::dead)
      adopt(it, node);
    node.shown = phase_of(it.state, node);
    it.tell("info", subject_of(what->node), "is alive again after " + seconds(back->silence) + " of silence");
  }
  it.needs_reconcile = it.needs_reconcile || is_news(node.report.get(), *what);
  it.state.revision_last = std::max(it.state.revision_last, what->revision);
  const bool is_behind =
    what->revision < node.sent_revision && it.at.now - node.sent_at >= it.state.limits.resend_after;
  if (is_behind || what->revision > node.sent_revision) {
    node.must_send = true;
    it.needs_reconcile = true;
  }
  if (node.report)
    release_ended(it, *node.report, *what);
  node.report = what;
  take_replicas(it, node, *what);
}

void take(change& it, const node_leaves& what) {
  auto found = it.state.nodes.find(what.node);
  if (found == it.state.nodes.end() || found->second.has_left)
    return;
  auto& node = found->second;
  node.has_left = true;
  it.state.detector.watch_dead(what.node, it.at.now);
  if (!node.stored.gone)
    lose(it, node);
  node.shown = node_phase::left;
  it.tell("info", subject_of(what.node), "left");
}

void take(change& it, const link_lost& what) {
  it.needs_reconcile = false;
  auto found = it.state.nodes.find(what.node);
  if (found == it.state.nodes.end() || found->second.stored.info.started != what.started
      || found->second.has_left)
    return;
  if (auto change = it.state.detector.link_lost(what.node, it.at.now)) {
    found->second.shown = phase_of(it.state, found->second);
    it.tell("warning", subject_of(what.node), "is suspect: its link is closed");
  }
}

/// The queue that feeds a replica; empty when it is another source, or forgotten.
queue_name source_queue(const cluster_state& state, replica_id id) {
  auto replica = state.replicas.find(id);
  if (replica == state.replicas.end())
    return {};
  const auto& stored = replica->second.stored;
  auto flow = state.flows.find(stored.flow);
  if (flow == state.flows.end())
    return {};
  auto version = flow->second.versions.find(stored.version);
  if (version == flow->second.versions.end())
    return {};
  for (const auto& processor : version->second->spec.processors)
    if (processor.name == stored.processor && processor.kind == pattern::batch)
      return batch::splits_queue(stored.flow, stored.processor);
  for (const auto& processor : version->second->spec.processors)
    if (processor.name == stored.processor && processor.source.kind == "queue")
      if (auto name = processor.source.options.find("name"); name != processor.source.options.end())
        return queue_name{name->second};
  return {};
}

/// Only the records that were inside user code count an attempt: what else the host held
/// waits behind them through no fault of its own.
void blame_suspects(change& it, const host_ended& what) {
  std::map<replica_id, std::vector<std::uint64_t>> seqs_by_replica;
  for (const auto& suspect : what.report.suspects)
    seqs_by_replica[suspect.replica].push_back(suspect.seq);
  for (auto& [replica, seqs] : seqs_by_replica)
    if (auto queue = source_queue(it.state, replica); !queue.empty())
      it.out.actions.push_back(release_leases{
        {what.node, what.report.host, replica}, true, what.report.reason, queue, std::move(seqs)});
}

void take(change& it, const host_ended& what) {
  auto found = it.state.nodes.find(what.node);
  if (found == it.state.nodes.end())
    return;
  if (what.report.host) {
    if (!what.expected)
      blame_suspects(it, what);
    it.out.actions.push_back(release_leases{{what.node, what.report.host, {}}, false, ""});
  }
  if (!what.expected)
    it.tell("error", "host/" + what.flow.value + "@" + what.node.value, what.report.reason);
}

void take(change& it, const drain_node_request& what) {
  auto found = it.state.nodes.find(what.node);
  if (found == it.state.nodes.end())
    return it.refuse(errc::not_found,
                     "there is no node " + what.node.value + "; `sluice list nodes` shows those there are");
  auto& node = found->second;
  if (node.stored.drain_requested == !what.resume)
    return;
  node.stored.drain_requested = !what.resume;
  it.store(node);
  it.tell("info", subject_of(what.node), what.resume ? "takes work again" : "drains");
  node.shown = phase_of(it.state, node);
}

void judge_silence(change& it) {
  for (const auto& change : it.state.detector.tick(it.at.now)) {
    auto& node = it.state.nodes.at(change.node);
    if (change.after == liveness::suspect) {
      it.tell("warning", subject_of(change.node), "is suspect: silent for " + seconds(change.silence));
    } else if (change.after == liveness::dead) {
      const auto count = node.replicas.size();
      lose(it, node);
      it.tell("error", subject_of(change.node),
              std::string{"is dead: "} + (change.link_lost ? "its link is closed, " : "") + "silent for "
                + seconds(change.silence) + "; " + std::to_string(count)
                + (count == 1 ? " replica goes elsewhere" : " replicas go elsewhere"));
    }
    node.shown = phase_of(it.state, node);
  }
  std::vector<node_id> forgotten;
  for (const auto& [id, node] : it.state.nodes)
    if (node.stored.gone && !node.stored.drain_requested && node.replicas.empty()
        && it.at.now - node.gone_at >= it.state.limits.forget_gone_after)
      forgotten.push_back(id);
  for (const auto& id : forgotten) {
    it.state.nodes.erase(id);
    it.state.detector.forget(id);
    it.out.changes.nodes_forgotten.push_back(id);
    it.tell("info", subject_of(id), "is forgotten: gone for long");
  }
}

} // namespace sluice::cluster
