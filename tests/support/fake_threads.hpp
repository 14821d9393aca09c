#pragma once

#include "actors/replica/replica_port.hpp"
#include "actors/replica/request_port.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// Stands for the threads of replicas: everything runs on the caller, records at once
/// or, with `manual`, when the test says so and in the order it says.
class fake_threads final : public replica::threads_port {
public:
  struct work;

  bool manual = false;
  std::size_t runners = 0;  ///< made so far
  std::vector<work*> works; ///< living ones, oldest first

  /// The work port that takes records now.
  work& current() { return *works.back(); }

  std::unique_ptr<replica::work_port> make_work(replica::work_options opts) override;
  std::unique_ptr<replica::request_work_port> make_request_work(replica::request_work_options opts) override;
  std::unique_ptr<replica::runner_port> make_runner(const std::string&) override {
    ++runners;
    struct at_once final : replica::runner_port {
      void run(std::function<void()> job) override { job(); }
    };
    return std::make_unique<at_once>();
  }
};

struct fake_threads::work final : replica::work_port {
  work(fake_threads& parent, replica::work_options options) : owner(parent), opts(std::move(options)) {
    owner.works.push_back(this);
  }
  ~work() override { std::erase(owner.works, this); }

  void run(std::function<void()> job) override { job(); }
  void start(std::shared_ptr<processor_body> what) override { body = std::move(what); }
  void submit(record_block records) override {
    for (auto record : records)
      waiting.push_back({record.seq, std::string{record.payload}});
    ++submits;
    if (!owner.manual)
      finish_all();
  }
  std::vector<std::uint64_t> withdraw() override {
    std::vector<std::uint64_t> seqs;
    while (waiting.size() > begun) {
      seqs.push_back(waiting.back().first);
      waiting.pop_back();
    }
    std::reverse(seqs.begin(), seqs.end());
    return seqs;
  }
  void flush() override {}
  void results_settled(std::size_t size_bytes) override { settled_bytes += size_bytes; }
  std::chrono::milliseconds busy_longest() const override { return busy; }

  /// Ends the call for one record, wherever it stands.
  void finish(std::uint64_t seq) {
    auto found =
      std::find_if(waiting.begin(), waiting.end(), [&](const auto& each) { return each.first == seq; });
    process(found);
    hand_over();
  }
  /// Ends all calls, in order, as one chunk.
  void finish_all() {
    while (!waiting.empty())
      process(waiting.begin());
    hand_over();
  }

  fake_threads& owner;
  replica::work_options opts;
  std::shared_ptr<processor_body> body;
  std::deque<std::pair<std::uint64_t, std::string>> waiting;
  std::size_t begun = 0; ///< so many of `waiting` are inside user code
  std::size_t submits = 0;
  std::size_t settled_bytes = 0;
  std::chrono::nanoseconds per_record{1000};
  std::chrono::milliseconds busy{0};

private:
  void process(std::deque<std::pair<std::uint64_t, std::string>>::iterator at) {
    encoded_results results;
    auto outcome = body->process(at->second, results);
    chunk_.add(at->first, 0, outcome, results, per_record);
    waiting.erase(at);
    begun -= std::min<std::size_t>(begun, 1);
  }
  void hand_over() {
    if (chunk_.empty())
      return;
    opts.done(chunk_.finish());
  }
  replica::chunk_builder chunk_;
};

/// Requests run on whoever submits them.
class fake_request_work final : public replica::request_work_port, public ingress::target_port {
public:
  explicit fake_request_work(replica::request_work_options opts) : opts_(std::move(opts)) {}

  void run(std::function<void()> job) override { job(); }
  void start(std::shared_ptr<request_body> body) override { body_ = std::move(body); }
  ingress::target_ptr target() override {
    return {this, [](ingress::target_port*) {}};
  }
  void close() override {
    body_ = nullptr;
    opts_.idle();
  }
  void hold_back(bool on) override { held_back = on; }
  replica::request_load load() const override { return load_; }

  void submit(exchange_ptr call) override {
    if (!body_ || held_back)
      return call->refuse({body_ ? errc::overloaded : errc::shutting_down, "not now"});
    encoded_results results;
    const bool to_sink = body_->handle(call, results);
    ++load_.handled_total;
    load_.failed_total += call->status >= 500 ? 1 : 0;
    if (to_sink)
      opts_.done({call, results.block()});
  }

  bool held_back = false;

private:
  replica::request_work_options opts_;
  std::shared_ptr<request_body> body_;
  replica::request_load load_;
};

inline std::unique_ptr<replica::request_work_port>
fake_threads::make_request_work(replica::request_work_options opts) {
  return std::make_unique<fake_request_work>(std::move(opts));
}

inline std::unique_ptr<replica::work_port> fake_threads::make_work(replica::work_options opts) {
  return std::make_unique<work>(*this, std::move(opts));
}

} // namespace sluice::testing
