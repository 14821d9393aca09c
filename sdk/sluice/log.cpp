#include <sluice/codec/reflect.hpp>
#include <sluice/log.hpp>

#include <cstdio>

namespace sluice::log {

namespace {

thread_local const speaker* current = nullptr;

/// As wide as the longest, so that what follows stands in a column.
std::string_view label_of(level of) noexcept {
  switch (of) {
  case level::trace:
    return "trace ";
  case level::debug:
    return "debug ";
  case level::info:
    return "info  ";
  case level::warn:
    return "warn  ";
  case level::error:
    return "error ";
  }
  return "      ";
}

} // namespace

speaker::speaker(const processor_name& processor, replica_id replica, std::string_view level_min)
  : prefix(processor.value + "/" + std::to_string(replica.value) + ": ") {
  for (const auto& entry : codec::enum_entries_v<level>)
    if (entry.name == level_min)
      least = entry.value;
}

speaking::speaking(const speaker& who) noexcept : before_(std::exchange(current, &who)) {}

speaking::~speaking() { current = before_; }

bool is_written(level of) noexcept { return of >= (current != nullptr ? current->least : level::info); }

void write(level of, std::string_view text) {
  std::string lines;
  while (!text.empty() && text.back() == '\n')
    text.remove_suffix(1);
  for (;;) {
    const auto end = text.find('\n');
    lines += label_of(of);
    if (current != nullptr)
      lines += current->prefix;
    lines += text.substr(0, end);
    lines += '\n';
    if (end == std::string_view::npos)
      break;
    text.remove_prefix(end + 1);
  }
  // Unbuffered, so one call is one piece: lines of several threads do not mix.
  static_cast<void>(std::fwrite(lines.data(), 1, lines.size(), stderr));
}

} // namespace sluice::log
