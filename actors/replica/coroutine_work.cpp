#include "actors/replica/coroutine_work.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <deque>
#include <list>
#include <string>
#include <utility>

namespace sluice::replica {

namespace {

using time_point = std::chrono::steady_clock::time_point;

/// Records started in one go before other work of the replica gets its turn.
constexpr std::size_t starts_max = 256;

std::string timeout_text(std::chrono::milliseconds timeout) {
  if (timeout.count() % 1000 == 0)
    return "timed out after " + std::to_string(timeout.count() / 1000) + " s";
  return "timed out after " + std::to_string(timeout.count()) + " ms";
}

/// One record inside user code. Owned by the coroutine's `done`, so that payload, results, body
/// and executor live as long as the coroutine may touch them.
struct flight {
  record_block block;
  std::uint64_t seq = 0;
  std::uint32_t attempts = 0;
  encoded_results results;
  std::shared_ptr<processor_body> body;
  std::shared_ptr<executor> where;
  time_point started{};
  flight_slot* slot = nullptr;
  bool settled = false; ///< counted, by its end or by its timeout
  std::list<flight*>::iterator at;
};

class core : public std::enable_shared_from_this<core> {
public:
  explicit core(coroutine_options opts) : opts_(std::move(opts)) {}

  ~core() {
    for (auto* slot : slots_all_)
      opts_.recorder->give_back(slot);
  }

  work_port& jobs() { return *opts_.jobs; }
  void start(std::shared_ptr<processor_body> body) { body_ = std::move(body); }

  void submit(record_block records) {
    waiting_.push_back({records, records.begin()});
    pump();
  }

  std::vector<std::uint64_t> withdraw() {
    std::vector<std::uint64_t> seqs;
    for (auto& [block, next] : waiting_) {
      for (; next != block.end(); ++next)
        seqs.push_back((*next).seq);
    }
    waiting_.clear();
    return seqs;
  }

  // The replica flushes at every tick, so this is also where timeouts are noticed: a timer per
  // record would keep its block alive for the whole timeout.
  void flush() {
    fail_late();
    hand_over();
  }

  void hand_over() {
    if (!chunk_.empty()) {
      auto done = chunk_.finish();
      results_bytes_ += done.results.bytes().size();
      opts_.work.done(std::move(done));
    }
  }

  void results_settled(std::size_t size_bytes) {
    results_bytes_ -= std::min(results_bytes_, size_bytes);
    pump();
  }

  std::chrono::milliseconds busy_longest() const {
    const auto& oldest = abandoned_.size() >= abandoned_max ? abandoned_ : active_;
    if (oldest.empty())
      return std::chrono::milliseconds{0};
    return std::chrono::duration_cast<std::chrono::milliseconds>(opts_.now() - oldest.front()->started);
  }

private:
  struct waiting_block {
    record_block block;
    record_block::iterator next;
  };

  bool may_start() const noexcept {
    return active_.size() < std::max(opts_.work.num_concurrency, 1u) && abandoned_.size() < abandoned_max
           && results_bytes_ < results_waiting_bytes_max;
  }

  // A coroutine that does not suspend ends inside `start_one`: the flag keeps that
  // from recursing once per record.
  void pump() {
    if (std::exchange(pumping_, true))
      return;
    std::size_t started = 0;
    for (; !waiting_.empty() && may_start() && started < starts_max; ++started) {
      auto& front = waiting_.front();
      auto block = front.block;
      auto record = *front.next;
      if (++front.next == front.block.end())
        waiting_.pop_front();
      start_one(std::move(block), record);
    }
    pumping_ = false;
    if (active_.empty() && waiting_.empty())
      hand_over();
    else if (started == starts_max)
      opts_.where->post([weak = weak_from_this()] {
        if (auto self = weak.lock())
          self->pump();
      });
  }

  void start_one(record_block block, const record_view& record) {
    auto made = std::make_shared<flight>();
    made->block = std::move(block);
    made->seq = record.seq;
    made->attempts = record.attempts;
    made->body = body_;
    made->where = opts_.where;
    made->started = opts_.now();
    made->at = active_.insert(active_.end(), made.get());
    made->slot = slot_for(made->seq, made->started);
    body_->process_async(record.payload, made->results, *opts_.where,
                         [weak = weak_from_this(), made](result<void> outcome) {
                           if (auto self = weak.lock())
                             self->on_end(*made, outcome);
                         });
  }

  void on_end(flight& which, const result<void>& outcome) {
    if (which.settled)
      abandoned_.erase(which.at);
    else {
      active_.erase(which.at);
      settle(which, outcome);
    }
    pump();
  }

  void fail_late() {
    const auto now = opts_.now();
    const auto outcome = [this] { return fail(errc::timeout, timeout_text(opts_.timeout)); };
    bool any = false;
    while (opts_.timeout.count() > 0 && !active_.empty() && now - active_.front()->started >= opts_.timeout) {
      auto& late = *active_.front();
      active_.pop_front();
      late.at = abandoned_.insert(abandoned_.end(), &late);
      settle(late, outcome());
      any = true;
    }
    if (any)
      pump();
  }

  void settle(flight& which, const result<void>& outcome) {
    which.settled = true;
    if (which.slot != nullptr) {
      which.slot->leave();
      slots_free_.push_back(which.slot);
    }
    const bool first = chunk_.empty();
    chunk_.add(which.seq, which.attempts, outcome, which.results, opts_.now() - which.started);
    if (chunk_.full())
      hand_over();
    else if (first)
      opts_.where->post_after(chunk_age_max, [weak = weak_from_this()] {
        if (auto self = weak.lock())
          self->hand_over();
      });
  }

  flight_slot* slot_for(std::uint64_t seq, time_point now) {
    if (!opts_.recorder)
      return nullptr;
    if (slots_free_.empty()) {
      auto* claimed = opts_.recorder->claim(opts_.work.replica);
      if (claimed == nullptr)
        return nullptr;
      slots_all_.push_back(claimed);
      slots_free_.push_back(claimed);
    }
    auto* slot = slots_free_.back();
    slots_free_.pop_back();
    slot->enter(seq, std::chrono::nanoseconds{now.time_since_epoch()}.count());
    return slot;
  }

  coroutine_options opts_;
  std::shared_ptr<processor_body> body_;
  std::deque<waiting_block> waiting_;
  std::list<flight*> active_;    ///< in order of start
  std::list<flight*> abandoned_; ///< timed out and still not ended
  chunk_builder chunk_;
  std::size_t results_bytes_ = 0;
  bool pumping_ = false;
  std::vector<flight_slot*> slots_all_;
  std::vector<flight_slot*> slots_free_;
};

class coroutine_work final : public work_port {
public:
  explicit coroutine_work(coroutine_options opts) : core_(std::make_shared<core>(std::move(opts))) {}

  void run(std::function<void()> job) override { core_->jobs().run(std::move(job)); }
  void start(std::shared_ptr<processor_body> body) override { core_->start(std::move(body)); }
  void submit(record_block records) override {
    if (!records.empty())
      core_->submit(std::move(records));
  }
  std::vector<std::uint64_t> withdraw() override { return core_->withdraw(); }
  void flush() override { core_->flush(); }
  void results_settled(std::size_t size_bytes) override { core_->results_settled(size_bytes); }
  std::chrono::milliseconds busy_longest() const override { return core_->busy_longest(); }

private:
  std::shared_ptr<core> core_;
};

} // namespace

std::unique_ptr<work_port> make_coroutine_work(coroutine_options opts) {
  return std::make_unique<coroutine_work>(std::move(opts));
}

} // namespace sluice::replica
