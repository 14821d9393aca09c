#pragma once

#include "runtime/local_system.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice::runtime {

/// Dead letters of one queue, or of one processor whose source is no queue.
struct letters_count {
  queue_name queue; ///< empty = none
  processor_name processor;
  std::uint64_t count = 0; ///< of this run
  std::uint64_t total = 0; ///< with those of earlier ones
};

/// All that are there, of them those buried at `since` or later, by queue in the order of its first letter.
result<std::vector<letters_count>> count_letters(local_system& system,
                                                 std::chrono::system_clock::time_point since);

/// The same, but only of queues, and as if all were of earlier runs: reads none of them.
result<std::vector<letters_count>> count_old_letters(local_system& system);

/// What a run says of them in the end, one line each: how many, where, and how to see and repeat them.
std::string letters_text(const std::vector<letters_count>& all);

/// A dead letter as one line of JSON: id, queue, processor, attempts, error, buried_at and record, a text.
std::string to_json_line(const queue::dead_letter& letter);

/// Prints all dead letters in the state of a flow, a line each, oldest first. Returns the exit code.
int print_letters(const std::filesystem::path& state_dir);

} // namespace sluice::runtime
