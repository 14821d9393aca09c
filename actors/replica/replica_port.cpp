#include "actors/replica/replica_port.hpp"

#include <sluice/core/limits.hpp>

#include <utility>

namespace sluice::replica {

namespace {

std::string cut(const std::string& text) {
  if (text.size() <= limits::error_text_bytes_max)
    return text;
  return text.substr(0, limits::error_text_bytes_max - 3) + "...";
}

} // namespace

void chunk_builder::add(std::uint64_t seq, std::uint32_t attempts, const result<void>& outcome,
                        const encoded_results& results, std::chrono::nanoseconds busy) {
  done_.busy += busy;
  if (!outcome) {
    done_.nacks.push_back(
      {seq, cut(outcome.error().message), outcome.error().code != errc::invalid_argument, attempts});
    return;
  }
  std::size_t size_bytes = 0;
  for (std::size_t i = 0; i < results.count(); ++i)
    size_bytes += results[i].size();
  if (size_bytes > limits::record_size_bytes_max) {
    done_.nacks.push_back({seq,
                           "the results of this record have " + std::to_string(size_bytes)
                             + " bytes, allowed are " + std::to_string(limits::record_size_bytes_max),
                           false, attempts});
    return;
  }
  for (std::size_t i = 0; i < results.count(); ++i)
    results_.add(seq, 0, results[i]);
  done_.acks.push_back(seq);
}

work_done chunk_builder::finish() {
  const auto size_bytes = results_.size_bytes();
  done_.results = results_.finish();
  results_.reserve(size_bytes); // the next chunk is likely to be as large
  return std::exchange(done_, {});
}

} // namespace sluice::replica
