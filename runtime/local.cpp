#include "runtime/local.hpp"

#include "runtime/batch_progress.hpp"
#include "runtime/http_front.hpp"
#include "runtime/local_batch.hpp"
#include "runtime/local_exit.hpp"
#include "runtime/local_feed.hpp"
#include "runtime/local_letters.hpp"
#include "runtime/local_progress.hpp"
#include "runtime/local_system.hpp"
#include "runtime/local_troubles.hpp"
#include "transport/process/crash_handler.hpp"
#include "actors/batch/batch_job.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <set>
#include <signal.h>
#include <string>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace sluice::runtime {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds step{50};
constexpr std::chrono::milliseconds look_every{200}; ///< at the queues
constexpr std::chrono::milliseconds draw_every{500};
constexpr std::chrono::seconds say_every{5};           ///< how a batch goes on, where no line can be drawn
constexpr std::chrono::seconds requests_drain_max{10}; ///< for requests under way, before replicas drain
constexpr std::chrono::seconds held_up_max{5};         ///< a drain, by what does not work

enum exit_code : int {
  ok = 0,
  failed = 1,
  bad_usage = 2,
  partly_failed = 7,
  interrupted = 130,
  terminated = 143
};

/// Redraws one line on a terminal; without one, keeps still, but for a line of a batch now and then.
class status_line {
public:
  void draw(const std::string& text, bool has_batch = false) {
    if (is_terminal_)
      std::cerr << "\r\x1b[K" << text << std::flush;
    else if (has_batch && clock::now() - said_at_ >= say_every) {
      said_at_ = clock::now();
      std::cerr << text << std::endl;
    }
  }
  void clear() { draw({}); }
  /// A line that stays.
  void say(const std::string& text) {
    clear();
    std::cerr << "sluice: " << text << std::endl;
  }
  std::size_t columns() const {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
  }

private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  clock::time_point said_at_ = clock::now();
};

/// No end of its input is its end.
bool runs_for_ever(const flow_spec& spec) {
  return std::any_of(spec.processors.begin(), spec.processors.end(), [](const auto& each) {
    return each.http || each.source.kind == "pulse" || each.source.options.contains("tail");
  });
}

/// One run from start to exit code.
class local_run {
public:
  /// `front` is none if the flow has no routes.
  local_run(local_options opts, std::unique_ptr<local_system> system, std::unique_ptr<http_front> front)
    : opts_(std::move(opts)), system_(std::move(system)), front_(std::move(front)),
      rates_(opts_.spec.processors.size(), 0.0) {}

  int run() {
    line_.say("flow '" + opts_.spec.name.value + "' runs in this process; its queues are in "
              + opts_.state_dir.string() + "; Ctrl-C drains");
    auto chosen = choose_run(*system_, opts_.spec, opts_.restart);
    if (!chosen) {
      line_.say(chosen.error().message);
      return failed;
    }
    if (!chosen->remark.empty())
      line_.say(chosen->remark);
    for (const auto& name : opts_.requeues) {
      auto count = system_->requeue(queue_name{name});
      line_.say(count ? "tried again: " + counted(*count, "dead letter") + " of queue '" + name + "'"
                      : count.error().message);
      if (!count)
        return failed;
    }
    feed_ = std::make_unique<local_feed>(system_->actors(), system_->queues(), opts_.feeds);
    if (takes_queue_once() && !feed_first())
      return leave();
    system_->start(opts_, chosen->run);
    if (front_)
      serve();
    while (!finished_)
      turn();
    return leave();
  }

private:
  bool takes_queue_once() const {
    return std::any_of(opts_.spec.processors.begin(), opts_.spec.processors.end(), [](const auto& each) {
      return each.kind == pattern::batch && each.source.kind == "queue";
    });
  }

  /// A batch takes what is in its queue when it begins. False when a signal was first.
  bool feed_first() {
    while (!feed_->is_done())
      if (auto signal = opts_.wait_for_signal(step)) {
        code_ = code_of(*signal);
        feed_->stop();
        return false;
      }
    return true;
  }

  void serve() {
    const auto routes = routes_of(opts_.spec, system_->replicas(), node_id{"local"});
    front_->set_routes(routes);
    const auto colon = opts_.http.rfind(':');
    line_.say("serves http://" + opts_.http.substr(0, colon) + ":" + std::to_string(front_->ports().front()));
    for (const auto& route : routes.routes)
      std::cerr << "  " << to_string(route.http.method) << " " << route.http.route << "  "
                << route.processor.value << "\n";
    std::cerr << std::flush;
  }

