#include "transport/batch/part_files.hpp"

#include "transport/connectors/file/csv.hpp"

#include <sluice/codec/codec.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::batch {

namespace {

namespace csv = connectors::csv;

constexpr std::size_t write_bytes = 256u << 10;
constexpr std::size_t copy_bytes_max = 64u << 20; ///< per call
constexpr int symlinks_max = 40;                  ///< as the kernel follows

/// Two attempts at one part, in this process or another, write two files.
std::string unique_suffix() {
  static std::atomic<std::uint64_t> last{0};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return "." + std::to_string(::getpid()) + "-" + std::to_string(now.tv_sec) + std::to_string(now.tv_nsec)
         + "-" + std::to_string(++last) + ".tmp";
}

/// Written to the file of rejected records.
struct rejected_line {
  std::uint64_t offset = 0; ///< in the source
  std::uint32_t attempts = 0;
  std::string error;
  std::string record;
};

/// The rejected records of a part; no file where there are none.
class rejects {
public:
  explicit rejects(std::filesystem::path path) : path_(std::move(path)) {}

  result<void> add(const record_slice& record, std::uint32_t attempts, const std::string& error) {
    const rejected_line line{record.offset, attempts, codec::to_utf8(error),
                             codec::to_utf8(std::string{record.payload})};
    if (auto done = codec::encode(line, text_); !done)
      return done;
    text_ += '\n';
    return {};
  }

  result<void> finish() {
    if (text_.empty()) {
      std::error_code ignored; // there is one only if an attempt before rejected something
      std::filesystem::remove(path_, ignored);
      return {};
    }
    auto file = whole_file::create(path_);
    if (!file)
      return fail(file);
    if (auto done = file->write(text_); !done)
      return done;
    return file->finish();
  }

private:
  std::filesystem::path path_;
  std::string text_;
};

/// Results on their way into a file.
class results_writer {
public:
  results_writer(whole_file file, part_format format, const std::string& target)
    : file_(std::move(file)), is_csv_(format == part_format::csv), rows_(target) {
    text_.reserve(write_bytes + write_bytes / 4);
  }

  result<void> add(std::string_view payload) {
    if (is_csv_) {
      if (auto done = rows_.add(payload, text_); !done)
        return done;
    } else {
      append_line(payload, text_);
    }
    return text_.size() < write_bytes ? result<void>{} : flush();
  }

  result<void> flush() {
    auto done = file_.write(text_);
    text_.clear();
    return done;
  }

  whole_file& file() noexcept { return file_; }

private:
  whole_file file_;
  bool is_csv_;
  csv::row_writer rows_;
  std::string text_;
};

class file_part final : public part_writer {
public:
  file_part(results_writer results, rejects rejected)
    : results_(std::move(results)), rejected_(std::move(rejected)) {}

  result<void> add(std::string_view payload) override { return results_.add(payload); }

  result<void> reject(const record_slice& record, std::uint32_t attempts, const std::string& error) override {
    return rejected_.add(record, attempts, error);
  }

  result<std::vector<record_block>> finish() override {
    if (auto done = results_.flush(); !done)
      return fail(done);
    if (auto done = rejected_.finish(); !done)
      return fail(done);
    if (auto done = results_.file().finish(); !done)
      return fail(done);
    return std::vector<record_block>{};
  }

private:
  results_writer results_;
  rejects rejected_;
};

class block_part final : public part_writer {
public:
  block_part(rejects rejected, bool keeps_results)
    : rejected_(std::move(rejected)), keeps_results_(keeps_results) {}

  result<void> add(std::string_view payload) override {
    if (!keeps_results_)
      return {};
    size_bytes_ += payload.size() + record_overhead_bytes;
    if (size_bytes_ > limits::batch_queue_result_bytes_max)
      return fail(errc::unsupported,
                  "the results of a split have more than "
                    + std::to_string(limits::batch_queue_result_bytes_max)
                    + " bytes, which a queue does not take at once; choose smaller splits: split_bytes");
    builder_.add(payload);
    if (builder_.count() == limits::block_count_max || builder_.size_bytes() >= limits::block_size_bytes_max)
      blocks_.push_back(builder_.finish());
    return {};
  }

  result<void> reject(const record_slice& record, std::uint32_t attempts, const std::string& error) override {
    return rejected_.add(record, attempts, error);
  }

