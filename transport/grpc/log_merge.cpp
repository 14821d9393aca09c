#include "transport/grpc/log_merge.hpp"

#include "transport/process/exit_report.hpp"

namespace sluice::control {

namespace {

void take_time(std::string& key, std::string_view text) {
  const auto line = text.substr(0, text.find('\n'));
  if (const auto size = line.size() - process::without_timestamp(line).size(); size > 0)
    key.assign(line, 0, size); // as text it is ordered as it is in time
}

} // namespace

void log_merge::feed(std::size_t log, std::string_view text) {
  if (text.empty())
    return;
  if (logs_.size() <= log)
    logs_.resize(log + 1);
  auto& to = logs_[log];
  const bool was_empty = is_empty(log);
  to.text.erase(0, to.at);
  to.at = 0;
  to.text += text;
  if (was_empty)
    take_time(to.key, to.text);
}

bool log_merge::is_empty(std::size_t log) const noexcept {
  return log >= logs_.size() || logs_[log].at == logs_[log].text.size();
}

bool log_merge::goes_before(std::size_t left, std::size_t right) const {
  const auto order = logs_[left].key.compare(logs_[right].key);
  return order < 0 || (order == 0 && left < right);
}

/// Goes to the next line.
void log_merge::step(held& log) {
  const auto end = log.text.find('\n', log.at);
  log.at = end == std::string::npos ? log.text.size() : end + 1;
  if (log.at < log.text.size())
    take_time(log.key, std::string_view{log.text}.substr(log.at));
}

std::optional<log_merge::piece> log_merge::next() {
  std::optional<std::size_t> first;
  std::optional<std::size_t> second;
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    if (is_empty(i))
      continue;
    if (!first || goes_before(i, *first)) {
      second = first;
      first = i;
    } else if (!second || goes_before(i, *second)) {
      second = i;
    }
  }
  if (!first)
    return std::nullopt;
  auto& log = logs_[*first];
  const auto begin = log.at;
  do
    step(log);
  while (!is_empty(*first) && (!second || goes_before(*first, *second)));
  piece out{*first, log.text.substr(begin, log.at - begin)};
  if (is_empty(*first)) {
    log.text = {}; // gives its memory back
    log.at = 0;
  }
  return out;
}

} // namespace sluice::control
