#include "transport/work/work_pool.hpp"

#include "transport/process/crash_handler.hpp"
#include "transport/process/flight_recorder.hpp"
#include "transport/work/thread_counter.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <exception>
#include <utility>

namespace sluice::work {

namespace {

using clock = std::chrono::steady_clock;
using replica::chunk_builder;
using replica::flight_slot;

/// Records claimed at once: about a millisecond's worth, so that a slow record holds up few
/// that another thread could have taken, and a fast one hides the lock.
constexpr std::size_t claim_count_max = 32;
constexpr std::chrono::microseconds claim_duration{1000};

std::int64_t to_ns(clock::time_point at) { return std::chrono::nanoseconds{at.time_since_epoch()}.count(); }

/// What one thread holds. Others touch only `parked` and the flight slot.
struct worker {
  std::unique_ptr<chunk_builder> chunk = std::make_unique<chunk_builder>();
  std::atomic<chunk_builder*> parked{nullptr}; ///< the chunk, while the thread is in user code
  flight_slot own_slot;                        ///< where there is no recorder
  flight_slot* slot = &own_slot;
  clock::time_point handed_over{};

  ~worker() { delete parked.load(); }
};

/// A few records of one block; keeps it alive.
struct claim {
  record_block block;
  record_block::iterator next;
  std::size_t count = 0;
};

} // namespace

class work_pool::shared : public std::enable_shared_from_this<shared> {
public:
  shared(std::shared_ptr<worker_threads::counter> counter,
         std::shared_ptr<replica::flight_recorder_port> recorder, replica::work_options opts)
    : counter_(std::move(counter)), recorder_(std::move(recorder)), opts_(std::move(opts)),
      workers_(std::max(opts_.num_concurrency, 1u)) {}

  ~shared() {
    for (auto& each : workers_) {
      if (each.slot != &each.own_slot)
        recorder_->give_back(each.slot);
    }
  }

  void start_worker(std::size_t index) {
    start_thread(counter_, "work-" + std::to_string(opts_.replica.value),
                 [self = shared_from_this(), index] { self->work(index); });
  }

  void run(std::function<void()> job) {
    std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
    changed_.notify_all();
  }

  void start(std::shared_ptr<processor_body> body) {
    {
      std::lock_guard lock{mutex_};
      body_ = std::move(body);
      for (auto& each : workers_) {
        auto* claimed = recorder_ ? recorder_->claim(opts_.replica) : nullptr;
        if (claimed != nullptr)
          each.slot = claimed;
      }
    }
    for (std::size_t i = 1; i < workers_.size(); ++i)
      start_worker(i);
  }

  void submit(record_block records) {
    if (records.empty())
      return;
    std::lock_guard lock{mutex_};
    auto first = records.begin();
    const auto count = records.count();
    waiting_.push_back({std::move(records), first, count});
    if (workers_.size() == 1)
      changed_.notify_one();
    else
      changed_.notify_all();
  }

  std::vector<std::uint64_t> withdraw() {
    std::vector<std::uint64_t> seqs;
    std::lock_guard lock{mutex_};
    for (auto& left : waiting_) {
      for (; left.count > 0; --left.count, ++left.next)
        seqs.push_back((*left.next).seq);
    }
    waiting_.clear();
    return seqs;
  }

  void flush() {
    for (auto& each : workers_) {
      std::unique_ptr<chunk_builder> taken{each.parked.exchange(nullptr, std::memory_order_acq_rel)};
      if (taken)
        hand_over(*taken); // the thread makes itself a new one
    }
  }

  void results_settled(std::size_t size_bytes) {
    std::lock_guard lock{mutex_};
    const bool was_full = results_bytes_ >= replica::results_waiting_bytes_max;
    results_bytes_ -= std::min(results_bytes_, size_bytes);
    if (was_full)
      changed_.notify_all();
  }

  std::chrono::milliseconds busy_longest() const {
    std::int64_t oldest = 0;
    for (const auto& each : workers_) {
      const auto* slot = each.slot;
      if (slot->seq.load(std::memory_order_acquire) == 0)
        continue;
      const auto started = slot->started_ns.load(std::memory_order_relaxed);
      oldest = oldest == 0 ? started : std::min(oldest, started);
    }
    if (oldest == 0)
      return std::chrono::milliseconds{0};
    return std::chrono::milliseconds{std::max<std::int64_t>(0, to_ns(clock::now()) - oldest) / 1'000'000};
  }

