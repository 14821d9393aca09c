#include "actors/replica/request_coroutines.hpp"

#include <algorithm>
#include <deque>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::replica {

namespace {

using time_point = std::chrono::steady_clock::time_point;

/// Requests started in one go before other work of the replica gets its turn.
constexpr std::size_t starts_max = 256;

/// One request inside user code. Owned by the coroutine's `done`, so that what it uses lives as
/// long as it may touch it.
struct flight {
  exchange_ptr call;
  encoded_results results;
  std::shared_ptr<request_body> body;
  std::shared_ptr<executor> where;
  time_point started{};
  bool abandoned = false;
  std::list<flight*>::iterator at;
};

class core final : public ingress::target_port, public std::enable_shared_from_this<core> {
public:
  explicit core(request_coroutine_options opts) : opts_(std::move(opts)) {}

  void run(std::function<void()> job) { opts_.jobs->run(std::move(job)); }

  void start(std::shared_ptr<request_body> body) {
    std::lock_guard lock{mutex_};
    body_ = std::move(body);
    open_ = true;
  }

  // Any thread. Many requests that arrive together cost one message to the replica.
  void submit(exchange_ptr call) override {
    failure why;
    {
      std::lock_guard lock{mutex_};
      if (open_ && !held_back_ && waiting_.size() < opts_.work.waiting_max) {
        waiting_.push_back(std::move(call));
        post_pump();
        return;
      }
      why = open_ ? failure{errc::overloaded, "the replica is full"}
                  : failure{errc::shutting_down, "the replica takes no requests"};
    }
    call->refuse(std::move(why));
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
      each->refuse({errc::shutting_down, "the replica takes no requests"});
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

  /// The replica ends without a drain.
  void end() {
    std::deque<exchange_ptr> dropped;
    std::lock_guard lock{mutex_};
    open_ = false;
    opts_.work.done = [](const collected&) { return false; };
    opts_.work.idle = [] {};
    dropped.swap(waiting_);
  }

  void hold_back(bool on) {
    std::lock_guard lock{mutex_};
    held_back_ = on;
  }

  request_load load() {
    abandon_late();
    std::lock_guard lock{mutex_};
    request_load out;
    out.in_flight = static_cast<std::uint32_t>(waiting_.size() + active_.size());
    out.handled_total = handled_total_;
    out.failed_total = failed_total_;
    if (body_ && body_->connections()) {
      const auto connections = body_->connections()->load();
      out.in_flight += connections.open;
      out.handled_total = connections.handled_total; // messages; requests only open the way for them
      out.failed_total = connections.failed_total;
    }
    const auto& all = abandoned_.size() >= requests_abandoned_max ? abandoned_ : active_;
    const auto now = opts_.now();
    for (const auto* each : all) {
      if (!each->call->is_streaming)
        out.busy_longest = std::max(
          out.busy_longest, std::chrono::duration_cast<std::chrono::milliseconds>(now - each->started));
    }
    return out;
  }

private:
  void post_pump() {
    if (std::exchange(pump_posted_, true))
      return;
    opts_.where->post([weak = weak_from_this()] {
      if (auto self = weak.lock())
        self->pump();
    });
  }

  // On the executor.
  void pump() {
    for (std::size_t started = 0; started < starts_max; ++started) {
      auto made = take_next();
      if (!made)
        return;
      made->body->handle_async(made->call, made->results, *opts_.where,
                               [weak = weak_from_this(), made](bool to_sink) {
                                 if (auto self = weak.lock())
                                   self->on_end(*made, to_sink);
                               });
    }
    std::lock_guard lock{mutex_};
    pump_posted_ = false;
    if (!waiting_.empty())
      post_pump();
  }

  std::shared_ptr<flight> take_next() {
    for (const auto& each : take_late())
      each->refuse({errc::timeout, "the deadline passed before the replica came to it"});
    std::lock_guard lock{mutex_};
    const bool may_start =
      active_.size() < std::max(opts_.work.num_concurrency, 1u) && abandoned_.size() < requests_abandoned_max;
    if (waiting_.empty() || !may_start) {
      pump_posted_ = false;
      return nullptr;
    }
    auto made = std::make_shared<flight>();
    made->call = std::move(waiting_.front());
    waiting_.pop_front();
    made->body = body_;
    made->where = opts_.where;
    made->started = opts_.now();
    made->at = active_.insert(active_.end(), made.get());
    return made;
  }

  /// Those at the front of which the deadline has passed; not to be ended under the lock.
  std::vector<exchange_ptr> take_late() {
    std::vector<exchange_ptr> late;
    std::lock_guard lock{mutex_};
    for (const auto now = opts_.now(); !waiting_.empty() && waiting_.front()->deadline <= now;) {
      late.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return late;
  }

  // On the executor.
  void on_end(flight& which, bool to_sink) {
    if (to_sink && opts_.work.done({which.call, which.results.block()}))
      which.call->handed_to_sink();
    std::lock_guard lock{mutex_};
    (which.abandoned ? abandoned_ : active_).erase(which.at);
    ++handled_total_;
    failed_total_ += which.call->status >= 500 ? 1 : 0;
    if (!waiting_.empty())
      post_pump();
    else
      tell_if_idle();
  }

  void abandon_late() {
    std::lock_guard lock{mutex_};
    const auto now = opts_.now();
    for (auto at = active_.begin(); at != active_.end();) {
      auto& each = **at++;
      if (each.call->is_streaming || now < each.call->deadline)
        continue;
      active_.erase(each.at);
      each.at = abandoned_.insert(abandoned_.end(), &each);
      each.abandoned = true;
    }
    if (!waiting_.empty())
      post_pump();
  }

  void tell_if_idle() {
    if (closed_ && !connected_ && active_.empty() && abandoned_.empty() && opts_.work.idle)
      std::exchange(opts_.work.idle, nullptr)();
  }

  request_coroutine_options opts_;
  std::mutex mutex_;
  std::shared_ptr<request_body> body_;
  std::deque<exchange_ptr> waiting_;
  std::list<flight*> active_;
  std::list<flight*> abandoned_; ///< their clients are gone
  bool open_ = false;
  bool closed_ = false;
  bool connected_ = false; ///< closed, and there are connections left
  bool held_back_ = false;
  bool pump_posted_ = false;
  std::uint64_t handled_total_ = 0;
  std::uint64_t failed_total_ = 0;
};

class request_coroutines final : public request_work_port {
public:
  explicit request_coroutines(request_coroutine_options opts)
    : core_(std::make_shared<core>(std::move(opts))) {}
  ~request_coroutines() override { core_->end(); }

  void run(std::function<void()> job) override { core_->run(std::move(job)); }
  void start(std::shared_ptr<request_body> body) override { core_->start(std::move(body)); }
  ingress::target_ptr target() override { return core_; }
  void close() override { core_->close(); }
  void hold_back(bool on) override { core_->hold_back(on); }
  request_load load() const override { return core_->load(); }

private:
  std::shared_ptr<core> core_;
};

} // namespace

std::unique_ptr<request_work_port> make_request_coroutines(request_coroutine_options opts) {
  return std::make_unique<request_coroutines>(std::move(opts));
}

} // namespace sluice::replica
