#include "transport/connectors/file/file_source.hpp"

#include "transport/connectors/file/csv.hpp"
#include "transport/connectors/file/file_failure.hpp"
#include "transport/connectors/file/file_mark.hpp"
#include "transport/connectors/file/file_watch.hpp"
#include "transport/connectors/file/line_reader.hpp"
#include "transport/connectors/option_reader.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/log.hpp>

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::connectors::file_source {

namespace {

/// A seq is a byte offset and, above it, how often the file was rotated while it was followed,
/// so that seqs grow although offsets begin anew.
constexpr unsigned offset_bits = 48;
constexpr std::uint64_t offset_mask = (std::uint64_t{1} << offset_bits) - 1;

using refusals = std::vector<refused_record>;

struct file_options {
  std::string path;
  bool is_csv = false;
  bool tail = false;
  csv::column_kinds columns = {};
};

class file final : public source {
public:
  explicit file(file_options opts) : opts_(std::move(opts)) {}

  result<void> open(const source_position& after) override {
    generation_ = after.seq >> offset_bits;
    resume_at_ = after.seq & offset_mask;
    resume_mark_ = after.mark;
    if (opts_.tail)
      watch_.emplace(opts_.path);
    auto opened = open_file();
    return may_come_later(opened) ? result<void>{} : opened;
  }

  result<pulled> pull(std::uint32_t count_max, std::chrono::milliseconds wait_max) override {
    const auto deadline = std::chrono::steady_clock::now() + wait_max;
    for (;;) {
      pulled out;
      record_block_builder found;
      auto at_end = read_lines(found, out.refused, count_max);
      if (!at_end
          && at_end.error().code == errc::permission_denied) // who rotates a file may open it up later
        return fail(errc::unavailable, at_end.error().message);
      if (!at_end)
        return fail(at_end);
      out.records = found.finish();
      out.end = *at_end && !opts_.tail;
      if (!out.records.empty() || !out.refused.empty() || out.end) {
        out.mark = known_by_;
        return out;
      }
      const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0)
        return out;
      if (watch_)
        watch_->wait(left);
    }
  }

private:
  tl::unexpected<failure> fail_errno(const char* what) const {
    return file_failure(errc_of_reading(errno), what, opts_.path);
  }

  bool may_come_later(const result<void>& opened) const {
    return opts_.tail && !opened && opened.error().code == errc::not_found;
  }

  /// Opens what `path` names now and goes to `resume_at_`.
  result<void> open_file() {
    int fd = ::open(opts_.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
      return file_failure(errc_of_reading(errno), "open", opts_.path);
    auto made = std::make_unique<line_reader>(fd, 0, opts_.is_csv);
    struct stat info {};
    if (::fstat(fd, &info) != 0)
      return fail_errno("look at");
    if (!S_ISREG(info.st_mode))
      return fail(errc::invalid_argument, "file: " + whole_path(opts_.path) + " is no regular file");
    if (resume_at_ > 0
        && !(fits(fd, static_cast<std::uint64_t>(info.st_size)) && still_begins_as(fd, resume_mark_))) {
      say_begun_anew();
      ++generation_;
      resume_at_ = 0;
    }
    header_.clear();
    reader_ = std::move(made);
    if (!opts_.is_csv)
      reader_->seek(resume_at_);
    mark_ = {};
    known_by_ = mark_.at(fd, resume_at_);
    looked_at_ = info;
    return {};
  }

  void say_begun_anew() const {
    log::info("{} is another file than was read, or was written anew: it is read from its beginning",
              whole_path(opts_.path));
  }

  /// Whether somebody has written to the open file since this was asked last.
  bool is_touched() {
    struct stat info {};
    if (::fstat(reader_->fd(), &info) != 0)
      return false; // the next read fails, too, and says so
    const bool same = info.st_size == looked_at_.st_size && info.st_mtim.tv_sec == looked_at_.st_mtim.tv_sec
                      && info.st_mtim.tv_nsec == looked_at_.st_mtim.tv_nsec;
    looked_at_ = info;
    return !same;
  }

  /// Begins anew at what `path` names now. It may not be there yet.
  result<void> start_over() {
    ++generation_;
    resume_at_ = 0;
    auto opened = open_file();
    if (!may_come_later(opened))
      return opened;
    reader_.reset();
    return {};
  }

  /// Whether the stored position can be one of this file.
  bool fits(int fd, std::uint64_t size) const {
    if (resume_at_ >= size)
      return resume_at_ == size;
    char around[2] = {0, 0};
    return ::pread(fd, around, 2, static_cast<off_t>(resume_at_ - 1)) == 2
           && (around[0] == '\n' || around[1] == '\n');
  }

  /// Reads up to the bounds. Returns whether the end was reached.
  result<bool> read_lines(record_block_builder& found, refusals& refused, std::uint32_t count_max) {
    if (!reader_) {
      auto opened = open_file();
      if (!opened)
        return may_come_later(opened) ? result<bool>{true} : fail(opened);
    }
    if (auto ok = look_again(); !ok)
      return fail(ok);
    auto at_end = reader_ ? read_on(found, refused, count_max) : result<bool>{true};
    if (at_end && reader_) {
      ended_ = *at_end;
      if (auto now = mark_.at(reader_->fd(), reader_->offset()); !now.empty())
        known_by_ = std::move(now);
    }
    return at_end;
  }

  /// Before reading on where there was no more: what is there now may not continue what was.
  result<void> look_again() {
    const bool ended = std::exchange(ended_, false);
    if (!rewritten_ && !(ended && is_touched()))
      return {};
    if (!rewritten_ && still_begins_as(reader_->fd(), known_by_)) {
      reader_->forget_unfinished(); // who has begun a line may have cut it off again
      return {};
    }
    rewritten_ = false;
    say_begun_anew();
    return start_over();
  }

  result<bool> read_on(record_block_builder& found, refusals& refused, std::uint32_t count_max) {
    std::size_t refused_bytes = 0;
    std::size_t refused_counted = 0;
    while (found.count() + refused.size() < count_max
           && found.size_bytes() + refused_bytes < limits::block_size_bytes_max) {
      auto next = reader_->next(!opts_.tail);
      if (!next)
        return fail(next);
      if (!*next) {
        if (!opts_.tail) {
          // The end of other bytes than were begun with is none.
          rewritten_ = is_touched() && !still_begins_as(reader_->fd(), known_by_);
          return !rewritten_;
        }
        const bool has_none = found.count() == 0 && refused.empty();
        auto other = has_none ? go_to_next_file(found, refused) : result<bool>{false};
        if (!other)
          return fail(other);
        if (!*other)
          return true;
        continue;
      }
      deliver(**next, found, refused);
      for (; refused_counted < refused.size(); ++refused_counted)
        refused_bytes += refused[refused_counted].payload.size();
    }
    return false;
  }

  void deliver(const line_reader::line& line, record_block_builder& found, refusals& refused) {
    if (opts_.is_csv && header_.empty()) {
      auto names = csv::read_columns(line.text, opts_.columns);
      header_ = names ? std::move(*names) : std::vector<csv::column>{std::string{line.text}};
      if (!names)
        refused.push_back({generation_ << offset_bits | line.end, std::string{line.text},
                           place_of(line.end) + " " + names.error().message});
      if (resume_at_ > line.end)
        reader_->seek(resume_at_);
      return;
    }
    if (line.text.find_first_not_of(" \t\r\n") == std::string_view::npos)
      return;
    const auto seq = generation_ << offset_bits | line.end;
    if (line.cut_bytes > 0) {
      refused.push_back({seq, std::string{line.text},
                         place_of(line.end) + " has " + std::to_string(line.cut_bytes)
                           + " bytes, the bound is " + std::to_string(limits::record_size_bytes_max)});
    } else if (!opts_.is_csv) {
      found.add(seq, 0, line.text);
    } else if (auto row = csv::to_json(header_, csv::split(line.text))) {
      found.add(seq, 0, *row);
    } else {
      refused.push_back({seq, std::string{line.text}, place_of(line.end) + " " + row.error().message});
    }
  }

  /// "row 17 of orders.csv" for the line that ends at `end`; the header is row 1. Counted only where it
  /// is asked for, and on from the last time.
  std::string place_of(std::uint64_t end) {
    if (counted_to_ > end || counted_in_ != generation_) {
      counted_ = counted_to_ = 0;
      counted_in_ = generation_;
    }
    line_reader lines{::fcntl(reader_->fd(), F_DUPFD_CLOEXEC, 0), counted_to_, opts_.is_csv};
    while (counted_to_ < end) {
      auto line = lines.next(true);
      if (!line || !*line)
        break;
      counted_to_ = (*line)->end;
      ++counted_;
    }
    return (opts_.is_csv ? "row " : "line ") + std::to_string(counted_) + " of " + whole_path(opts_.path);
  }

  /// At the end of a file that is followed: is another one at its place? Returns whether there is more to read. The old one's last
  /// line is given even without a line break, for nobody will finish it.
  result<bool> go_to_next_file(record_block_builder& found, refusals& refused) {
    struct stat mine {};
    struct stat named {};
    if (::fstat(reader_->fd(), &mine) != 0)
      return fail_errno("look at");
    if (::stat(opts_.path.c_str(), &named) != 0)
      return false; // rotated away and not yet made anew
    if (mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
      return false;
    // Its writer may have added lines since it was looked at: it is left when nothing is there any more.
    auto last = reader_->next(true);
    if (!last)
      return fail(last);
    if (*last) {
      deliver(**last, found, refused);
      return true;
    }
    auto opened = start_over();
    if (!opened)
      return fail(opened);
    return reader_ != nullptr;
  }

  file_options opts_;
  std::uint64_t generation_ = 0;
  std::uint64_t resume_at_ = 0;
  std::string resume_mark_;
  std::unique_ptr<line_reader> reader_;
  file_mark mark_;
  std::string known_by_;     ///< what was read of the open file, to the last look
  struct stat looked_at_ {}; ///< the open file at that time, or before
  bool ended_ = false;       ///< there was no more
  bool rewritten_ = false;   ///< the open file is no longer what was read
  std::vector<csv::column> header_;
  std::uint64_t counted_ = 0;    ///< lines up to `counted_to_`
  std::uint64_t counted_to_ = 0; ///< an offset
  std::uint64_t counted_in_ = 0; ///< of this generation
  std::optional<file_watch> watch_;
};

result<std::unique_ptr<source>> make(const io_spec& spec) {
  option_reader options{spec};
  file_options opts;
  opts.path = options.required("path");
  opts.is_csv = options.one_of("format", {"jsonl", "csv"}, "jsonl") == "csv";
  opts.tail = options.flag("tail", false);
  opts.columns = csv::read_column_kinds([&](const char* name) { return options.optional(name); });
  if (auto ok = options.check(); !ok)
    return fail(ok);
  return std::make_unique<file>(std::move(opts));
}

} // namespace

void add_to(connector_registry& registry) { registry.add_source("file", make); }

} // namespace sluice::connectors::file_source
