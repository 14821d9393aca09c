#include "transport/connectors/file/line_reader.hpp"

#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace sluice::connectors {

namespace {

constexpr std::size_t read_bytes = 256u << 10;
constexpr std::size_t cut_kept_bytes = 4096; ///< of a line that is too long

} // namespace

line_reader::line_reader(int fd, std::uint64_t offset, bool quotes)
  : fd_(fd), quotes_(quotes), offset_(offset) {}

line_reader::~line_reader() { ::close(fd_); }

void line_reader::seek(std::uint64_t offset) {
  offset_ = offset;
  buffer_.clear();
  begin_ = scanned_ = 0;
  dropped_ = 0;
  place_ = csv::place::field_start;
}

void line_reader::forget_unfinished() {
  if (dropped_ == 0 && buffer_.size() - begin_ <= read_bytes)
    seek(offset_);
}

result<std::optional<line_reader::line>> line_reader::next(bool unfinished) {
  for (;;) {
    if (scan())
      return take(scanned_);
    auto more = fill();
    if (!more)
      return fail(more);
    if (*more)
      continue;
    if (!unfinished || buffer_.size() == begin_)
      return std::optional<line>{};
    return take(buffer_.size() - begin_);
  }
}

/// Whether the line that begins at `begin_` ends at `scanned_`.
bool line_reader::scan() {
  const auto text = std::string_view{buffer_}.substr(begin_);
  if (quotes_)
    return csv::row_end(text, scanned_, place_).has_value();
  const void* found = std::memchr(text.data() + scanned_, '\n', text.size() - scanned_);
  scanned_ = found == nullptr ? text.size()
                              : static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) + 1;
  return found != nullptr;
}

line_reader::line line_reader::take(std::size_t size) {
  line out;
  out.text = std::string_view{buffer_}.substr(begin_, size);
  if (offset_ == 0)
    out.text = codec::without_byte_order_mark(out.text);
  offset_ += size + dropped_;
  out.end = offset_;
  if (out.text.ends_with('\n'))
    out.text.remove_suffix(1);
  if (out.text.ends_with('\r'))
    out.text.remove_suffix(1);
  if (const auto whole = out.text.size() + dropped_; whole > limits::record_size_bytes_max) {
    out.cut_bytes = whole;
    out.text = out.text.substr(0, cut_kept_bytes);
  }
  begin_ += size;
  scanned_ = 0;
  dropped_ = 0;
  place_ = csv::place::field_start;
  return out;
}

/// Reads more; false at the end of the file.
result<bool> line_reader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  if (dropped_ > 0 || buffer_.size() > limits::record_size_bytes_max) {
    // Of a line that cannot be a record only the beginning is kept while its end is looked for.
    dropped_ += buffer_.size() - cut_kept_bytes;
    buffer_.resize(cut_kept_bytes);
    scanned_ = cut_kept_bytes;
  }
  const auto before = buffer_.size();
  buffer_.resize(before + read_bytes);
  ssize_t count = 0;
  do {
    count =
      ::pread(fd_, buffer_.data() + before, read_bytes, static_cast<off_t>(offset_ + dropped_ + before));
  } while (count < 0 && errno == EINTR);
  buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0)
    return fail(errc::unavailable, std::string{"file: read: "} + std::strerror(errno));
  return count > 0;
}

} // namespace sluice::connectors
