#pragma once

#include "runtime/cli/command.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::cli {

/// A block of which nobody knows whether it is stored: it was sent, and no answer came. Sent again as
/// it was, by the same producer and with the same number, it is stored once.
struct unsure_block {
  std::uint64_t seq = 0;
  std::uint64_t line = 0;  ///< its first
  std::uint64_t count = 0; ///< of its records
};

/// Where a put that failed is to be gone on with; printed and read back as `PRODUCER:SEQ:LINE:COUNT`.
struct resume_point {
  std::string producer;
  unsure_block block;
};
std::string to_text(const resume_point& point);
result<resume_point> parse_resume_point(const std::string& text);
/// Refuses a point of a put to another queue.
result<void> check_queue_of(const resume_point& point, const std::string& queue);

/// Sends lines to a queue in blocks, and knows at any time which are on disk. One thread.
class record_putter {
public:
  struct options {
    std::string queue;
    std::size_t batch_count_max = 1000;
    std::chrono::milliseconds patience{};    ///< with a head that is away
    std::optional<resume_point> resume = {}; ///< its block is sent first, and before any other line
  };

  record_putter(const environment& env, client::control_client& head, options opts);

  /// Takes a line. Sends a block once it is full.
  result<void> add(std::string line, std::uint64_t number);

  /// Stores what was collected. A head that is away is waited for, unless the process was asked to end: the
  /// block carries a number, so that a repeat stores nothing twice.
  result<void> flush();

  /// How long the lines collected so far may still wait for others; none: there are no such lines, or
  /// they must wait for more.
  std::optional<std::chrono::milliseconds> linger() const;

  /// True while lines of the resumed block are missing: what is here must not be sent.
  bool is_block_open() const noexcept;

  void end_progress() const;

  std::uint64_t stored() const noexcept { return stored_; }
  std::uint64_t line_next() const noexcept { return line_next_; } ///< what is before is stored
  std::optional<resume_point> unsure() const;

private:
  result<void> send();
  void show_progress();

  const environment& env_;
  client::control_client& head_;
  options opts_;
  client::api::QueuePutRequest request_;
  std::size_t bytes_ = 0;
  std::uint64_t line_first_ = 0; ///< of the block that is collected
  std::uint64_t line_last_ = 0;
  std::chrono::steady_clock::time_point begun_at_; ///< when its first line came
  std::uint64_t seq_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t line_next_ = 1;
  std::optional<unsure_block> unsure_;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point shown_at_{};
  bool is_progress_shown_ = false;
};

} // namespace sluice::cli
