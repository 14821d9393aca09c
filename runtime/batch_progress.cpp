#include "runtime/batch_progress.hpp"

#include <algorithm>
#include <cstdio>

namespace sluice::runtime {

std::string counted(std::uint64_t count, const std::string& thing) {
  return grouped(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string grouped(std::uint64_t value) {
  auto digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string seconds_text(std::chrono::milliseconds took) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(took.count()) / 1000.0);
  return text;
}

std::string batch_bar(const host::batch_report& batch, double records_per_s) {
  auto counts =
    counted(batch.records_in, "record") + ", " + grouped(static_cast<std::uint64_t>(records_per_s)) + "/s";
  const auto rejected = batch.rejected > 0 ? ", " + grouped(batch.rejected) + " rejected" : std::string{};
  const bool goes_on = batch.phase == host::batch_phase::running;
  if (goes_on && batch.source_bytes == 0)
    return counts + rejected;
  constexpr std::size_t width = 20;
  const auto done = std::min(batch.done_bytes, batch.source_bytes);
  const double share =
    batch.source_bytes == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(batch.source_bytes);
  const auto filled = static_cast<std::size_t>(share * width);
  auto line = "[" + std::string(filled, '=')
              + (filled < width ? ">" + std::string(width - filled - 1, ' ') : std::string{}) + "] "
              + std::to_string(static_cast<int>(share * 100)) + " %  " + counts;
  if (goes_on && records_per_s >= 1 && batch.records_in > 0 && done > 0) {
    const auto bytes_per_s =
      static_cast<double>(done) / static_cast<double>(batch.records_in) * records_per_s;
    const auto left = static_cast<unsigned>(static_cast<double>(batch.source_bytes - done) / bytes_per_s);
    char text[48];
    std::snprintf(text, sizeof text, ", %u:%02u left", left / 60, left % 60);
    line += text;
  }
  return line + rejected;
}

std::string batch_counts(const host::batch_report& batch) {
  auto text = counted(batch.records_in, "record") + " in, " + grouped(batch.records_out) + " out";
  if (batch.phase == host::batch_phase::failed) // the part that failed it is counted nowhere
    return text + (batch.rejected > 0 ? ", " + grouped(batch.rejected) + " rejected" : "")
           + " in the parts that are done";
  return text + ", " + grouped(batch.rejected) + " rejected";
}

} // namespace sluice::runtime
