#include "transport/connectors/file/file_mark.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <unistd.h>

namespace sluice::connectors {

namespace {

// Part of the form: with other numbers it is another.
constexpr std::string_view form = "1:";
constexpr std::uint64_t head_bytes = 1024;
constexpr std::uint64_t tail_bytes = 256;

/// Adds the bytes from `begin` to `end`, at most `head_bytes`. None if they are not there.
std::optional<std::uint64_t> add_bytes(int fd, std::uint64_t begin, std::uint64_t end, std::uint64_t before) {
  std::array<char, head_bytes> bytes{};
  const auto size = static_cast<std::size_t>(end - begin);
  ssize_t count = 0;
  do {
    count = ::pread(fd, bytes.data(), size, static_cast<off_t>(begin));
  } while (count < 0 && errno == EINTR);
  if (count != static_cast<ssize_t>(size))
    return std::nullopt;
  return fingerprint({bytes.data(), size}, before);
}

} // namespace

std::string file_mark::at(int fd, std::uint64_t end) {
  if (const auto size = std::min(end, head_bytes); size > head_size_) {
    const auto head = add_bytes(fd, head_size_, size, head_);
    if (!head)
      return {};
    head_ = *head;
    head_size_ = size;
  }
  const auto whole = add_bytes(fd, end - std::min(end, tail_bytes), end, head_);
  return whole ? std::string{form} + std::to_string(end) + ":" + std::to_string(*whole) : std::string{};
}

bool still_begins_as(int fd, std::string_view mark) {
  std::uint64_t end = 0;
  const auto number = mark.substr(std::min(form.size(), mark.size()));
  const auto read = std::from_chars(number.data(), number.data() + number.size(), end);
  if (!mark.starts_with(form) || read.ec != std::errc{})
    return true;
  return file_mark{}.at(fd, end) == mark;
}

} // namespace sluice::connectors
