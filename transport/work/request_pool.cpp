#include "transport/work/request_pool.hpp"

#include "transport/link/led_loop.hpp"
#include "transport/link/send_cork.hpp"
#include "transport/process/crash_handler.hpp"
#include "transport/work/thread_counter.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::work {

namespace {

using clock = std::chrono::steady_clock;

/// User code that takes longer than this is not made to wait for more notices to go with its own.
constexpr std::chrono::microseconds quick_call_max{50};

/// Of what an io thread does for a pool before it looks at its sockets again, and of a call that it may do. Calls that are few and far between
/// take several times what they take in a row, as nothing of them is in the processor's caches; so this is much more than a quick function needs.
constexpr std::chrono::microseconds visit_max{150};

/// Whether user code is quick enough for io threads. It earns that by calls, loses some of it by one that is not (which may be the
/// machine's fault), and all by one that an io thread would have been relieved of.
class quick_credit {
public:
  bool is_enough() const noexcept { return credit_ >= credit_max / 2; }

  void note(clock::duration call) noexcept {
    if (call <= visit_max)
      credit_ = std::min(credit_ + 1, credit_max);
    else
      credit_ = call < link::led_loop::tick ? std::max(credit_ - 8, 0) : 0;
  }

private:
  static constexpr int credit_max = 64;
  int credit_ = 0;
};

constexpr std::size_t visit_calls_max = 16; ///< by an io thread, which has other things to do
constexpr std::size_t notices_max = 16;     ///< in one system call

failure not_taking() { return {errc::shutting_down, "the replica takes no requests"}; }

/// What one thread is at. Guarded by the pool's mutex.
struct worker {
  exchange_ptr call;          ///< inside user code
  std::function<void()> turn; ///< or this: of a connection
  bool in_turn = false;
  clock::time_point began{};

  // Its own, without the mutex.
  encoded_results results;
  std::vector<exchange_ptr> at_sink; ///< of which nobody has been told yet
};

} // namespace