  void turn() {
    if (auto signal = opts_.wait_for_signal(step))
      on_signal(*signal);
    if (draining_)
      drain_replicas();
    // In this order: what the feed has put and what the report says is settled, the numbers of the queues then
    // include.
    const bool fed = feed_->is_done();
    const bool drained = replicas_drain_ && system_->is_drained();
    const auto report_count = system_->report_count();
    auto report = system_->report();
    if (auto why = system_->broken())
      return give_up("the disk failed: " + why->message);
    const auto now = clock::now();
    if (report && (drained || report_count != reports_seen_ || now - looked_at_ >= look_every)) {
      looked_at_ = now;
      reports_seen_ = report_count;
      auto stats = system_->stats();
      if (!stats)
        return give_up("the queue does not answer: " + stats.error().message);
      look(*report, *stats, fed, now);
    }
    finished_ = finished_ || drained;
    if (!finished_ && draining_ && now - drain_began_ > drain_max())
      give_up("the drain took longer than "
              + std::to_string(std::chrono::ceil<std::chrono::seconds>(drain_max()).count()) + " s");
  }

  void look(const host::host_report& report, const std::vector<queue::queue_stat>& stats, bool fed,
            clock::time_point now) {
    auto seen = progress_of(opts_.spec, report, stats);
    if (front_)
      add_sink_errors(seen, front_->loads());
    const auto passed = std::chrono::duration<double>(now - rated_at_).count();
    if (now - rated_at_ >= draw_every) {
      for (std::size_t i = 0; i < seen.size() && i < progress_.size(); ++i)
        rates_[i] =
          static_cast<double>(seen[i].processed_total - std::min(seen[i].processed_total, progress_rated_[i]))
          / passed;
      progress_rated_.clear();
      for (const auto& one : seen)
        progress_rated_.push_back(one.processed_total);
      rated_at_ = now;
      const bool has_batch =
        std::any_of(seen.begin(), seen.end(), [](const auto& one) { return one.batch.has_value(); });
      line_.draw(progress_line(seen, rates_, line_.columns()), has_batch);
    }
    if (progress_rated_.empty())
      progress_rated_.resize(seen.size(), 0);
    progress_ = std::move(seen);
    for (const auto& text : troubles_.next(progress_, now))
      line_.say(text);
    tell_failures(report);
    if (draining_)
      return look_at_drain(report, now);
    if (fed && feed_->error()) {
      line_.say(feed_->error()->message);
      code_ = failed;
      drain();
    } else if (has_ended(progress_, fed)) {
      has_ended_ = true;
      drain();
    }
  }

  /// A full disk, say: what is not settled comes again next time, so it is not worth the whole wait.
  void look_at_drain(const host::host_report& report, clock::time_point now) {
    if (!is_held_up(report))
      held_up_since_ = now;
    else if (now - held_up_since_ >= held_up_max)
      give_up("the drain is given up; what is not settled is done again next time");
  }

  /// What cannot go on ends the run, and so does what hangs.
  void tell_failures(const host::host_report& report) {
    for (const auto& one : progress_) {
      if (one.failure && told_.insert(one.name.value).second) {
        line_.say(one.name.value + ": " + *one.failure);
        code_ = failed;
        drain();
      }
    }
    for (const auto& replica : report.replicas) {
      auto spec = std::find_if(opts_.spec.processors.begin(), opts_.spec.processors.end(),
                               [&](const auto& each) { return each.name == replica.processor; });
      const bool sets_up = replica.phase == host::replica_phase::starting;
      if (spec != opts_.spec.processors.end() && spec->timeout.count() > 0 && !sets_up
          && replica.busy_longest > spec->timeout + limits::host_hang_grace)
        tell_hung(replica, *spec);
    }
  }

  /// A thread cannot be ended. So the process is, as a cluster's node would do, and who starts it again goes on with the next
  /// attempt; but not all that a flow serves for one request.
  void tell_hung(const host::replica_report& replica, const processor_spec& spec) {
    const auto what = replica.processor.value + ": a call takes longer than its timeout of "
                      + std::to_string(spec.timeout.count()) + " ms";
    if (spec.http) {
      if (told_.insert(replica.processor.value + " hangs").second)
        line_.say(what + "; a cluster would end the process and start another, here it goes on");
      return;
    }
    if (draining_ || !system_->blame_hung(replica.id, spec.timeout))
      return;
    line_.say(what + ", and only the end of the process ends it; "
              + (spec.source.kind == "queue" ? "the attempt counts, " : "") + "start again to go on");
    std::_Exit(failed);
  }

  /// A service that is asked to end has done what it should; a run that would have come to its end has not.
  exit_code code_of(int signal) const {
    if (signal == SIGINT)
      return interrupted;
    return runs_for_ever(opts_.spec) ? code_ : terminated;
  }

  void on_signal(int signal) {
    if (std::exchange(is_asked_to_end_, true)) {
      line_.say("ended at once; what was in flight is done again next time");
      system_->blame_nobody();
      std::_Exit(code_ == ok ? terminated : code_);
    }
    code_ = code_of(signal);
    line_.say("draining: what is in user code is finished; once more ends at once");
    drain();
  }

