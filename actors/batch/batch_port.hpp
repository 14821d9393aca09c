#pragma once

#include "actors/batch/batch_job.hpp"
#include "actors/replica/flight_slot.hpp"

#include <sluice/core/executor.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/flow_spec.hpp>
#include <sluice/processor/reduction.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::batch {

/// One record of a split.
struct record_slice {
  std::string_view payload;
  std::uint64_t offset = 0; ///< in the source: bytes of a file, the number of a record in a queue
  std::string_view error;   ///< why it can be no record; empty = it may be one
};

/// Reads the records that begin in one split, in order. One thread.
class split_reader {
public:
  virtual ~split_reader() = default;

  /// Replaces `out` by the next few hundred KiB of records, without a copy or an allocation for each; they
  /// are valid until the next call. False at the end of the split.
  virtual result<bool> next(std::vector<record_slice>& out) = 0;
};

/// Takes the results of one split. One thread. What is not finished leaves nothing behind.
class part_writer {
public:
  virtual ~part_writer() = default;

  /// `invalid_argument`: this result can never be written.
  virtual result<void> add(std::string_view payload) = 0;

  /// Notes a record that failed for good.
  virtual result<void> reject(const record_slice& record, std::uint32_t attempts,
                              const std::string& error) = 0;

  /// All of it is durable and in its place, which it takes in one step; again is harmless. With a queue as
  /// sink there is no place but the block of results that is returned.
  virtual result<std::vector<record_block>> finish() = 0;
};

/// What the end of a batch came to.
struct finish_outcome {
  std::uint64_t records_out = 0;
  std::vector<record_block> results; ///< for a sink that is a queue
};

/// The whole output of a run, beside its place. One thread at a time. What is not published leaves nothing behind.
class joined_files {
public:
  virtual ~joined_files() = default;

  /// Takes its place: each file in one step, and nothing else is left to do. Once.
  virtual result<finish_outcome> publish() = 0;
};

/// The files of one batch. Shared by the threads of a replica; may be called by any of them at once.
class files_port {
public:
  virtual ~files_port() = default;

  virtual result<source_identity> identify() = 0;

  /// Where splits begin and, last, where the source ends: [0, size]. Depends on the content and
  /// `split_bytes` only. @pre the source is what `identify` said
  virtual result<std::vector<std::uint64_t>> plan(const source_identity& source,
                                                  std::uint64_t split_bytes) = 0;

  virtual result<std::unique_ptr<split_reader>> open_split(const split& which) = 0;
  virtual result<std::unique_ptr<part_writer>> create_part(const split& which) = 0;

  /// Puts the parts of `splits` splits together beside where results and rejected records belong; `merged`, if there
  /// is a reduce step, merges them in the order of the splits. Two at once or one after the other come to the same.
  virtual result<std::unique_ptr<joined_files>> join(std::uint64_t run, std::uint32_t splits,
                                                     std::unique_ptr<reduction> merged) = 0;

  /// Removes what `run` left between the ends. May be called when there is nothing.
  virtual void clean(std::uint64_t run) = 0;

  virtual std::int64_t now_unix_ms() const = 0;
};

/// Runs coroutines on the thread that calls `run`.
class loop_executor : public executor {
public:
  /// Runs what is posted, as it falls due, until `ready`. Looks again after each piece and every 100 ms.
  virtual void run(const std::function<bool()>& ready) = 0;
  /// Drops what is posted, now and from now on: a coroutine that waits here ends where it is.
  virtual void close() = 0;
};

/// What the threads that run user code need of the outside. Outlives them.
class environment_port {
public:
  virtual ~environment_port() = default;

  virtual result<std::shared_ptr<files_port>> make_files(const flow_name& flow,
                                                         const processor_spec& spec) = 0;
  virtual std::shared_ptr<loop_executor> make_loop() = 0;

  /// Tells the crash handler which slot is the calling thread's; nullptr = none any more.
  virtual void mark_thread(replica::flight_slot* slot) = 0;

  virtual std::chrono::steady_clock::time_point now() const = 0;
  virtual void pause(std::chrono::milliseconds length) = 0;
};

} // namespace sluice::batch
