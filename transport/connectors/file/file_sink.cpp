#include "transport/connectors/file/file_sink.hpp"

#include "transport/connectors/file/csv.hpp"
#include "transport/connectors/file/file_failure.hpp"
#include "transport/connectors/option_reader.hpp"

#include <sluice/codec/json_reader.hpp>
#include <sluice/core/disk_errc.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::connectors::file_sink {

namespace {

struct file_options {
  std::string path;
  bool is_csv = false;
};

/// Holds the file against everybody else who appends to it.
class locked {
public:
  explicit locked(const int& fd) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~locked() { ::flock(fd_, LOCK_UN); }
  locked(const locked&) = delete;
  locked& operator=(const locked&) = delete;

private:
  const int& fd_; ///< -1 once it is closed, which unlocks: its number may be somebody else's by then
};

class file final : public sink {
public:
  explicit file(file_options opts) : opts_(std::move(opts)) {}
  ~file() override { shut(); }

  result<void> open() override {
    fd_ = ::open(opts_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd_ < 0)
      return file_failure(never_opens(errno) ? errc::invalid_argument : errc::unavailable, "open",
                          opts_.path);
    struct stat info {};
    if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
      shut();
      return fail(errc::invalid_argument, "file: " + whole_path(opts_.path) + " is no regular file");
    }
    locked lock{fd_};
    if (auto ok = mend_last_line(); !ok) {
      shut();
      return ok;
    }
    return sync_folder();
  }

  result<void> push(const record_block& results) override {
    if (results.empty())
      return {};
    if (fd_ >= 0 && !is_in_place())
      shut();      // what was acknowledged is in there, and synced
    if (fd_ < 0) { // also after a failed sync
      // It has been open, so this is the file's fault: of `invalid_argument` the results would be to blame.
      if (auto ok = open(); !ok)
        return fail(errc::unavailable, ok.error().message);
    }
    locked lock{fd_};
    std::string text;
    text.reserve(results.bytes().size());
    if (auto ok = opts_.is_csv ? add_rows(results, text) : add_lines(results, text); !ok)
      return ok;
    if (auto ok = append(text); !ok)
      return ok;
    return check_kept();
  }

  result<void> close() override {
    shut();
    return {};
  }

private:
  void shut() {
    columns_.clear();
    if (fd_ >= 0)
      ::close(std::exchange(fd_, -1));
  }

  tl::unexpected<failure> fail_errno(const char* what) const {
    return file_failure(errc::unavailable, what, opts_.path);
  }

  /// The path is wrong, or not for us: waiting mends neither.
  static bool never_opens(int error) {
    return errc_of_disk(error) == errc::permission_denied || error == ENOENT || error == ENOTDIR
           || error == EISDIR || error == ENAMETOOLONG || error == ELOOP;
  }

  /// Whether the path still leads to the open file, and not to none or another one: somebody may have deleted it,
  /// rotated it away, or put another one there.
  bool is_in_place() const {
    struct stat mine {};
    struct stat named {};
    return ::fstat(fd_, &mine) == 0 && ::stat(opts_.path.c_str(), &named) == 0 && mine.st_dev == named.st_dev
           && mine.st_ino == named.st_ino;
  }

  bool is_empty() const {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 && info.st_size == 0;
  }

  /// A file that was deleted while it was written to has taken the results with it: they have to come again.
  result<void> check_kept() const {
    struct stat info {};
    if (::fstat(fd_, &info) == 0 && info.st_nlink == 0 && !is_in_place())
      return fail(errc::unavailable,
                  "file: " + whole_path(opts_.path) + " was deleted while it was written to");
    return {};
  }

