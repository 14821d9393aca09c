#include "transport/process/process_launcher.hpp"

#include "transport/process/host_environment.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::process {

namespace {

constexpr std::size_t launches_waiting_max = 256;
constexpr int pipe_bytes = 256 << 10;

std::chrono::system_clock::time_point wall_now() { return std::chrono::system_clock::now(); }

failure system_failure(const char* what) {
  return {errc::exhausted, std::string{what} + ": " + std::strerror(errno)};
}

/// Both ends of what a host inherits and of what we keep.
struct channels {
  unique_fd our_socket, its_socket;
  unique_fd output_read, output_write;
};

result<channels> open_channels() {
  channels out;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return tl::unexpected{system_failure("socketpair")};
  out.our_socket = unique_fd{ends[0]};
  out.its_socket = unique_fd{ends[1]};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return tl::unexpected{system_failure("pipe")};
  out.output_read = unique_fd{ends[0]};
  out.output_write = unique_fd{ends[1]};
  ::fcntl(out.output_write.get(), F_SETPIPE_SZ, pipe_bytes); // best effort
  return out;
}

std::vector<node::suspect_record> to_suspects(const flight_recorder& recorder,
                                              std::chrono::nanoseconds hung_after) {
  std::vector<node::suspect_record> out;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  for (const auto& each : blame(recorder.inside(), now, hung_after))
    out.push_back({each.replica, each.seq});
  return out;
}

} // namespace

struct process_launcher::entry {
  node::launch_order order;
  node::host_observer to;
  std::unique_ptr<flight_recorder> recorder;
  // guarded by the launcher's mutex
  bool is_started = false;
  bool is_cancelled = false;
  exit_context context;
  std::chrono::milliseconds hung_after{0};
};

process_launcher::process_launcher(launcher_options options, log_directory& logs)
  : options_(std::move(options)), logs_(logs) {
  collector_ = std::make_unique<log_collector>([] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch()).count();
  });
  supervisor_ = std::make_unique<supervisor>(oom_watch::interval,
                                             [this] { oom_watch_.look(std::chrono::steady_clock::now()); });
  preparer_ = std::make_unique<work_thread>(launches_waiting_max);
}

process_launcher::~process_launcher() {
  preparer_.reset();
  supervisor_.reset();
  collector_.reset();
}

void process_launcher::launch(node::launch_order order, node::host_observer to) {
  auto fresh = std::make_shared<entry>();
  fresh->order = std::move(order);
  fresh->to = std::move(to);
  {
    std::lock_guard guard{mutex_};
    hosts_[fresh->order.host] = fresh;
  }
  if (!preparer_->post([this, fresh] { prepare(fresh); }))
    give_up(fresh, {errc::overloaded, "too many hosts are being started"});
}

void process_launcher::terminate(host_id host) {
  std::lock_guard guard{mutex_};
  auto found = hosts_.find(host);
  if (found == hosts_.end())
    return;
  found->second->context.we_terminated = true;
  if (found->second->is_started)
    supervisor_->signal(host.value, SIGTERM);
  else
    found->second->is_cancelled = true;
}

void process_launcher::kill(host_id host, std::chrono::milliseconds hung_after, const std::string& why) {
  std::lock_guard guard{mutex_};
  auto found = hosts_.find(host);
  if (found == hosts_.end())
    return;
  found->second->context.we_killed = true;
  if (found->second->context.kill_reason.empty())
    found->second->context.kill_reason = why;
  if (hung_after > found->second->hung_after)
    found->second->hung_after = hung_after;
  if (found->second->is_started)
    supervisor_->signal(host.value, SIGKILL);
  else
    found->second->is_cancelled = true;
}