  void end() {
    std::deque<std::function<void()>> jobs;
    std::deque<claim> waiting;
    std::lock_guard lock{mutex_};
    ended_ = true;
    opts_.done = [](const replica::work_done&) {};
    jobs.swap(jobs_);
    waiting.swap(waiting_);
    changed_.notify_all();
  }

private:
  void work(std::size_t index) {
    auto& me = workers_[index];
    process::crash_stack stack_of_crash; // user code may run out of stack
    const log::speaking in_its_name{opts_.who};
    std::size_t claim_max = 1;
    encoded_results results;
    me.handed_over = clock::now();
    for (;;) {
      auto mine = next(index, me, claim_max);
      if (mine.count == 0)
        break;
      process::set_slot_of_thread(me.slot);
      const auto count = mine.count;
      const auto began = clock::now();
      auto now = began;
      for (; mine.count > 0; --mine.count, ++mine.next)
        now = process_one(me, *mine.next, results, now);
      const auto each = std::max<std::int64_t>((now - began).count() / static_cast<std::int64_t>(count), 1);
      claim_max = std::clamp<std::size_t>(
        static_cast<std::size_t>(std::chrono::nanoseconds{claim_duration}.count() / each), 1,
        claim_count_max);
    }
    process::set_slot_of_thread(nullptr);
  }

  clock::time_point process_one(worker& me, const record_view& record, encoded_results& results,
                                clock::time_point began) {
    results.clear();
    me.slot->enter(record.seq, to_ns(began));
    me.parked.store(me.chunk.release(), std::memory_order_release);
    auto outcome = call_body(record.payload, results);
    me.chunk.reset(me.parked.exchange(nullptr, std::memory_order_acq_rel));
    me.slot->leave();
    const auto ended = clock::now();
    if (!me.chunk)
      me.chunk = std::make_unique<chunk_builder>();
    me.chunk->add(record.seq, record.attempts, outcome, results, ended - began);
    if (me.chunk->full() || ended - me.handed_over >= replica::chunk_age_max) {
      hand_over(*me.chunk);
      me.handed_over = ended;
    }
    return ended;
  }

  // The body contains what user code throws; anything else would take the process down.
  result<void> call_body(std::string_view payload, encoded_results& results) {
    try {
      return body_->process(payload, results);
    } catch (const std::exception& e) {
      return fail(errc::internal, e.what());
    } catch (...) {
      return fail(errc::internal, "exception of an unknown type");
    }
  }

  /// The next records, or the end. Runs jobs, on the first thread, and waits.
  claim next(std::size_t index, worker& me, std::size_t count_max) {
    std::unique_lock lock{mutex_};
    for (;;) {
      if (ended_)
        return {};
      if (index == 0 && !jobs_.empty()) {
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        hand_over(*me.chunk);
        job();
        job = nullptr;
        lock.lock();
        continue;
      }
      if (body_ && !waiting_.empty() && results_bytes_ < replica::results_waiting_bytes_max)
        return take_front(count_max);
      if (!me.chunk->empty()) {
        lock.unlock();
        hand_over(*me.chunk);
        me.handed_over = clock::now();
        lock.lock();
        continue;
      }
      changed_.wait(lock);
    }
  }

  claim take_front(std::size_t count_max) {
    auto& front = waiting_.front();
    claim mine = front;
    if (front.count <= count_max) {
      waiting_.pop_front();
      return mine;
    }
    mine.count = count_max;
    for (std::size_t i = 0; i < count_max; ++i)
      ++front.next;
    front.count -= count_max;
    return mine;
  }

  void hand_over(chunk_builder& chunk) {
    if (chunk.empty())
      return;
    auto done = chunk.finish();
    std::function<void(replica::work_done)> deliver;
    {
      std::lock_guard lock{mutex_};
      results_bytes_ += done.results.bytes().size();
      deliver = opts_.done;
    }
    deliver(std::move(done));
  }

  friend class work_pool;

  std::shared_ptr<worker_threads::counter> counter_;
  std::shared_ptr<replica::flight_recorder_port> recorder_;
  replica::work_options opts_;
  std::shared_ptr<processor_body> body_; ///< set before the first record is submitted
  std::vector<worker> workers_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::deque<claim> waiting_;
  std::size_t results_bytes_ = 0;
  bool ended_ = false;
};

work_pool::work_pool(std::shared_ptr<worker_threads::counter> counter,
                     std::shared_ptr<replica::flight_recorder_port> recorder, replica::work_options opts)
  : shared_(std::make_shared<shared>(std::move(counter), std::move(recorder), std::move(opts))) {
  shared_->start_worker(0);
}

work_pool::~work_pool() { shared_->end(); }

void work_pool::run(std::function<void()> job) { shared_->run(std::move(job)); }
void work_pool::start(std::shared_ptr<processor_body> body) { shared_->start(std::move(body)); }
void work_pool::submit(record_block records) { shared_->submit(std::move(records)); }
std::vector<std::uint64_t> work_pool::withdraw() { return shared_->withdraw(); }
void work_pool::flush() { shared_->flush(); }
void work_pool::results_settled(std::size_t size_bytes) { shared_->results_settled(size_bytes); }
std::chrono::milliseconds work_pool::busy_longest() const { return shared_->busy_longest(); }

} // namespace sluice::work
