#pragma once

#include "actors/batch/index_set.hpp"
#include "actors/host/host_protocol.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::batch {

/// The file as it was when the batch began. Another one is another batch.
struct source_identity {
  std::uint64_t size_bytes = 0;
  std::int64_t changed_at_ns = 0;

  friend bool operator==(const source_identity&, const source_identity&) = default;
};

using job_phase = host::batch_phase;

struct job_totals {
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0; ///< results; with a reduce step, keys
  std::uint64_t rejected = 0;
  std::uint64_t bytes_in = 0; ///< of the source, done

  friend bool operator==(const job_totals&, const job_totals&) = default;
};

/// A record that failed for good, and why.
struct rejected_note {
  std::uint64_t offset = 0; ///< in the source: bytes of a file, the number of a record in a queue
  std::string error;

  friend bool operator==(const rejected_note&, const rejected_note&) = default;
};

/// Those that are named when there are too many: the first ones of the source, as far as they are known.
using rejected_notes = std::vector<rejected_note>;
constexpr std::size_t rejected_notes_max = 3;
void note_rejected(rejected_notes& to, std::uint64_t offset, std::string_view error);

/// "4 records are rejected, max_rejected is 3: at byte 17: ...; at byte 230: ...; ... and 1 more"
std::string too_many_rejected(std::uint64_t count, std::uint64_t count_max, const rejected_notes& first,
                              bool from_queue);

/// How far one run of a batch has come: the one truth about it, shared by all its replicas. Kept as a
/// position of the queues, which is changed by comparing and setting: of two replicas that change it at
/// once, one reads again.
struct job {
  std::uint64_t run = 0; ///< a higher one is newer
  std::uint64_t first_run =
    0; ///< under which its parts are kept: a job of a queue may be passed on from run to run
  std::uint64_t round = 1; ///< of handing out splits; grows when a failed run is taken up again
  job_phase phase = job_phase::running;
  std::string from; ///< what it reads, as `ends_of` says it; empty: stored by a Sluice that did not note it
  std::string to;   ///< where its parts or results are
  source_identity source;
  std::uint64_t split_bytes = 0;
  std::uint32_t split_count = 0;
  bool is_open = false; ///< more splits come: the records of a queue are still being taken
  index_set done;       ///< splits whose results are where they belong
  job_totals totals;
  rejected_notes first_rejected;
  std::int64_t began_at_ms = 0; ///< Unix time
  std::int64_t ended_at_ms = 0; ///< 0 = it has not
  std::string error;            ///< why it failed

  bool all_split_done() const noexcept { return !is_open && done.count() == split_count; }
  bool is_of_queue() const noexcept { return from.starts_with("queue "); }

  friend bool operator==(const job&, const job&) = default;
};

std::string to_text(const job& what);
result<job> job_from_text(std::string_view text);

/// A piece of the source, as it waits in the queue of splits. Of a file its records are those that begin in it, of a
/// queue it has them with it.
struct split {
  std::uint64_t run = 0;
  std::uint64_t round = 0;
  std::uint32_t index = 0;
  std::uint64_t begin = 0; ///< bytes
  std::uint64_t end = 0;
  record_block records = {}; ///< of a queue

  /// The last piece of work: puts the parts together.
  static constexpr std::uint32_t finish_index = 0xffff'ffff;
  bool is_finish() const noexcept { return index == finish_index; }
  /// The first, with a queue: takes its records and cuts them into splits.
  static constexpr std::uint32_t cut_index = 0xffff'fffe;
  bool is_cut() const noexcept { return index == cut_index; }

  friend bool operator==(const split& one, const split& other) noexcept {
    return one.run == other.run && one.round == other.round && one.index == other.index
           && one.begin == other.begin && one.end == other.end
           && one.records.bytes() == other.records.bytes();
  }
};

std::string to_text(const split& what);
result<split> split_from_text(std::string_view text);

/// What one split came to.
struct split_outcome {
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t rejected = 0;
  rejected_notes first_rejected = {};
};

/// How a source that is not what it was has changed, in words.
std::string describe_change(const source_identity& before, const source_identity& after);

/// Source and sink of a batch in words: "queue orders", "file /data/sales.csv, reduced by country".
struct job_ends {
  std::string from;
  std::string to;
};
job_ends ends_of(const processor_spec& spec);

/// A split in words.
std::string describe(const split& which);

/// Why an older run of a batch does not go on.
std::string newer_run(std::uint64_t run);

/// The queue that hands out the splits of a batch. It is shown as any other.
queue_name splits_queue(const flow_name& flow, const processor_name& processor);

/// 16 hex digits that tell one batch from another, for names that must be short.
std::string batch_mark(const flow_name& flow, const processor_name& processor);

/// Where the rejected records of a batch are listed: in a file that the flow names, or beside the file of the sink, or, where that is
/// none, beside the source. Paths as they were given: where that of the sink is a link, the list is beside its target.
std::string rejected_path(const flow_name& flow, const processor_spec& spec);

/// What the name of that list has more than the name of the file that it is beside.
std::string rejected_suffix(const flow_name& flow, const processor_spec& spec);

/// The position that holds the job of a batch.
std::string job_key(const flow_name& flow, const processor_name& processor);

/// The size of splits for a source of `size_bytes`; `wanted` 0 = by that size.
std::uint64_t split_bytes_for(std::uint64_t size_bytes, std::uint64_t wanted) noexcept;

/// How many records of a queue the next split has at most: few at first, so that a short queue makes work for all, and
/// more with each, so that a long one does not make too many.
std::uint32_t split_records_for(std::uint32_t split_count) noexcept;

/// The size of splits of a queue; `wanted` 0 = the default.
std::uint64_t block_bytes_for(std::uint64_t wanted) noexcept;

/// The next split of a queue, with `records`, which `to` counts from now on.
split cut_split(job& to, record_block records);

/// Counts a split as done. False if it was.
bool add_split(job& to, const split& which, const split_outcome& outcome);

/// The splits that are not done, between the borders of all, in order.
std::vector<split> splits_left(const job& of, const std::vector<std::uint64_t>& borders);

} // namespace sluice::batch
