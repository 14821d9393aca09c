#include "transport/process/log_files.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace sluice::process {

namespace {

namespace fs = std::filesystem;

struct log_file {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  fs::path path;
};

fs::path name_of(std::uint64_t start) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llu.log", static_cast<unsigned long long>(start));
  return text;
}

std::optional<std::uint64_t> start_of(const fs::path& path) {
  const auto text = path.stem().string();
  std::uint64_t start = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), start);
  if (path.extension() != ".log" || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return start;
}

/// The files of a log, oldest first.
std::vector<log_file> list_files(const fs::path& directory) {
  std::vector<log_file> out;
  std::error_code error;
  for (fs::directory_iterator each{directory, error}, end; !error && each != end; each.increment(error)) {
    auto start = start_of(each->path());
    std::error_code ignored;
    const auto size = each->file_size(ignored);
    if (start && !ignored)
      out.push_back({*start, size, each->path()});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  return out;
}

result<std::string> read_part(const log_file& file, std::uint64_t from, std::size_t count) {
  unique_fd fd{::open(file.path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return fail(errc::unavailable, "cannot open " + file.path.string() + ": " + std::strerror(errno));
  std::string out(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const auto n = ::pread(fd.get(), out.data() + done, count - done, static_cast<off_t>(from + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(errc::unavailable, "cannot read " + file.path.string() + ": " + std::strerror(errno));
    if (n == 0)
      break;
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

/// Where reading begins: whole lines only.
struct position {
  std::size_t file = 0;
  std::uint64_t in_file = 0;
};

result<position> find_position(const std::vector<log_file>& files, std::uint64_t offset) {
  position at;
  while (at.file + 1 < files.size() && files[at.file + 1].start <= offset)
    ++at.file;
  const auto& file = files[at.file];
  if (offset <= file.start)
    return at;
  at.in_file = std::min(offset - file.start, file.size);
  if (at.in_file == file.size)
    return at;
  // Files end with whole lines, so only the byte before can tell.
  std::uint64_t from = at.in_file - 1;
  constexpr std::size_t step_bytes = 64u << 10;
  while (from < file.size) {
    auto part = read_part(file, from, std::min<std::uint64_t>(step_bytes, file.size - from));
    if (!part)
      return fail(part);
    if (auto newline = part->find('\n'); newline != std::string::npos) {
      at.in_file = from + newline + 1;
      return at;
    }
    if (part->empty())
      break;
    from += part->size();
  }
  at.in_file = file.size;
  return at;
}

} // namespace

log_writer::log_writer(fs::path directory, log_bounds bounds)
  : directory_(std::move(directory)), bounds_(bounds) {
  auto files = list_files(directory_);
  if (files.empty())
    return;
  file_start_ = files.back().start;
  file_size_ = files.back().size;
  resume(files.back().path);
}

/// Else each start of a node would drop the oldest of a few files. Where it cannot, the next file begins where this ends.
void log_writer::resume(const fs::path& newest) {
  constexpr std::size_t looked_at_max = 64u << 10; // lines are shorter, but for a few
  unique_fd last{::open(newest.c_str(), O_RDWR | O_APPEND | O_CLOEXEC)};
  if (!last)
    return;
  std::string end(std::min<std::uint64_t>(file_size_, looked_at_max), '\0');
  const auto from = file_size_ - end.size();
  if (::pread(last.get(), end.data(), end.size(), static_cast<off_t>(from))
      != static_cast<ssize_t>(end.size()))
    return;
  const auto newline = end.rfind('\n');
  if (newline == std::string::npos && from > 0)
    return;
  const auto whole = newline == std::string::npos ? 0 : from + newline + 1;
  if (whole < file_size_ && ::ftruncate(last.get(), static_cast<off_t>(whole)) != 0)
    return;
  file_ = std::move(last);
  file_size_ = whole;
}

void log_writer::write(std::string_view lines) {
  if (lines.empty())
    return;
  if (dropped_unsaid_ > 0) {
    const auto note = "sluice: " + std::to_string(dropped_unsaid_)
                      + " lines were dropped: " + std::strerror(last_error_) + "\n";
    if (append(note))
      dropped_unsaid_ = 0;
  }
  if (dropped_unsaid_ == 0 && append(lines))
    return;
  const auto count = static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  dropped_total_ += count;
  dropped_unsaid_ += count;
}

bool log_writer::append(std::string_view lines) {
  if ((!file_ || (file_size_ > 0 && file_size_ + lines.size() > bounds_.file_bytes_max)) && !open_next())
    return false;
  std::size_t done = 0;
  while (done < lines.size()) {
    const auto n = ::write(file_.get(), lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      last_error_ = n < 0 ? errno : EIO;
      // Half a batch would leave half a line behind.
      [[maybe_unused]] auto cut = ::ftruncate(file_.get(), static_cast<off_t>(file_size_));
      return false;
    }
    done += static_cast<std::size_t>(n);
  }
  file_size_ += lines.size();
  return true;
}

bool log_writer::open_next() {
  if (file_ && file_size_ == 0)
    return true;
  const auto start = file_start_ + file_size_;
  constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const auto path = directory_ / name_of(start);
  unique_fd next{::open(path.c_str(), flags, 0600)};
  if (!next && errno == ENOENT) { // there was no room for the directory yet
    std::error_code ignored;
    fs::create_directories(directory_, ignored);
    next = unique_fd{::open(path.c_str(), flags, 0600)};
  }
  if (!next) {
    last_error_ = errno;
    return false;
  }
  file_ = std::move(next);
  file_start_ = start;
  file_size_ = 0;
  remove_oldest();
  return true;
}

void log_writer::remove_oldest() {
  auto files = list_files(directory_);
  for (std::size_t i = 0; i + bounds_.files_max < files.size(); ++i) {
    std::error_code ignored;
    fs::remove(files[i].path, ignored);
  }
}

result<log_text> read_log(const fs::path& directory, std::uint64_t offset, std::size_t size_bytes_max) {
  const auto files = list_files(directory);
  if (files.empty())
    return log_text{{}, offset};
  auto at = find_position(files, offset);
  if (!at)
    return fail(at);
  log_text out;
  for (auto i = at->file; i < files.size() && out.text.size() < size_bytes_max; ++i) {
    const auto from = i == at->file ? at->in_file : 0;
    const auto count = std::min<std::uint64_t>(size_bytes_max - out.text.size(), files[i].size - from);
    auto part = read_part(files[i], from, count);
    if (!part)
      return fail(part);
    out.text += *part;
    if (part->size() < count)
      break; // it was removed or shortened meanwhile; the next read finds its way
  }
  const auto begin = files[at->file].start + at->in_file;
  auto last = out.text.rfind('\n');
  if (last == std::string::npos && !out.text.empty() && size_bytes_max < (4u << 20))
    return read_log(directory, begin, size_bytes_max * 2); // one line, longer than asked for
  out.text.resize(last == std::string::npos ? 0 : last + 1);
  out.offset_next = begin + out.text.size();
  return out;
}

result<log_text> read_log_tail(const fs::path& directory, std::size_t count, std::size_t size_bytes_max) {
  const auto files = list_files(directory);
  log_text out;
  if (files.empty())
    return out;
  out.offset_next = files.back().start + files.back().size;
  std::string text;
  for (auto i = files.size();
       i-- > 0 && text.size() < size_bytes_max
       && static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) <= count;) {
    const auto wanted = std::min<std::uint64_t>(files[i].size, size_bytes_max + 1 - text.size());
    auto part = read_part(files[i], files[i].size - wanted, wanted);
    if (!part)
      return fail(part);
    text.insert(0, *part);
  }
  if (const auto last = text.rfind('\n'); last + 1 != text.size()) { // the writer is at work
    const auto whole = last == std::string::npos ? 0 : last + 1;
    out.offset_next -= text.size() - whole;
    text.resize(whole);
  }
  // Walk back over `count` line ends; what is before the first whole line falls away.
  std::size_t begin = text.size();
  std::size_t found = 0;
  while (begin > 0 && found < count) {
    const auto before = begin >= 2 ? text.rfind('\n', begin - 2) : std::string::npos;
    if (before == std::string::npos) {
      if (text.size() <= size_bytes_max)
        begin = 0;
      break;
    }
    if (text.size() - (before + 1) > size_bytes_max)
      break;
    begin = before + 1;
    ++found;
  }
  out.text = text.substr(begin);
  return out;
}

} // namespace sluice::process
