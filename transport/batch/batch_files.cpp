#include "transport/batch/batch_files.hpp"

#include "transport/batch/part_files.hpp"
#include "transport/batch/split_reader.hpp"
#include "transport/connectors/file/file_failure.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/io/distinct_files.hpp>

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::batch {

namespace {

namespace fs = std::filesystem;

enum class sink_kind : std::uint8_t { file, queue, print, drop };

struct file_settings {
  source_file source;
  sink_kind sink = sink_kind::drop;
  fs::path target; ///< of a file
  part_format format = part_format::jsonl;
  fs::path rejected;
  bool rejected_is_ours = false; ///< nobody gave it a name
  fs::path base;                 ///< what the folder of parts lies beside
  std::string mark;              ///< of this batch: others may have the same base
  bool reduces = false;
};

result<void> print_line(std::string_view line) {
  std::cout << line << '\n';
  return {};
}

/// Files that are whole and have other names yet.
struct joined final : joined_files {
  std::optional<whole_file> rejected;
  fs::path removed; ///< goes instead of being replaced; empty = nothing does
  std::optional<whole_file> results;
  std::function<result<void>()> print; ///< empty = nothing is printed
  finish_outcome outcome;

  result<finish_outcome> publish() override {
    if (rejected)
      if (auto done = rejected->finish(); !done)
        return fail(done);
    std::error_code ignored;
    if (!removed.empty())
      fs::remove(removed, ignored);
    if (results)
      if (auto done = results->finish(); !done)
        return fail(done);
    if (print) {
      if (auto done = print(); !done)
        return fail(done);
      std::cout << std::flush;
    }
    return std::move(outcome);
  }
};

class batch_files final : public files_port {
public:
  explicit batch_files(file_settings what) : what_(std::move(what)) {}

  result<source_identity> identify() override {
    struct stat info {};
    const auto& path = what_.source.path;
    if (::stat(path.c_str(), &info) != 0)
      return connectors::file_failure(connectors::errc_of_reading(errno), "open", path);
    if (!S_ISREG(info.st_mode))
      return fail(errc::invalid_argument, "file: " + path + " is no regular file");
    return source_identity{static_cast<std::uint64_t>(info.st_size),
                           info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  }

  result<std::vector<std::uint64_t>> plan(const source_identity& source, std::uint64_t split_bytes) override {
    return plan_splits(what_.source, source.size_bytes, split_bytes);
  }

  result<std::unique_ptr<split_reader>> open_split(const split& which) override {
    if (!which.records.empty())
      return read_block(which.records);
    return batch::open_split(what_.source, which.begin, which.end);
  }

  result<std::unique_ptr<part_writer>> create_part(const split& which) override {
    const auto folder = folder_of(which.run);
    if (what_.reduces)
      return make_file_part(folder, which.index, part_format::jsonl, what_.target.string());
    if (what_.sink == sink_kind::file || what_.sink == sink_kind::print)
      return make_file_part(folder, which.index, what_.format, what_.target.string());
    return make_block_part(folder, which.index, what_.sink == sink_kind::queue);
  }

  result<std::unique_ptr<joined_files>> join(std::uint64_t run, std::uint32_t splits,
                                             std::unique_ptr<reduction> merged) override {
    const auto folder = folder_of(run);
    auto out = std::make_unique<joined>();
    auto done = join_rejected(folder, splits, *out);
    if (done)
      done =
        merged ? join_merged(folder, splits, std::move(merged), *out) : join_results(folder, splits, *out);
    if (done)
      return out;
    auto why = done.error();
    if (std::error_code ignored;
        splits > 0 && !what_.source.path.empty() && !fs::exists(folder.path(), ignored))
      why.message +=
        "; the folder of its parts is gone: begin anew, by hand with --restart, else with another submit";
    return tl::unexpected{std::move(why)};
  }

  void clean(std::uint64_t run) override {
    std::error_code ignored; // what is left is litter, and hides its name
    fs::remove_all(folder_of(run).path(), ignored);
  }

  std::int64_t now_unix_ms() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }

private:
  part_folder folder_of(std::uint64_t run) const {
    return part_folder{
      what_.base.parent_path()
      / ("." + what_.base.filename().string() + ".parts-" + std::to_string(run) + "-" + what_.mark)};
  }

  result<void> join_rejected(const part_folder& folder, std::uint32_t splits, joined& out) const {
    std::error_code error;
    for (std::uint32_t i = 0; i < splits; ++i) {
      const auto path = folder.rejected(i);
      if (!fs::exists(path, error))
        continue;
      if (!out.rejected) {
        auto made = whole_file::create(what_.rejected, folder.path());
        if (!made)
          return fail(made);
        out.rejected = std::move(*made);
      }
      auto done = for_each_line(
        path, [&](std::string_view line) { return out.rejected->write(std::string{line} + '\n'); });
      if (!done)
        return done;
    }
    if (out.rejected)
      return out.rejected->sync();
    if (what_.rejected_is_ours)
      out.removed = what_.rejected; // of a run before
    return {};
  }

  result<void> join_results(const part_folder& folder, std::uint32_t splits, joined& out) const {
    if (what_.sink == sink_kind::print)
      out.print = [folder, splits]() -> result<void> {
        for (std::uint32_t i = 0; i < splits; ++i)
          if (auto done = for_each_line(folder.results(i), print_line); !done)
            return done;
        return {};
      };
    if (what_.sink != sink_kind::file)
      return {};
    auto made = whole_file::create(what_.target, folder.path());
    if (!made)
      return fail(made);
    if (auto done = join_parts(folder, splits, what_.format, *made); !done)
      return done;
    if (auto done = made->sync(); !done)
      return done;
    out.results = std::move(*made);
    return {};
  }

  result<void> join_merged(const part_folder& folder, std::uint32_t splits, std::unique_ptr<reduction> merged,
                           joined& out) const {
    for (std::uint32_t i = 0; i < splits; ++i) {
      auto done =
        for_each_line(folder.results(i), [&](std::string_view line) { return merged->merge(line); });
      if (!done)
        return done;
    }
    out.outcome.records_out = merged->key_count();
    if (what_.sink == sink_kind::print) {
      out.print = [kept = std::shared_ptr<reduction>{std::move(merged)}] { return kept->write(print_line); };
      return {};
    }
    if (what_.sink == sink_kind::file) {
      auto made = write_whole(folder, what_.target, what_.format,
                              [&](const auto& give) { return merged->write(give); });
      if (!made)
        return fail(made);
      out.results = std::move(*made);
      return {};
    }
    auto part = make_block_part(folder, splits, what_.sink == sink_kind::queue);
    if (auto done = merged->write([&](std::string_view value) { return part->add(value); }); !done)
      return done;
    auto results = part->finish();
    if (!results)
      return fail(results);
    out.outcome.results = std::move(*results);
    return {};
  }

  file_settings what_;
};

std::string option_of(const io_spec& spec, const char* name) {
  auto found = spec.options.find(name);
  return found == spec.options.end() ? std::string{} : found->second;
}

} // namespace

result<std::shared_ptr<files_port>> make_batch_files(const flow_name& flow, const processor_spec& spec) {
  if (auto fine = check_distinct_files(spec); !fine)
    return fail(fine);
  file_settings out;
  out.source = {
    option_of(spec.source, "path"), option_of(spec.source, "format") == "csv",
    connectors::csv::read_column_kinds([&](const char* name) { return option_of(spec.source, name); })};
  out.reduces = spec.batch && !spec.batch->reduce_by.empty();
  if (spec.sink.kind == "file") {
    out.sink = sink_kind::file;
    auto target = output_path(option_of(spec.sink, "path"));
    if (!target)
      return fail(target);
    out.target = std::move(*target);
    out.format = option_of(spec.sink, "format") == "csv" ? part_format::csv : part_format::jsonl;
  } else if (spec.sink.kind == "queue") {
    out.sink = sink_kind::queue;
  } else if (spec.sink.kind == "stdout") {
    out.sink = sink_kind::print;
  } else if (spec.sink.kind != "empty") {
    return fail(errc::invalid_argument, "sink: a batch writes to a file, a queue, stdout or nowhere, not to '"
                                          + spec.sink.kind + "'");
  }
  if (spec.batch && !spec.batch->rejected.empty()) {
    auto rejected = output_path(spec.batch->rejected);
    if (!rejected)
      return fail(rejected);
    out.rejected = std::move(*rejected);
  }
  out.base = out.sink == sink_kind::file ? out.target
             : !out.rejected.empty()     ? out.rejected
                                         : fs::path{out.source.path};
  out.rejected_is_ours = out.rejected.empty();
  if (out.rejected_is_ours)
    out.rejected = out.base.string() + rejected_suffix(flow, spec);
  out.mark = batch_mark(flow, spec.name);
  return std::make_shared<batch_files>(std::move(out));
}

} // namespace sluice::batch