  std::chrono::nanoseconds drain_max() const {
    std::chrono::nanoseconds longest{0};
    for (const auto& each : opts_.spec.processors)
      longest = std::max<std::chrono::nanoseconds>(longest, each.timeout);
    return limits::drain_max(longest);
  }

  void drain() {
    if (std::exchange(draining_, true))
      return;
    drain_began_ = held_up_since_ = clock::now();
    feed_->stop();
    drain_replicas();
  }

  /// Once the requests under way have had their time. It is not waited for here: a signal may come meanwhile.
  void drain_replicas() {
    if (replicas_drain_)
      return;
    const bool all_ended = !front_ || front_->drain(std::chrono::milliseconds{0});
    if (!all_ended && clock::now() - drain_began_ < requests_drain_max)
      return;
    if (!all_ended) {
      line_.say("some requests did not end in time; streams are cut");
      front_->cut_streams(); // the replicas would wait for them until their own time is over
    }
    replicas_drain_ = true;
    system_->drain();
  }

  void give_up(const std::string& why) {
    line_.say(why);
    code_ = code_ == ok ? failed : code_;
    has_given_up_ = true;
    finished_ = true;
  }

  int leave() {
    line_.clear();
    if (feed_->count() > 0)
      std::cerr << "put: " << counted(feed_->count(), "record") << "\n";
    if (is_asked_to_end_ && !has_given_up_ && (code_ == interrupted || code_ == terminated) && is_complete())
      code_ = ok; // the signal came when there was nothing left to do
    tell_results();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began_);
    std::cerr << summary(progress_, took) << std::flush;
    tell_letters();
    const bool idle = std::all_of(progress_.begin(), progress_.end(), [](const auto& one) {
      return one.processed_total == 0 && one.failed_total == 0;
    });
    if (idle && code_ == ok && feed_->count() == 0)
      tell_how_to_feed();
    feed_.reset();
    if (front_)
      front_->stop();
    if (!system_->end()) {
      line_.say("a call into user code does not return; ending without it");
      std::_Exit(code_);
    }
    return code_;
  }

  /// All of it were batches, and all are done.
  bool is_complete() const {
    return !progress_.empty() && std::ranges::all_of(progress_, [](const auto& one) {
      return one.batch && one.batch->phase == host::batch_phase::done;
    });
  }

  /// What a batch has still to do waits in a queue of its own, which is nobody's result.
  bool is_of_batch(const queue_name& name) const {
    return std::any_of(opts_.spec.processors.begin(), opts_.spec.processors.end(), [&](const auto& each) {
      return each.kind == pattern::batch && batch::splits_queue(opts_.spec.name, each.name) == name;
    });
  }

  /// Queues that are written and not read.
  void tell_results() {
    const auto stats = system_->stats();
    if (!stats)
      return;
    for (const auto& stat : *stats) {
      const bool is_read = std::any_of(progress_.begin(), progress_.end(),
                                       [&](const auto& one) { return one.source == stat.name; });
      if (!is_read && stat.depth_count > 0 && !is_of_batch(stat.name))
        std::cerr << "queue '" << stat.name.value << "': " << counted(stat.depth_count, "record")
                  << "; --peek " << stat.name.value
                  << (stat.depth_count == 1 ? " prints it\n" : " prints them\n");
    }
  }

  /// A run that has come to its end without some of its records has not done all that it was asked for.
  void tell_letters() {
    if (has_ended_ && code_ == ok && system_->buried_count() > 0)
      code_ = partly_failed;
    const bool has_failures =
      std::any_of(progress_.begin(), progress_.end(), [](const auto& one) { return one.failed_total > 0; });
    // Which are new only the letters say, and there may be many.
    const auto letters = has_failures ? count_letters(*system_, began_at_) : count_old_letters(*system_);
    if (!letters) {
      line_.say("the dead letters cannot be read: " + letters.error().message);
      return;
    }
    std::cerr << letters_text(*letters) << std::flush;
    const bool has_new = std::ranges::any_of(*letters, [](const auto& each) { return each.count > 0; });
    if (has_ended_ && code_ == ok && has_new)
      code_ = partly_failed;
  }

  void tell_how_to_feed() {
    for (const auto& one : progress_) {
      if (one.source)
        line_.say("queue '" + one.source->value + "' is empty; feed it with --put " + one.source->value
                  + "=FILE.jsonl");
    }
  }

  local_options opts_;
  std::unique_ptr<local_system> system_; ///< outlives the front, whose requests go there
  std::unique_ptr<http_front> front_;
  std::unique_ptr<local_feed> feed_;
  status_line line_;
  std::vector<processor_progress> progress_;
  std::vector<std::uint64_t> progress_rated_;
  std::vector<double> rates_;
  std::set<std::string> told_;
  trouble_teller troubles_;
  clock::time_point began_ = clock::now();
  std::chrono::system_clock::time_point began_at_ = std::chrono::system_clock::now();
  clock::time_point looked_at_{};
  std::uint64_t reports_seen_ = 0;
  clock::time_point rated_at_ = began_;
  clock::time_point drain_began_{};
  clock::time_point held_up_since_{};
  bool draining_ = false;
  bool replicas_drain_ = false;  ///< asked to, behind the requests
  bool is_asked_to_end_ = false; ///< by a signal
  bool has_ended_ = false;       ///< by itself: nothing more could come
  bool has_given_up_ = false;
  bool finished_ = false;
  exit_code code_ = ok;
};

