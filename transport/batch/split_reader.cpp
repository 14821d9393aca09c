#include "transport/batch/split_reader.hpp"

#include "transport/connectors/file/csv.hpp"
#include "transport/connectors/file/file_failure.hpp"
#include "transport/connectors/file/line_reader.hpp"
#include "transport/process/unique_fd.hpp"

#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::batch {

namespace {

namespace csv = connectors::csv;
using connectors::line_reader;

constexpr std::size_t read_bytes = 512u << 10;
constexpr std::size_t cut_kept_bytes = 4096; ///< of a line that is too long

tl::unexpected<failure> fail_errno(const std::string& path, const char* what) {
  return connectors::file_failure(connectors::errc_of_reading(errno), what, path);
}

result<process::unique_fd> open_file(const std::string& path) {
  process::unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (fd.get() < 0)
    return connectors::file_failure(connectors::errc_of_reading(errno), "open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0)
    return fail_errno(path, "look at");
  if (!S_ISREG(info.st_mode))
    return fail(errc::invalid_argument, "file: " + path + " is no regular file");
  return fd;
}

/// Reads up to `size` bytes; 0 at the end.
result<std::size_t> read_at(int fd, const std::string& path, char* to, std::size_t size,
                            std::uint64_t offset) {
  for (;;) {
    const auto count = ::pread(fd, to, size, static_cast<off_t>(offset));
    if (count >= 0)
      return static_cast<std::size_t>(count);
    if (errno != EINTR)
      return fail_errno(path, "read");
  }
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

std::string too_long(std::uint64_t bytes) {
  return "a line of " + std::to_string(bytes) + " bytes; a record has at most "
         + std::to_string(limits::record_size_bytes_max);
}

/// Lines, as views into one buffer that is refilled between calls.
class lines final : public split_reader {
public:
  lines(process::unique_fd fd, std::string path, std::uint64_t begin, std::uint64_t end)
    : fd_(std::move(fd)), path_(std::move(path)), offset_(begin == 0 ? 0 : begin - 1), end_(end),
      skips_first_(begin != 0) {}

  result<bool> next(std::vector<record_slice>& out) override {
    out.clear();
    for (;;) {
      if (!take_lines(out))
        return false;
      if (!out.empty())
        return true;
      auto more = fill();
      if (!more)
        return fail(more);
      if (*more)
        continue;
      take_last(out);
      return false;
    }
  }

private:
  std::uint64_t position() const noexcept { return offset_ + begin_; }

  /// Takes the whole lines of the buffer. False once the split has none left.
  bool take_lines(std::vector<record_slice>& out) {
    const std::string_view text{buffer_.data(), size_};
    for (;;) {
      if (!skips_first_ && dropped_ == 0 && position() >= end_)
        return false;
      const auto* found =
        static_cast<const char*>(std::memchr(text.data() + scanned_, '\n', text.size() - scanned_));
      if (found == nullptr) {
        scanned_ = text.size();
        return true;
      }
      const auto line_end = static_cast<std::size_t>(found - text.data());
      take(text.substr(begin_, line_end - begin_), out);
      begin_ = scanned_ = line_end + 1;
      if (!out.empty() && !out.back().error.empty())
        return true; // the next one that is too long needs the same texts
    }
  }

  void take_last(std::vector<record_slice>& out) {
    if (begin_ < size_ || dropped_ > 0)
      take(std::string_view{buffer_.data() + begin_, size_ - begin_}, out);
    begin_ = scanned_ = size_;
  }

  void take(std::string_view line, std::vector<record_slice>& out) {
    const auto offset = position() - dropped_;
    const auto whole = line.size() + dropped_;
    const bool is_in_buffer = std::exchange(dropped_, 0) == 0;
    if (std::exchange(skips_first_, false)) // the end of a line that the split before has
      return;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (offset == 0)
      line = codec::without_byte_order_mark(line);
    if (whole > limits::record_size_bytes_max) {
      error_ = too_long(whole);
      if (is_in_buffer)
        head_ = line.substr(0, cut_kept_bytes);
      out.push_back({head_, offset, error_});
    } else if (!is_blank(line)) {
      out.push_back({line, offset, {}});
    }
  }

  /// Makes room and reads on; false at the end of the file.
  result<bool> fill() {
    drop_overlong();
    const auto kept = size_ - begin_;
    std::memmove(buffer_.data(), buffer_.data() + begin_, kept);
    offset_ += begin_;
    scanned_ -= begin_;
    begin_ = 0;
    size_ = kept;
    if (buffer_.size() - kept < read_bytes / 2)
      buffer_.resize(kept < read_bytes / 2 ? read_bytes : 2 * buffer_.size());
    auto count = read_at(fd_.get(), path_, buffer_.data() + kept, buffer_.size() - kept, offset_ + kept);
    if (!count)
      return fail(count);
    size_ += *count;
    return *count > 0;
  }

  /// Of a line that can be no record only the beginning is kept while its end is looked for.
  void drop_overlong() {
    const auto pending = size_ - begin_;
    if (dropped_ == 0 && pending <= limits::record_size_bytes_max)
      return;
    if (dropped_ == 0)
      head_.assign(buffer_.data() + begin_, cut_kept_bytes);
    dropped_ += pending;
    begin_ = scanned_ = size_;
  }

  process::unique_fd fd_;
  std::string path_;
  std::uint64_t offset_; ///< of the buffer in the file
  std::uint64_t end_;
  bool skips_first_;
  std::string buffer_;
  std::size_t size_ = 0;    ///< of the buffer that is filled
  std::size_t begin_ = 0;   ///< of the line that comes next
  std::size_t scanned_ = 0; ///< no line break before
  std::uint64_t dropped_ = 0;
  std::string head_;
  std::string error_;
};

/// Rows of CSV as JSON, one after the other in one buffer.
class rows final : public split_reader {
public:
  rows(int fd, std::vector<csv::column> header, std::uint64_t begin, std::uint64_t end)
    : reader_(fd, begin, true), header_(std::move(header)), at_(begin), end_(end) {}

  result<bool> next(std::vector<record_slice>& out) override {
    out.clear();
    text_.clear();
    errors_.clear();
    found_.clear();
    bool more = true;
    while (text_.size() < read_bytes / 2 && (more = at_ < end_)) {
      auto line = reader_.next(true);
      if (!line)
        return fail(line);
      if ((more = line->has_value()))
        take(**line);
      else
        break;
    }
    std::size_t begin = 0;
    std::size_t error = 0;
    for (const auto& [offset, end, is_wrong] : found_) {
      out.push_back({std::string_view{text_}.substr(begin, end - begin), offset,
                     is_wrong ? std::string_view{errors_[error++]} : std::string_view{}});
      begin = end;
    }
    return more;
  }

private:
  struct row {
    std::uint64_t offset;
    std::size_t end; ///< in `text_`
    bool is_wrong;
  };

  void take(const line_reader::line& line) {
    const auto offset = std::exchange(at_, line.end);
    if (offset == 0 || is_blank(line.text)) // the header, in the first split
      return;
    std::string error;
    if (line.cut_bytes > 0) {
      error = too_long(line.cut_bytes);
    } else {
      const auto object = csv::to_json(header_, csv::split(line.text));
      if (object) {
        text_ += *object;
        found_.push_back({offset, text_.size(), false});
        return;
      }
      error = "the row " + object.error().message;
    }
    text_ += line.text;
    errors_.push_back(std::move(error));
    found_.push_back({offset, text_.size(), true});
  }

  line_reader reader_;
  std::vector<csv::column> header_;
  std::uint64_t at_;
  std::uint64_t end_;
  std::string text_;
  std::vector<std::string> errors_;
  std::vector<row> found_;
};

class block_reader final : public split_reader {
public:
  explicit block_reader(record_block records) : records_(std::move(records)) {}

  result<bool> next(std::vector<record_slice>& out) override {
    out.clear();
    for (auto record : records_)
      out.push_back({record.payload, record.seq, {}});
    return false;
  }

private:
  record_block records_;
};

result<std::vector<csv::column>> read_header(const source_file& file) {
  const auto& path = file.path;
  auto fd = open_file(path);
  if (!fd)
    return fail(fd);
  line_reader reader{fd->release(), 0, true};
  auto line = reader.next(true);
  if (!line)
    return fail(line);
  if (!*line)
    return std::vector<csv::column>{};
  auto header = csv::read_columns((*line)->text, file.columns);
  if (!header)
    return fail(header.error().code, "file: the header of " + path + " " + header.error().message);
  return header;
}

/// Looks for the ends of rows at or behind every multiple of `split_bytes`.
class row_borders {
public:
  explicit row_borders(std::uint64_t split_bytes) : split_bytes_(split_bytes), wanted_(split_bytes) {}

  void add(std::string_view text) {
    for (std::size_t scanned = 0; auto end = csv::row_end(text, scanned, place_);) {
      const auto border = offset_ + *end;
      if (border < wanted_)
        continue;
      found_.push_back(border);
      wanted_ = (border / split_bytes_ + 1) * split_bytes_;
    }
    offset_ += text.size();
  }

  std::vector<std::uint64_t> take() { return std::move(found_); }

private:
  std::uint64_t split_bytes_;
  std::uint64_t wanted_;
  std::uint64_t offset_ = 0;
  csv::place place_ = csv::place::field_start;
  std::vector<std::uint64_t> found_;
};

} // namespace

result<std::vector<std::uint64_t>> plan_splits(const source_file& file, std::uint64_t size_bytes,
                                               std::uint64_t split_bytes) {
  std::vector<std::uint64_t> borders{0};
  if (file.is_csv) {
    auto fd = open_file(file.path);
    if (!fd)
      return fail(fd);
    row_borders found{split_bytes};
    std::string buffer(1u << 20, '\0');
    for (std::uint64_t offset = 0; offset < size_bytes;) {
      auto count = read_at(fd->get(), file.path, buffer.data(), buffer.size(), offset);
      if (!count)
        return fail(count);
      if (*count == 0)
        break;
      found.add({buffer.data(), *count});
      offset += *count;
    }
    for (auto border : found.take())
      if (border < size_bytes)
        borders.push_back(border);
  } else {
    for (auto at = split_bytes; at < size_bytes; at += split_bytes)
      borders.push_back(at);
  }
  if (size_bytes > 0)
    borders.push_back(size_bytes);
  return borders;
}

std::unique_ptr<split_reader> read_block(record_block records) {
  return std::make_unique<block_reader>(std::move(records));
}

result<std::unique_ptr<split_reader>> open_split(const source_file& file, std::uint64_t begin,
                                                 std::uint64_t end) {
  auto fd = open_file(file.path);
  if (!fd)
    return fail(fd);
  if (!file.is_csv)
    return std::make_unique<lines>(std::move(*fd), file.path, begin, end);
  auto header = read_header(file);
  if (!header)
    return fail(header);
  return std::make_unique<rows>(fd->release(), std::move(*header), begin, end);
}

} // namespace sluice::batch