  result<std::vector<record_block>> finish() override {
    if (auto done = rejected_.finish(); !done)
      return fail(done);
    if (builder_.count() > 0)
      blocks_.push_back(builder_.finish());
    return std::move(blocks_);
  }

private:
  rejects rejected_;
  bool keeps_results_;
  std::size_t size_bytes_ = 0;
  record_block_builder builder_;
  std::vector<record_block> blocks_;
};

std::string number_of(std::uint32_t index) {
  char text[16];
  std::snprintf(text, sizeof text, "%06u", index);
  return text;
}

result<process::unique_fd> open_part(const std::filesystem::path& path) {
  process::unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return fail(errno == ENOENT ? errc::corrupt : errc::unavailable,
                "batch: open " + path.string() + ": " + std::strerror(errno));
  return fd;
}

/// The first row of a part, with its line break; empty for an empty one.
result<std::string> header_of(const process::unique_fd& fd, const std::filesystem::path& path) {
  std::string head;
  std::size_t scanned = 0;
  auto place = csv::place::field_start;
  char some[4096];
  for (;;) {
    const auto count = ::pread(fd.get(), some, sizeof some, static_cast<off_t>(head.size()));
    if (count < 0)
      return fail(errc::unavailable, "batch: read " + path.string() + ": " + std::strerror(errno));
    if (count == 0)
      return head;
    head.append(some, static_cast<std::size_t>(count));
    if (auto end = csv::row_end(head, scanned, place))
      return head.substr(0, *end);
  }
}

/// What is in the folder under which name. Some file systems do not sync folders and say so: there is no more to do.
result<void> sync_folder(const std::filesystem::path& folder) {
  const auto* name = folder.empty() ? "." : folder.c_str();
  process::unique_fd dir{::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!dir && errno == EACCES)
    return {}; // may be entered but not read
  if (dir && (::fsync(dir.get()) == 0 || errno == EINVAL || errno == ENOTSUP))
    return {};
  return fail(errc::unavailable, "file: sync folder " + std::string{name} + ": " + std::strerror(errno));
}

/// Makes the folder and those it is in, each synced. Without an error if it cannot: what is made in it says why.
result<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.empty() || std::filesystem::is_directory(folder, error))
    return {};
  const auto parent = folder.parent_path();
  if (auto done = make_folder(parent); !done)
    return done;
  return std::filesystem::create_directory(folder, error) ? sync_folder(parent) : result<void>{};
}

} // namespace

void append_line(std::string_view payload, std::string& to) {
  const auto begin = to.size();
  to += payload;
  // Between JSON values a line break is a blank; inside of one it cannot be.
  if (payload.find('\n') != std::string_view::npos)
    std::replace(to.begin() + static_cast<std::ptrdiff_t>(begin), to.end(), '\n', ' ');
  to += '\n';
}

// ---- whole_file -------------------------------------------------------------------------

result<std::filesystem::path> output_path(std::filesystem::path path) {
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(path, error)); ++links) {
    auto target = std::filesystem::read_symlink(path, error);
    if (error || links == symlinks_max)
      return fail(errc::invalid_argument, "file: the symbolic link " + path.string() + " leads nowhere");
    path = target.is_absolute() ? std::move(target) : path.parent_path() / target;
  }
  const auto there = std::filesystem::status(path, error).type();
  if (there == std::filesystem::file_type::directory)
    return fail(errc::invalid_argument,
                "file: " + path.string() + " is a folder; a batch writes to a file: name one in it");
  if (there != std::filesystem::file_type::not_found && there != std::filesystem::file_type::regular
      && there != std::filesystem::file_type::none)
    return fail(errc::invalid_argument,
                "file: " + path.string()
                  + " is no regular file, and a batch replaces its output as a whole; "
                    "write to a file, to sluice::standard_output() or to a queue");
  return path;
}