bool has_routes(const flow_spec& spec) {
  return std::any_of(spec.processors.begin(), spec.processors.end(),
                     [](const auto& each) { return each.http.has_value(); });
}

result<std::unique_ptr<http_front>> listen(const local_options& opts, local_system& system) {
  auto address = parse_http_address(opts.http);
  if (!address)
    return fail(errc::invalid_argument, "--http: " + address.error().message);
  if (!opts.access_log_dir.empty()) { // who writes it later tells nobody
    std::error_code error;
    std::filesystem::create_directories(opts.access_log_dir, error);
    if (!error && ::access(opts.access_log_dir.c_str(), W_OK | X_OK) != 0)
      error = {errno, std::generic_category()};
    if (error)
      return fail(errc::invalid_argument, "--access-log: cannot keep files in " + opts.access_log_dir.string()
                                            + ": " + error.message());
  }
  http_front::settings what;
  what.server.addresses = {*address};
  what.server.threads = std::max(1u, std::thread::hardware_concurrency() / 2);
  what.access_log_dir = opts.access_log_dir;
  what.here = node_id{"local"};
  what.reach = [&system](const ingress::route_target& to) { return system.target_of(to.replica); };
  what.collector = [collectors = system.collectors()](const flow_name& flow, const processor_name& processor,
                                                      const queue_name& queue) {
    return collectors->find(flow, processor, queue);
  };
  return http_front::start(std::move(what));
}

} // namespace

std::filesystem::path default_state_dir(const flow_name& flow) {
  const auto from = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path{value == nullptr ? "" : value};
  };
  auto base = from("SLUICE_HOME");
  if (base.empty())
    base = from("HOME") / ".sluice";
  return base / "local" / flow.value;
}

int run_local(local_options opts) {
  if (opts.install_handlers) {
    process::install_crash_handler();
    ignore_write_signals();
  }
  if (!opts.wait_for_signal) {
    block_ending_signals(); // before there are threads
    auto signals = std::make_shared<ending_signals>();
    opts.wait_for_signal = [signals](auto wait_max) { return signals->wait(wait_max); };
    opts.wake = [signals] { signals->wake(); };
  }
  std::vector<std::string> told;
  auto system = local_system::open(opts.state_dir, &opts.spec, &told);
  if (!system) {
    std::cerr << "sluice: " << system.error().message << std::endl;
    const auto code = system.error().code;
    return code == errc::invalid_argument || code == errc::permission_denied ? bad_usage : failed;
  }
  for (const auto& each : told)
    std::cerr << "sluice: " << each << std::endl;
  std::unique_ptr<http_front> front;
  if (has_routes(opts.spec)) {
    auto made = listen(opts, **system);
    if (!made) {
      std::cerr << "sluice: " << made.error().message << std::endl;
      return made.error().code == errc::invalid_argument ? bad_usage : failed;
    }
    front = std::move(*made);
  }
  std::optional<exit_watch> watch;
  if (opts.install_handlers)
    watch.emplace((*system)->recorder());
  return local_run{std::move(opts), std::move(*system), std::move(front)}.run();
}

int peek_local(const std::filesystem::path& state_dir, const queue_name& name) {
  auto system = local_system::open_to_look(state_dir);
  if (!system) {
    std::cerr << "sluice: " << system.error().message << std::endl;
    return failed;
  }
  auto stats = (*system)->stats();
  const bool is_there =
    stats && std::any_of(stats->begin(), stats->end(), [&](const auto& each) { return each.name == name; });
  if (!is_there) {
    std::cerr << "sluice: "
              << (stats ? "there is no queue '" + name.value + "' in " + state_dir.string()
                        : stats.error().message)
              << std::endl;
    return failed;
  }
  for (std::uint64_t after_seq = 0;;) {
    auto some = (*system)->peek(name, after_seq);
    if (!some) {
      std::cerr << "sluice: " << some.error().message << std::endl;
      return failed;
    }
    if (some->empty())
      return ok;
    for (const auto& each : *some)
      std::cout << each << "\n";
  }
}

} // namespace sluice::runtime
