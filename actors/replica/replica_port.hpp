#pragma once

#include "actors/message.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>
#include <sluice/http/client_port.hpp>
#include <sluice/log.hpp>
#include <sluice/processor/body.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::replica {

/// What became of some records, in the order in which they were finished.
///
/// Many records per message: the way from user code to the replica costs a
/// message per chunk, never one per record.
struct work_done {
  using actor_message = void;
  std::vector<std::uint64_t> acks;  ///< succeeded; their results are in `results`, if they had any
  std::vector<queue::nack> nacks;   ///< failed; `retry` false = can never succeed
  record_block results;             ///< seq = that of the input
  std::chrono::nanoseconds busy{0}; ///< time spent in user code

  std::size_t count() const noexcept { return acks.size() + nacks.size(); }
};

/// Bounds of one chunk: whichever is reached first hands it over.
constexpr std::size_t chunk_count_max = 256;
constexpr std::size_t chunk_bytes_max = 256u << 10;
constexpr std::chrono::milliseconds chunk_age_max{5};

/// Results that may wait for their sink before user code is held back. One record's
/// results may exceed it.
constexpr std::size_t results_waiting_bytes_max = 16u << 20;

/// Runs blocking jobs, one at a time, in order, off the actor scheduler. Destroying it
/// lets the job that runs finish on its own and forgets those that wait.
class runner_port {
public:
  virtual ~runner_port() = default;
  virtual void run(std::function<void()> job) = 0;
};

/// Gives records to user code. Owned and called by one replica; destroying it never
/// waits for user code: a call that is under way finishes on its own and is forgotten.
///
/// Jobs given to `run` (setup, teardown) share the first thread that calls user code,
/// so that a body with `num_concurrency` 1 is used by one thread all its life.
class work_port : public runner_port {
public:
  /// Records are given to `body` from now on. Called once, before `submit`.
  virtual void start(std::shared_ptr<processor_body> body) = 0;

  /// Takes a whole block. Never blocks; the replica bounds how much it submits.
  virtual void submit(record_block records) = 0;

  /// Forgets what user code has not begun and returns its seqs. What has begun still
  /// comes back as done.
  virtual std::vector<std::uint64_t> withdraw() = 0;

  /// Hands over now what is done but still collects in a chunk, also of a thread that
  /// is inside user code.
  virtual void flush() = 0;

  /// `size_bytes` of results reached their sink: makes room under
  /// `results_waiting_bytes_max`.
  virtual void results_settled(std::size_t size_bytes) = 0;

  /// For how long the oldest call into user code has been running; 0 = none is.
  virtual std::chrono::milliseconds busy_longest() const = 0;
};

/// What a work port needs to know.
struct work_options {
  replica_id replica;
  std::uint32_t num_concurrency = 1;
  /// Called from any thread, must not block.
  std::function<void(work_done)> done;
  log::speaker who = {}; ///< whom user code speaks for
};

class request_work_port;
struct request_work_options;

/// Makes the threads of replicas. Outlives them all.
class threads_port {
public:
  virtual ~threads_port() = default;
  virtual std::unique_ptr<work_port> make_work(work_options opts) = 0;
  virtual std::unique_ptr<request_work_port> make_request_work(request_work_options opts) = 0;
  /// `name` is shown by debuggers, up to 15 characters.
  virtual std::unique_ptr<runner_port> make_runner(const std::string& name) = 0;
  /// What the HTTP calls of coroutines are sent by; may be none.
  virtual http::client_port* http_client() { return nullptr; }
  /// Runs `work` at once. What it answers may leave together, at its end.
  virtual void answer_together(const std::function<void()>& work) { work(); }
};

/// Collects what one thread finished into the next chunk. Both kinds of work, threads
/// and coroutines, settle through it, so both keep the same bounds.
class chunk_builder {
public:
  /// Notes one record, of the delivery that came after `attempts` others. `results` are those of a success.
  /// Results above `limits::record_size_bytes_max` together are a failure that no retry can help.
  void add(std::uint64_t seq, std::uint32_t attempts, const result<void>& outcome,
           const encoded_results& results, std::chrono::nanoseconds busy);

  bool empty() const noexcept { return done_.count() == 0; }
  bool full() const noexcept {
    return done_.count() >= chunk_count_max || results_.size_bytes() >= chunk_bytes_max;
  }

  /// Returns the chunk and leaves the builder empty.
  work_done finish();

private:
  work_done done_;
  record_block_builder results_;
};

} // namespace sluice::replica