/// On the preparer's thread: all that may block.
void process_launcher::prepare(const entry_ptr& which) {
  const auto& flow = which->order.flow;
  if (!is_valid_name(flow.flow.value)) // it becomes the name of a directory
    return give_up(which, {errc::invalid_argument, "'" + flow.flow.value + "' is no name of a flow"});
  auto program = options_.open_program(flow.artifact);
  if (!program)
    return give_up(which, program.error());
  auto recorder = flight_recorder::create();
  if (!recorder)
    return give_up(which, recorder.error());
  auto ends = open_channels();
  if (!ends)
    return give_up(which, ends.error());
  which->recorder = std::move(*recorder);

  supervisor::order what;
  what.options.program_fd = program->get();
  what.options.argv = {flow.flow.value};
  what.options.argv.insert(what.options.argv.end(), flow.args.begin(), flow.args.end());
  what.options.env = scrubbed_environment(flow.env);
  what.options.env.insert(what.options.env.end(), options_.env.begin(), options_.env.end());
  what.options.env.push_back("SLUICE_HOST=" + std::to_string(which->order.host.value));
  what.options.env.push_back("SLUICE_FLOW=" + flow.flow.value);
  what.options.env.push_back("SLUICE_FLOW_VERSION=" + std::to_string(flow.version.value));
  what.options.output_fd = ends->output_write.get();
  what.options.fds = {{ends->its_socket.get(), host_link_fd}, {which->recorder->fd(), host_flight_fd}};
  const auto directory = options_.work_dir / flow.flow.value;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return give_up(which, {errc::unavailable, "cannot make " + directory.string() + ": " + error.message()});
  what.options.directory = directory.string();
  what.options.nice = options_.nice;
  what.options.oom_score_adj = options_.oom_score_adj;
  what.owned.push_back(std::move(*program));
  what.owned.push_back(std::move(ends->its_socket));
  what.owned.push_back(std::move(ends->output_write));
  auto socket = std::make_shared<unique_fd>(std::move(ends->our_socket));
  what.on_started = [this, which, socket](const result<pid_t>& pid) {
    on_started(which, std::move(*socket), pid);
  };
  what.on_exited = [this, which](const exit_status& how) { on_exited(which, how); };

  const auto host = which->order.host;
  collector_->add(host.value, std::move(ends->output_read), logs_.open(flow.flow, flow.version, host));
  std::unique_lock guard{mutex_};
  if (which->is_cancelled) {
    guard.unlock();
    return give_up(which, {errc::cancelled, "stopped before it started"});
  }
  which->is_started = true; // signals from now on are queued behind the start
  supervisor_->start(host.value, std::move(what));
}

void process_launcher::on_started(const entry_ptr& which, unique_fd socket, const result<pid_t>& pid) {
  if (!pid)
    return give_up(which, pid.error());
  caf::anon_send(which->to, node::host_started{which->order.host, *pid});
  options_.connect(which->order, std::move(socket), which->to);
}

void process_launcher::on_exited(const entry_ptr& which, const exit_status& how) {
  auto report = std::make_shared<node::crash_report>();
  report->at = wall_now();
  report->host = which->order.host;
  report->exit_code = how.exit_code;
  report->signal = how.signal;
  exit_context context;
  {
    std::lock_guard guard{mutex_};
    context = which->context;
    report->suspects = to_suspects(*which->recorder, which->hung_after);
    report->has_passed_records = which->recorder->has_passed_any();
  }
  if (how.signal == SIGKILL && !context.we_killed)
    context.by_kernel = oom_watch_.judge(std::chrono::steady_clock::now());
  collector_->finish(
    which->order.host.value,
    [how, context, report](const log_collector::log_lines& log_tail) {
      report->reason = describe_exit(how, context, log_tail);
      return "sluice: the host ended: " + report->reason;
    },
    [this, which, report](log_collector::log_lines log_tail) {
      report->backtrace = find_backtrace(log_tail);
      report->log_tail = std::move(log_tail);
      logs_.close(which->order.host);
      forget(which);
      caf::anon_send(which->to, node::host_exited{std::move(*report)});
    });
}

void process_launcher::give_up(const entry_ptr& which, failure why) {
  collector_->finish(
    which->order.host.value,
    [why](const log_collector::log_lines&) { return "sluice: the host did not start: " + why.message; },
    [](const log_collector::log_lines&) {});
  logs_.close(which->order.host);
  forget(which);
  caf::anon_send(which->to, node::launch_failed{which->order.host, std::move(why)});
}

/// The folder that a flow works in goes with its last host here if nothing is in it. Under the lock: the next host
/// is in `hosts_` before it makes the folder.
void process_launcher::forget(const entry_ptr& which) {
  const auto& flow = which->order.flow.flow;
  std::lock_guard guard{mutex_};
  hosts_.erase(which->order.host);
  const auto runs_on = std::any_of(hosts_.begin(), hosts_.end(),
                                   [&](const auto& each) { return each.second->order.flow.flow == flow; });
  std::error_code ignored;
  if (!runs_on && is_valid_name(flow.value))
    std::filesystem::remove(options_.work_dir / flow.value, ignored);
}

} // namespace sluice::process
