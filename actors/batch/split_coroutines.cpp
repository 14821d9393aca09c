#include "actors/batch/split_coroutines.hpp"

#include "actors/batch/split_run.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <deque>
#include <utility>

namespace sluice::batch {

namespace {

using flight_ptr = std::shared_ptr<record_flight>;

/// What a coroutine needs alive although its split has been given up.
struct holding {
  flight_ptr flight;
  std::shared_ptr<encoded_results> results;
  std::shared_ptr<processor_body> body;
  std::shared_ptr<loop_executor> loop;
};

} // namespace

class split_coroutines::core : public std::enable_shared_from_this<core> {
public:
  explicit core(const split_settings& with)
    : with_(with), loop_(with.environment->make_loop()), concurrency_(std::max(with.num_concurrency, 1u)) {}
  /// What has timed out may still wait in the loop, which it holds: both would stay for ever.
  ~core() { loop_->close(); }

  result<std::vector<flight_ptr>> process(const std::vector<record_slice>& records) {
    std::vector<flight_ptr> all;
    all.reserve(records.size());
    for (const auto& record : records) {
      auto made = std::make_shared<record_flight>();
      if (record.error.empty()) {
        made->payload = record.payload;
        waiting_.push_back(made);
      } else {
        made->outcome = fail(errc::invalid_argument, std::string{record.error});
        made->attempts = 1;
        made->ended = true;
      }
      all.push_back(std::move(made));
    }
    pump();
    loop_->run([this] {
      fail_late();
      return stopped() || (waiting_.empty() && active_.empty() && delayed_ == 0);
    });
    with_.slot->leave();
    if (stopped()) {
      waiting_.clear();
      active_.clear();
      return fail(errc::shutting_down, "stopped");
    }
    return all;
  }

private:
  bool stopped() const noexcept { return with_.signals->stop.load(std::memory_order_relaxed); }

  // A coroutine that does not suspend ends inside `start_one`: the flag keeps that from recursing.
  void pump() {
    if (std::exchange(pumping_, true))
      return;
    while (!waiting_.empty() && active_.size() < concurrency_ && !stopped()) {
      auto next = std::move(waiting_.front());
      waiting_.pop_front();
      start_one(next);
    }
    pumping_ = false;
  }

  void start_one(const flight_ptr& flight) {
    active_.push_back(flight);
    flight->attempts += 1;
    const auto attempt = ++flight->current;
    flight->started = with_.environment->now();
    with_.slot->enter(with_.seq, std::chrono::nanoseconds{flight->started.time_since_epoch()}.count());
    auto held =
      std::make_shared<holding>(holding{flight, std::make_shared<encoded_results>(), with_.body, loop_});
    with_.body->process_async(flight->payload, *held->results, *loop_,
                              [weak = weak_from_this(), held, attempt](result<void> outcome) {
                                auto self = weak.lock();
                                if (self && held->flight->current == attempt && !held->flight->ended)
                                  self->on_end(held->flight, *held->results, std::move(outcome));
                              });
  }

  void on_end(const flight_ptr& flight, encoded_results& results, result<void> outcome) {
    std::erase(active_, flight);
    if (outcome)
      std::swap(flight->results, results);
    settle(flight, std::move(outcome));
    pump();
  }

  void settle(const flight_ptr& flight, result<void> outcome) {
    const bool is_final =
      outcome || outcome.error().code == errc::invalid_argument || flight->attempts >= with_.attempts_max;
    if (!outcome)
      with_.signals->failed_attempts.fetch_add(1, std::memory_order_relaxed);
    flight->outcome = std::move(outcome);
    if (is_final) {
      flight->ended = true;
      return;
    }
    ++flight->current; // what still comes of this attempt is not heard
    ++delayed_;
    const auto delay = std::min<std::chrono::nanoseconds>(
      limits::retry_delay_max, limits::retry_delay_min * (1u << std::min(flight->attempts - 1, 16u)));
    loop_->post_after(delay, [weak = weak_from_this(), flight] {
      if (auto self = weak.lock()) {
        --self->delayed_;
        self->waiting_.push_back(flight);
        self->pump();
      }
    });
  }

  void fail_late() {
    if (with_.timeout.count() == 0)
      return;
    const auto now = with_.environment->now();
    const auto flights = active_; // in the order of their start
    for (const auto& flight : flights) {
      if (now - flight->started < with_.timeout)
        break;
      std::erase(active_, flight);
      settle(flight, fail(errc::timeout, "timed out after " + std::to_string(with_.timeout.count()) + " ms"));
    }
    pump();
  }

  split_settings with_;
  std::shared_ptr<loop_executor> loop_;
  std::size_t concurrency_;
  std::deque<flight_ptr> waiting_;
  std::vector<flight_ptr> active_;
  std::size_t delayed_ = 0;
  bool pumping_ = false;
};

split_coroutines::split_coroutines(const split_settings& with) : core_(std::make_shared<core>(with)) {}
split_coroutines::~split_coroutines() = default;

result<std::vector<std::shared_ptr<record_flight>>>
split_coroutines::process(const std::vector<record_slice>& records) {
  return core_->process(records);
}

} // namespace sluice::batch