class request_pool::shared : public ingress::target_port,
                             public link::after_turn,
                             public std::enable_shared_from_this<shared> {
public:
  shared(std::shared_ptr<worker_threads::counter> counter, replica::request_work_options opts)
    : counter_(std::move(counter)), opts_(std::move(opts)), workers_(std::max(opts_.num_concurrency, 1u)) {}

  void start_worker(std::size_t index) {
    start_thread(counter_, "request-" + std::to_string(opts_.replica.value),
                 [self = shared_from_this(), index] { self->work(index); });
  }

  void run(std::function<void()> job) {
    std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
    changed_.notify_all();
  }

  void start(std::shared_ptr<request_body> body) {
    if (auto* connections = body->connections())
      connections->run_on([weak = weak_from_this()](std::function<void()> turn) {
        if (auto self = weak.lock())
          self->add_turn(std::move(turn));
      });
    {
      std::lock_guard lock{mutex_};
      body_ = std::move(body);
      open_ = true;
    }
    for (std::size_t i = 1; i < workers_.size(); ++i)
      start_worker(i);
  }

  void submit(exchange_ptr call) override {
    std::optional<failure> refused;
    bool wakes = false;
    {
      std::lock_guard lock{mutex_};
      if (!open_)
        refused = not_taking();
      else if (held_back_ || waiting_.size() >= opts_.waiting_max)
        refused = failure{errc::overloaded, "the replica is full"};
      else
        waiting_.emplace_back().swap(call); // its last owner is who works on it
      wakes = !refused && wakes_worker();
    }
    // Not under the lock: who is woken may get this very processor, and would wait for it at once.
    if (refused)
      call->refuse(std::move(*refused));
    else if (wakes)
      changed_.notify_one();
  }

  /// On an io thread.
  void run_after_turn() override {
    static thread_local process::crash_stack stack_of_crash;
    const counted_visit visit{*counter_};
    const log::speaking in_its_name{opts_.who};
    bool wakes = false;
    {
      std::unique_lock lock{mutex_};
      is_visit_planned_ = false;
      if (!std::exchange(is_visited_, true)) {
        const auto until = clock::now() + visit_max;
        for (std::size_t i = 0; i < visit_calls_max && clock::now() < until && take(visitor_, lock); ++i)
          work_on(visitor_, lock);
        tell_at_sink(visitor_, lock);
        is_visited_ = false;
      }
      wakes = sleeping_ > 0 && has_work();
    }
    if (wakes)
      changed_.notify_one();
  }

  void close() {
    std::deque<exchange_ptr> refused;
    std::shared_ptr<request_body> body;
    {
      std::lock_guard lock{mutex_};
      open_ = false;
      closed_ = true;
      body = body_;
      connected_ = body && body->connections() != nullptr;
      refused.swap(waiting_);
      tell_if_idle();
    }
    for (auto& each : refused)
      each->refuse(not_taking());
    if (body && body->connections())
      body->connections()->drain([weak = weak_from_this()] {
        auto self = weak.lock();
        if (!self)
          return;
        std::lock_guard lock{self->mutex_};
        self->connected_ = false;
        self->tell_if_idle();
      });
  }

  void hold_back(bool on) {
    std::lock_guard lock{mutex_};
    held_back_ = on;
  }

  replica::request_load load() {
    std::lock_guard lock{mutex_};
    replica::request_load out;
    out.in_flight = static_cast<std::uint32_t>(waiting_.size() + inside_);
    out.handled_total = handled_total_;
    out.failed_total = failed_total_;
    const auto now = clock::now();
    if (body_ && body_->connections()) {
      const auto connections = body_->connections()->load();
      out.in_flight += connections.open;
      out.handled_total = connections.handled_total; // messages; requests only open the way for them
      out.failed_total = connections.failed_total;
    }
    const auto look_at = [&](const worker& each) {
      if (each.in_turn || (each.call && !each.call->is_streaming))
        out.busy_longest =
          std::max(out.busy_longest, std::chrono::duration_cast<std::chrono::milliseconds>(now - each.began));
    };
    std::ranges::for_each(workers_, look_at);
    look_at(visitor_);
    return out;
  }

  void end() {
    std::deque<std::function<void()>> jobs;
    std::deque<std::function<void()>> turns;
    std::deque<exchange_ptr> dropped;
    std::lock_guard lock{mutex_};
    ended_ = true;
    open_ = false;
    opts_.done = nullptr;
    opts_.idle = nullptr;
    jobs.swap(jobs_);
    turns.swap(turns_);
    dropped.swap(waiting_);
    changed_.notify_all();
  }

private:
  void add_turn(std::function<void()> turn) {
    bool wakes = false;
    {
      std::lock_guard lock{mutex_};
      if (ended_)
        return;
      turns_.push_back(std::move(turn));
      wakes = wakes_worker();
    }
    if (wakes)
      changed_.notify_one();
  }

  bool has_work() const { return !waiting_.empty() || !turns_.empty(); }

  /// Something was added. False if somebody comes for it: a worker that is awake, whoever leaves user code, or this thread after its turn.
  bool wakes_worker() {
    if (sleeping_ == 0 || inside_ == workers_.size())
      return false;
    const auto count = waiting_.size() + turns_.size();
    if (is_visit_planned_ && workers_.size() == 1)
      return count > visit_calls_max;
    if (inside_ > 0 || count > 1 || !credit_.is_enough() || !link::led_loop::leave(shared_from_this()))
      return true;
    is_visit_planned_ = true;
    return false;
  }

  void work(std::size_t index) {
    auto& me = workers_[index];
    process::crash_stack stack_of_crash; // user code may run out of stack
    const log::speaking in_its_name{opts_.who};
    std::unique_lock lock{mutex_};
    while (!ended_) {
      if (index == 0 && !jobs_.empty()) {
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        job = nullptr;
        lock.lock();
      } else if (take(me, lock)) {
        work_on(me, lock);
      } else if (!me.at_sink.empty()) { // somebody else took what it was going to wait for
        tell_at_sink(me, lock);
      } else if (!ended_ && !(index == 0 && !jobs_.empty())) { // `take` may have let go of the lock
        ++sleeping_;
        changed_.wait(lock);
        --sleeping_;
      }
    }
    tell_at_sink(me, lock);
  }

  /// What is next, if there is a place for it in user code.
  bool take(worker& me, std::unique_lock<std::mutex>& lock) {
    while (body_ && !waiting_.empty() && inside_ < workers_.size()) {
      auto call = std::move(waiting_.front());
      waiting_.pop_front();
      me.began = clock::now();
      if (call->deadline > me.began) {
        me.call = std::move(call);
        ++inside_;
        return true;
      }
      lock.unlock();
      call->refuse({errc::timeout, "the deadline passed before the replica came to it"});
      call.reset();
      lock.lock();
    }
    if (turns_.empty() || inside_ == workers_.size())
      return false;
    me.turn = std::move(turns_.front());
    turns_.pop_front();
    me.in_turn = true;
    me.began = clock::now();
    ++inside_;
    return true;
  }

  void work_on(worker& me, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    if (me.in_turn) {
      std::exchange(me.turn, nullptr)();
      lock.lock();
      note_time(me);
      me.in_turn = false;
    } else {
      me.results.clear();
      const bool is_made = call_body(me.call, me.results);
      lock.lock();
      const bool is_quick = note_time(me);
      auto finished = std::move(me.call);
      const bool is_last = waiting_.empty();
      auto deliver = is_made ? opts_.done : nullptr;
      ++handled_total_;
      failed_total_ += finished->status >= 500 ? 1 : 0;
      // Not under the lock: the end of an exchange may bring the next one here.
      lock.unlock();
      if (deliver && deliver({finished, me.results.block()}) && finished->wants_sink_notice)
        me.at_sink.push_back(std::move(finished));
      finished.reset();
      if (!me.at_sink.empty() && (is_last || !is_quick || me.at_sink.size() >= notices_max))
        tell_together(me.at_sink);
      deliver = nullptr;
      lock.lock();
    }
    --inside_;
    tell_if_idle();
  }

  /// Of user code that has returned.
  bool note_time(const worker& me) {
    const auto taken = clock::now() - me.began;
    credit_.note(taken);
    return taken <= quick_call_max;
  }

  /// Whom it has not told yet. Before it sleeps or leaves.
  static void tell_at_sink(worker& me, std::unique_lock<std::mutex>& lock) {
    if (me.at_sink.empty())
      return;
    lock.unlock();
    tell_together(me.at_sink);
    lock.lock();
  }

  /// One system call.
  static void tell_together(std::vector<exchange_ptr>& all) {
    link::send_cork cork;
    for (auto& each : all)
      each->handed_to_sink();
    all.clear();
  }

  // The body contains what user code throws; anything else would take the process down.
  bool call_body(const exchange_ptr& call, encoded_results& results) {
    try {
      return body_->handle(call, results);
    } catch (const std::exception& e) {
      call->respond(error_response(500, e.what()));
    } catch (...) {
      call->respond(error_response(500, "exception of an unknown type"));
    }
    return false;
  }

  void tell_if_idle() {
    if (closed_ && inside_ == 0 && !connected_ && opts_.idle)
      std::exchange(opts_.idle, nullptr)();
  }

  std::shared_ptr<worker_threads::counter> counter_;
  replica::request_work_options opts_;
  std::shared_ptr<request_body> body_; ///< set before the first request is taken
  std::vector<worker> workers_;
  worker visitor_; ///< an io thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::deque<exchange_ptr> waiting_;
  std::deque<std::function<void()>> turns_; ///< of connections
  std::size_t sleeping_ = 0;
  std::size_t inside_ = 0; ///< requests and turns inside user code
  bool is_visit_planned_ = false;
  bool is_visited_ = false;
  quick_credit credit_;
  std::uint64_t handled_total_ = 0;
  std::uint64_t failed_total_ = 0;
  bool open_ = false;
  bool closed_ = false;
  bool connected_ = false; ///< closed, and there are connections left
  bool held_back_ = false;
  bool ended_ = false;

  friend class request_pool;
};

request_pool::request_pool(std::shared_ptr<worker_threads::counter> counter,
                           replica::request_work_options opts)
  : shared_(std::make_shared<shared>(std::move(counter), std::move(opts))) {
  shared_->start_worker(0);
}

request_pool::~request_pool() { shared_->end(); }

void request_pool::run(std::function<void()> job) { shared_->run(std::move(job)); }
void request_pool::start(std::shared_ptr<request_body> body) { shared_->start(std::move(body)); }
ingress::target_ptr request_pool::target() { return shared_; }
void request_pool::close() { shared_->close(); }
void request_pool::hold_back(bool on) { shared_->hold_back(on); }
replica::request_load request_pool::load() const { return shared_->load(); }

} // namespace sluice::work