result<whole_file> whole_file::create(std::filesystem::path path, const std::filesystem::path& beside) {
  auto fits =
    output_path(std::move(path)); // once more: it may be none that was looked at when the batch began
  if (!fits)
    return fail(fits);
  path = std::move(*fits);
  if (auto made = make_folder(path.parent_path()); !made)
    return fail(made);
  auto temporary = path;
  if (!beside.empty() && beside.parent_path() == path.parent_path()) {
    if (auto made = make_folder(beside); !made)
      return fail(made);
    temporary = beside / path.filename();
  }
  temporary += unique_suffix();
  process::unique_fd fd{::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
  if (!fd) {
    const bool is_final = errno == EACCES || errno == ENOTDIR || errno == EROFS || errno == ENAMETOOLONG;
    return fail(is_final ? errc::invalid_argument : errc::unavailable,
                "file: make " + temporary.string() + ": " + std::strerror(errno));
  }
  struct stat before {};
  if (::stat(path.c_str(), &before) == 0 && ::fchmod(fd.get(), before.st_mode & 07777) != 0) {
    const auto why = std::string{std::strerror(errno)};
    ::unlink(temporary.c_str());
    return fail(errc::unavailable, "file: permissions of " + temporary.string() + ": " + why);
  }
  return whole_file{std::move(path), std::move(temporary), std::move(fd)};
}

whole_file::~whole_file() {
  if (fd_)
    ::unlink(temporary_.c_str());
}

tl::unexpected<failure> whole_file::fail_errno(const char* what) const {
  return fail(errc::unavailable,
              "file: " + std::string{what} + " " + temporary_.string() + ": " + std::strerror(errno));
}

result<void> whole_file::write(std::string_view text) {
  is_synced_ = false;
  while (!text.empty()) {
    const auto count = ::write(fd_.get(), text.data(), text.size());
    if (count >= 0)
      text.remove_prefix(static_cast<std::size_t>(count));
    else if (errno != EINTR)
      return fail_errno("write");
  }
  return {};
}

result<void> whole_file::append(const process::unique_fd& from, std::uint64_t offset) {
  is_synced_ = false;
  auto at = static_cast<off64_t>(offset);
  std::string buffer;
  for (;;) {
    auto count =
      buffer.empty() ? ::copy_file_range(from.get(), &at, fd_.get(), nullptr, copy_bytes_max, 0) : -1;
    if (count == 0)
      return {};
    if (count > 0 || (buffer.empty() && errno == EINTR))
      continue;
    if (buffer.empty() && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP
        && errno != EPERM)
      return fail_errno("copy to");
    buffer.resize(1u << 20);
    count = ::pread(from.get(), buffer.data(), buffer.size(), at);
    if (count == 0)
      return {};
    if (count < 0 && errno != EINTR)
      return fail_errno("copy to");
    if (count > 0) {
      if (auto done = write({buffer.data(), static_cast<std::size_t>(count)}); !done)
        return done;
      at += count;
    }
  }
}

result<void> whole_file::sync() {
  if (!is_synced_ && ::fdatasync(fd_.get()) != 0)
    return fail_errno("sync");
  is_synced_ = true;
  return {};
}

result<void> whole_file::finish() {
  if (auto done = sync(); !done)
    return done;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return fail_errno("rename");
  fd_.reset();
  return sync_folder(path_.parent_path());
}

// ---- parts --------------------------------------------------------------------------------

std::filesystem::path part_folder::results(std::uint32_t index) const {
  return folder_ / (number_of(index) + ".part");
}

std::filesystem::path part_folder::rejected(std::uint32_t index) const {
  return folder_ / (number_of(index) + ".rejected");
}

result<std::unique_ptr<part_writer>> make_file_part(const part_folder& folder, std::uint32_t index,
                                                    part_format format, const std::string& target) {
  auto file = whole_file::create(folder.results(index));
  if (!file)
    return fail(file);
  return std::make_unique<file_part>(results_writer{std::move(*file), format, target},
                                     rejects{folder.rejected(index)});
}

result<whole_file> write_whole(
  const part_folder& folder, const std::filesystem::path& target, part_format format,
  const std::function<result<void>(const std::function<result<void>(std::string_view)>& give)>& write) {
  auto file = whole_file::create(target, folder.path());
  if (!file)
    return fail(file);
  results_writer to{std::move(*file), format, target.string()};
  if (auto done = write([&](std::string_view value) { return to.add(value); }); !done)
    return fail(done);
  if (auto done = to.flush(); !done)
    return fail(done);
  if (auto done = to.file().sync(); !done)
    return fail(done);
  return std::move(to.file());
}

std::unique_ptr<part_writer> make_block_part(const part_folder& folder, std::uint32_t index,
                                             bool keeps_results) {
  return std::make_unique<block_part>(rejects{folder.rejected(index)}, keeps_results);
}

result<void> join_parts(const part_folder& folder, std::uint32_t count, part_format format, whole_file& to) {
  std::string header;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto path = folder.results(i);
    auto part = open_part(path);
    if (!part)
      return fail(part);
    std::uint64_t skipped = 0;
    if (format == part_format::csv) {
      auto mine = header_of(*part, path);
      if (!mine)
        return fail(mine);
      if (mine->empty())
        continue;
      if (header.empty()) {
        header = *mine;
      } else if (header == *mine) {
        skipped = header.size();
      } else {
        return fail(
          errc::invalid_argument,
          "the results do not all have the same members in the same order, so they do not fit into one "
          "CSV file; write JSON lines");
      }
    }
    if (auto done = to.append(*part, skipped); !done)
      return done;
  }
  return {};
}

result<void> for_each_line(const std::filesystem::path& path,
                           const std::function<result<void>(std::string_view)>& give) {
  auto fd = open_part(path);
  if (!fd)
    return fail(fd);
  std::string buffer;
  std::uint64_t offset = 0;
  for (;;) {
    const auto kept = buffer.size();
    buffer.resize(kept + write_bytes);
    const auto count = ::pread(fd->get(), buffer.data() + kept, write_bytes, static_cast<off_t>(offset));
    if (count < 0 && errno != EINTR)
      return fail(errc::unavailable, "batch: read " + path.string() + ": " + std::strerror(errno));
    buffer.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    offset += static_cast<std::uint64_t>(std::max<ssize_t>(count, 0));
    std::size_t begin = 0;
    for (auto end = buffer.find('\n', kept); end != std::string::npos; end = buffer.find('\n', begin)) {
      if (auto done = give(std::string_view{buffer}.substr(begin, end - begin)); !done)
        return done;
      begin = end + 1;
    }
    buffer.erase(0, begin);
    if (count == 0)
      return {};
  }
}

} // namespace sluice::batch
