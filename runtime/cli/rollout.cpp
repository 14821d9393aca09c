#include "runtime/cli/rollout.hpp"

#include "runtime/batch_progress.hpp"
#include "runtime/cli/style.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/cli/wait.hpp"
#include "actors/batch/batch_job.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <ostream>

namespace sluice::cli {

namespace {

using client::api::Flow;
using client::api::SnapshotReply;

constexpr int log_lines_shown_max = 15;

const Flow* find_flow(const SnapshotReply& snapshot, const std::string& name) {
  for (const auto& flow : snapshot.flows())
    if (flow.name() == name)
      return &flow;
  return nullptr;
}

/// Of a host of this version that crashed: the reason, and what it wrote last.
std::string last_words(const SnapshotReply& snapshot, const std::string& flow, std::uint64_t version) {
  for (const auto& node : snapshot.nodes())
    for (const auto& host : node.hosts()) {
      if (host.flow() != flow || host.version() != version || !host.has_last_crash())
        continue;
      const auto& crash = host.last_crash();
      auto text = "host/" + host.id() + " on node/" + node.id() + ": " + fit(crash.reason(), 0) + "\n";
      for (auto i = std::max(0, crash.log_tail_size() - log_lines_shown_max); i < crash.log_tail_size(); ++i)
        text += "  | " + fit(crash.log_tail(i), 0) + "\n";
      return text; // the others died of the same
    }
  return {};
}

host::batch_report report_of(const client::api::Batch& from) {
  host::batch_report to;
  to.phase = from.phase() == "done"     ? host::batch_phase::done
             : from.phase() == "failed" ? host::batch_phase::failed
                                        : host::batch_phase::running;
  to.source_bytes = from.source_bytes();
  to.done_bytes = from.done_bytes();
  to.records_in = from.records_in();
  to.records_out = from.records_out();
  to.rejected = from.rejected_count();
  return to;
}

/// On the node that ran it.
std::string rejected_path_of(const std::string& flow, const client::api::Processor& processor) {
  processor_spec spec;
  spec.name = processor_name{processor.name()};
  const auto io_of = [](const client::api::IoSpec& from) {
    return io_spec{from.kind(), {from.options().begin(), from.options().end()}};
  };
  spec.source = io_of(processor.spec().source());
  spec.sink = io_of(processor.spec().sink());
  spec.batch = batch_spec{.rejected = processor.spec().batch().rejected()};
  return batch::rejected_path(flow_name{flow}, spec);
}

std::string progress_of(const Flow& flow) {
  std::string text = flow.phase();
  if (flow.phase() != "running" && !flow.detail().empty())
    text += " (" + flow.detail() + ")"; // why it does not run, or not all of it
  for (const auto& processor : flow.processors())
    text +=
      "  " + processor.name() + ": "
      + (processor.has_batch() ? runtime::batch_bar(report_of(processor.batch()), processor.rate_per_s())
                               : std::string{"has not begun"});
  return text;
}

/// Says what went wrong last in a processor, while it goes on: each text once, and not more often than is read.
class error_teller {
public:
  void tell(const environment& env, const Flow& flow) {
    for (const auto& processor : flow.processors()) {
      const auto& text = processor.last_error();
      auto& said = said_[processor.name()];
      if (text.empty() || text == said.text || (!said.text.empty() && env.now() - said.at < say_every))
        continue;
      said = {text, env.now()};
      talk(env) << processor.name() << ": last error: " << text << "\n" << std::flush;
    }
  }

private:
  struct last {
    std::string text;
    std::chrono::steady_clock::time_point at;
  };
  static constexpr auto say_every = std::chrono::seconds{10};
  std::map<std::string, last> said_;
};

/// A batch of it has run and failed, which the same will do again: on its records, or what it reads and writes.
bool has_failed_batch(const Flow& flow) {
  return std::ranges::any_of(flow.processors(),
                             [](const auto& each) { return each.batch().phase() == "failed"; });
}

int say_failed(const environment& env, const SnapshotReply& snapshot, const Flow& flow,
               std::uint64_t version) {
  const bool has_run = flow.version_target() == version && has_failed_batch(flow);
  complain(env,
           {has_run ? errc::invalid_argument : errc::internal,
            "flow/" + flow.name() + " version " + std::to_string(version)
              + (has_run ? " failed: " : " does not run: ")
              + (flow.detail().empty() ? "no reason is known" : flow.detail())},
           last_words(snapshot, flow.name(), version) + "see `sluice get flow/" + flow.name()
             + "` and `sluice logs flow/" + flow.name() + "`\n");
  return failed;
}

int say_late(const environment& env, const SnapshotReply& snapshot, const std::string& name,
             std::uint64_t version) {
  const auto* flow = find_flow(snapshot, name);
  auto waits = std::any_of(snapshot.replicas().begin(), snapshot.replicas().end(), [&](const auto& replica) {
    return replica.flow() == name && replica.version() == version && replica.node().empty();
  });
  auto cannot_place =
    waits || (flow != nullptr && flow->detail().find("cannot be placed") != std::string::npos);
  auto text = "flow/" + name + " version " + std::to_string(version) + " does not run yet";
  if (flow != nullptr && !flow->detail().empty())
    text += ": " + flow->detail();
  complain(env, {cannot_place ? errc::exhausted : errc::timeout,
                 text + "; it goes on by itself, watch it with `sluice status --watch`"});
  return cannot_place ? no_capacity : unreachable;
}

} // namespace

int wait_for_version(const environment& env, client::control_client& head, const std::string& flow,
                     std::uint64_t version, std::chrono::milliseconds timeout) {
  auto verdict = [&](const SnapshotReply& snapshot) -> std::optional<int> {
    const auto* now = find_flow(snapshot, flow);
    if (now == nullptr) // it was stored before the submit was answered
      return complain(env, {errc::not_found, "flow/" + flow + " was deleted meanwhile"});
    if (now->version_target() > version)
      return complain(env,
                      {errc::conflict, "version " + std::to_string(now->version_target())
                                         + " takes its place: another submit or rollback came meanwhile"});
    if (now->version_target() != version || now->phase() == "failed")
      return say_failed(env, snapshot, *now, version);
    if (now->version_current() != version || (now->phase() != "running" && now->phase() != "completed"))
      return std::nullopt;
    talk(env) << style(env.err_terminal).good(now->phase()) << ": flow/" << flow << " version " << version
              << "\n";
    return ok;
  };
  return wait_until(env, head, timeout, verdict,
                    [&](const SnapshotReply& last) { return say_late(env, last, flow, version); });
}

int wait_for_end(const environment& env, client::control_client& head, const std::string& flow,
                 std::uint64_t version, const std::function<void(const Flow&)>& on_end) {
  constexpr auto say_every = std::chrono::seconds{10}; // where no line can be drawn
  constexpr auto wait_max = std::chrono::hours{24 * 365};
  const bool draws = env.err_terminal.is_terminal;
  auto said_at = env.now() - say_every;
  error_teller errors;
  auto verdict = [&](const SnapshotReply& snapshot) -> std::optional<int> {
    const auto* now = find_flow(snapshot, flow);
    if (now == nullptr) // it was stored before the submit was answered
      return complain(env, {errc::not_found, "flow/" + flow + " was deleted meanwhile"});
    if (draws)
      talk(env) << "\r\x1b[K" << std::flush;
    if (now->version_target() < version) // given up: the one before stays
      return say_failed(env, snapshot, *now, version);
    if (now->version_target() > version)
      return complain(env, {errc::conflict, "version " + std::to_string(now->version_target()) + " of flow/"
                                              + flow + " took its place"});
    if (now->phase() == "failed" || now->phase() == "completed")
      on_end(*now);
    if (now->phase() == "failed")
      return say_failed(env, snapshot, *now, version);
    if (now->phase() == "completed") {
      talk(env) << style(env.err_terminal).good("completed") << ": flow/" << flow << " version " << version
                << "\n";
      for (const auto& processor : now->processors()) {
        talk(env) << "  " << processor.name() << ": " << runtime::batch_counts(report_of(processor.batch()))
                  << " in " << runtime::seconds_text(std::chrono::milliseconds{processor.batch().took_ms()})
                  << "\n";
        if (processor.batch().rejected_count() > 0)
          talk(env) << "    rejected records: " << rejected_path_of(flow, processor) << "\n";
      }
      return ok;
    }
    errors.tell(env, *now);
    const auto text = progress_of(*now);
    if (draws)
      talk(env) << fit(text, env.err_terminal.width) << std::flush;
    else if (env.now() - said_at >= say_every) {
      said_at = env.now();
      talk(env) << text << "\n" << std::flush;
    }
    return std::nullopt;
  };
  return wait_until(env, head, wait_max, verdict,
                    [&](const SnapshotReply& last) { return say_late(env, last, flow, version); });
}

} // namespace sluice::cli