  static result<void> add_lines(const record_block& results, std::string& text) {
    for (auto record : results) {
      const auto begin = text.size();
      text += record.payload;
      // Between JSON values a line break is a blank; inside of one it cannot be.
      std::replace(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), '\n', ' ');
      text += '\n';
    }
    return {};
  }

  result<void> add_rows(const record_block& results, std::string& text) {
    if (is_empty()) // somebody may have emptied it in place: then it needs its header again
      columns_.clear();
    else if (columns_.empty()) {
      if (auto ok = read_columns(); !ok)
        return ok;
    }
    csv::row_writer rows{whole_path(opts_.path),
                         columns_}; // its columns are kept only once they are in the file
    for (auto record : results)
      if (auto ok = rows.add(record.payload, text); !ok)
        return ok;
    return {};
  }

  /// The columns of a file that has some.
  result<void> read_columns() {
    std::string head;
    std::size_t scanned = 0;
    auto place = csv::place::field_start;
    char part[4096];
    for (;;) {
      const auto count = ::pread(fd_, part, sizeof part, static_cast<off_t>(head.size()));
      if (count < 0)
        return fail_errno("read");
      if (count == 0)
        return {};
      head.append(part, static_cast<std::size_t>(count));
      if (auto end = csv::row_end(head, scanned, place)) {
        auto names = csv::column_names(std::string_view{head}.substr(0, *end));
        if (!names)
          return fail(errc::invalid_argument,
                      "file: the header of " + whole_path(opts_.path) + " " + names.error().message);
        columns_ = std::move(*names);
        return {};
      }
    }
  }

  /// Writes and syncs all of it or leaves the file as it was.
  result<void> append(std::string_view text) {
    struct stat before {};
    if (::fstat(fd_, &before) != 0)
      return fail_errno("look at");
    for (auto left = text; !left.empty();) {
      const auto count = ::write(fd_, left.data(), left.size());
      if (count >= 0) {
        left.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno != EINTR) {
        auto why = fail_errno("write");
        cut_to(before.st_size);
        return why;
      }
    }
    if (::fdatasync(fd_) == 0)
      return {};
    // What was written may be lost although it can still be read: it is written anew, through
    // another descriptor, rather than synced again.
    auto why = fail_errno("sync");
    cut_to(before.st_size);
    shut();
    return why;
  }

  void cut_to(off_t size) {
    while (::ftruncate(fd_, size) != 0 && errno == EINTR) {
    }
  }

  result<void> mend_last_line() {
    struct stat info {};
    if (::fstat(fd_, &info) != 0)
      return fail_errno("look at");
    if (opts_.is_csv)
      return mend_last_row(info.st_size);
    std::string tail;
    auto begin = info.st_size;
    while (begin > 0 && tail.find('\n') == std::string::npos) {
      const auto size = std::min<off_t>(begin, 64 << 10);
      std::string part(static_cast<std::size_t>(size), '\0');
      if (::pread(fd_, part.data(), part.size(), begin - size) != size)
        return fail_errno("read");
      begin -= size;
      tail.insert(0, part);
    }
    if (tail.empty() || tail.ends_with('\n'))
      return {};
    const auto line_break = tail.rfind('\n');
    const auto line = std::string_view{tail}.substr(line_break == std::string::npos ? 0 : line_break + 1);
    if (is_whole(line))
      return append("\n");
    cut_to(info.st_size - static_cast<off_t>(line.size()));
    return {};
  }

  /// Cuts off a row that was not written whole. Which line breaks end a row is known from the beginning only.
  result<void> mend_last_row(off_t size) {
    std::string part(256u << 10, '\0');
    auto place = csv::place::field_start;
    off_t whole = 0;
    for (off_t offset = 0; offset < size;) {
      const auto count = ::pread(fd_, part.data(), part.size(), offset);
      if (count < 0)
        return fail_errno("read");
      if (count == 0)
        break; // it has been cut short meanwhile
      const std::string_view text{part.data(), static_cast<std::size_t>(count)};
      std::size_t scanned = 0;
      while (csv::row_end(text, scanned, place))
        whole = offset + static_cast<off_t>(scanned);
      offset += count;
    }
    if (whole < size)
      cut_to(whole); // never grows it: what is whole was read
    return {};
  }

  /// An object, array or string that is complete; of a bare number nobody can tell.
  static bool is_whole(std::string_view line) {
    codec::json_reader reader{line};
    const auto kind = reader.peek();
    const bool ends_itself =
      kind == codec::json_kind::object || kind == codec::json_kind::array || kind == codec::json_kind::string;
    return ends_itself && reader.skip_value() && reader.finish();
  }

  /// So that a file that was made is still there after a power cut.
  result<void> sync_folder() {
    auto folder = std::filesystem::path{opts_.path}.parent_path();
    int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
      return {}; // may be entered but not read: nothing that can be done
    ::fsync(fd);
    ::close(fd);
    return {};
  }

  file_options opts_;
  int fd_ = -1;
  std::vector<std::string> columns_;
};

result<std::unique_ptr<sink>> make(const io_spec& spec) {
  option_reader options{spec};
  file_options opts;
  opts.path = options.required("path");
  opts.is_csv = options.one_of("format", {"jsonl", "csv"}, "jsonl") == "csv";
  if (auto ok = options.check(); !ok)
    return fail(ok);
  return std::make_unique<file>(std::move(opts));
}

} // namespace

void add_to(connector_registry& registry) { registry.add_sink("file", make); }

} // namespace sluice::connectors::file_sink
