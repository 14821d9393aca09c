#include "actors/batch/batch_job.hpp"

#include <sluice/codec/codec.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/fingerprint.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/core/name_rule.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::batch {

namespace {

constexpr std::size_t noted_error_bytes_max = 300; ///< the list of rejected records has all of it

// Members as they are stored.
struct rejected_json {
  std::uint64_t at = 0;
  std::string error;
};

struct job_json {
  std::uint64_t run = 0;
  std::optional<std::uint64_t> first_run = {};
  std::uint64_t round = 1;
  job_phase phase = job_phase::running;
  std::optional<std::string> from = {};
  std::optional<std::string> to = {};
  std::uint64_t source_bytes = 0;
  std::int64_t source_changed_ns = 0;
  std::uint64_t split_bytes = 0;
  std::uint32_t splits = 0;
  std::optional<bool> open = {};
  std::string done;
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t rejected = 0;
  std::optional<std::vector<rejected_json>> first_rejected = {}; ///< none in what an older one stored
  std::uint64_t bytes_in = 0;
  std::int64_t began_at_ms = 0;
  std::int64_t ended_at_ms = 0;
  std::string error;
};

constexpr std::string_view finish_word = "finish ";
constexpr std::string_view cut_word = "cut ";

std::string to_hex(std::uint64_t value) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (; text.size() < 16; value >>= 4)
    text += digits[value & 0xf];
  return text;
}

} // namespace

std::string to_text(const job& what) {
  job_json out{.run = what.run,
               .first_run = what.first_run,
               .round = what.round,
               .phase = what.phase,
               .from = what.from,
               .to = what.to,
               .source_bytes = what.source.size_bytes,
               .source_changed_ns = what.source.changed_at_ns,
               .split_bytes = what.split_bytes,
               .splits = what.split_count,
               .open = what.is_open,
               .done = what.done.to_text(),
               .records_in = what.totals.records_in,
               .records_out = what.totals.records_out,
               .rejected = what.totals.rejected,
               .bytes_in = what.totals.bytes_in,
               .began_at_ms = what.began_at_ms,
               .ended_at_ms = what.ended_at_ms,
               .error = what.error};
  if (!what.first_rejected.empty()) {
    auto& notes = out.first_rejected.emplace();
    for (const auto& [offset, error] : what.first_rejected)
      notes.push_back({offset, error});
  }
  std::string text;
  if (!codec::encode(out, text)) { // an error text that is no UTF-8
    text.clear();
    std::replace_if(
      out.error.begin(), out.error.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    static_cast<void>(codec::encode(out, text));
  }
  return text;
}

result<job> job_from_text(std::string_view text) {
  auto read = codec::decode<job_json>(text);
  if (!read)
    return fail(errc::corrupt, "the state of a batch: " + read.error().message);
  auto done = index_set::from_text(read->done);
  if (!done)
    return fail(done);
  job out;
  out.run = read->run;
  out.first_run = read->first_run.value_or(read->run);
  out.round = read->round;
  out.phase = read->phase;
  out.from = std::move(read->from).value_or("");
  out.to = std::move(read->to).value_or("");
  out.source = {read->source_bytes, read->source_changed_ns};
  out.split_bytes = read->split_bytes;
  out.split_count = read->splits;
  out.is_open = read->open.value_or(false);
  out.done = std::move(*done);
  out.totals = {read->records_in, read->records_out, read->rejected, read->bytes_in};
  if (read->first_rejected)
    for (auto& [at, error] : *read->first_rejected)
      out.first_rejected.push_back({at, std::move(error)});
  out.began_at_ms = read->began_at_ms;
  out.ended_at_ms = read->ended_at_ms;
  out.error = std::move(read->error);
  return out;
}

void note_rejected(rejected_notes& to, std::uint64_t offset, std::string_view error) {
  const auto place = std::ranges::upper_bound(to, offset, {}, &rejected_note::offset);
  if (to.size() >= rejected_notes_max && place == to.end())
    return;
  to.insert(place, {offset, codec::to_utf8(error.substr(0, noted_error_bytes_max))});
  if (to.size() > rejected_notes_max)
    to.pop_back();
}

std::string too_many_rejected(std::uint64_t count, std::uint64_t count_max, const rejected_notes& first,
                              bool from_queue) {
  auto text = std::to_string(count) + " records are rejected, max_rejected is " + std::to_string(count_max);
  auto lead = ": ";
  for (const auto& [offset, error] : first) {
    text.append(lead).append(from_queue ? "number " : "at byte ").append(std::to_string(offset));
    text.append(": ").append(error);
    lead = "; ";
  }
  if (!first.empty() && count > first.size())
    text += "; and " + std::to_string(count - first.size()) + " more";
  return text;
}

std::string to_text(const split& what) {
  auto text = std::to_string(what.run) + " " + std::to_string(what.round) + " ";
  if (what.is_finish())
    text += finish_word;
  else if (what.is_cut())
    text += cut_word;
  else
    text += std::to_string(what.index) + " ";
  text += std::to_string(what.begin) + " " + std::to_string(what.end);
  if (!what.records.empty()) {
    text += '\n';
    text += what.records.bytes();
  }
  return text;
}

result<split> split_from_text(std::string_view text) {
  const auto wrong = [] { return fail(errc::corrupt, "a split is written as: run round index begin end"); };
  split out;
  if (const auto end = text.find('\n'); end != std::string_view::npos) {
    auto records = record_block::from_bytes(std::string{text.substr(end + 1)});
    if (!records)
      return fail(records);
    out.records = std::move(*records);
    text = text.substr(0, end);
  }
  std::uint64_t index = 0;
  const auto next = [&](std::uint64_t& to) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    if (error != std::errc{})
      return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(' '))
      text.remove_prefix(1);
    return true;
  };
  if (!next(out.run) || !next(out.round))
    return wrong();
  const auto word = [&](std::string_view which) {
    const bool found = text.starts_with(which);
    if (found)
      text.remove_prefix(which.size());
    return found;
  };
  if (word(finish_word)) {
    index = split::finish_index;
  } else if (word(cut_word)) {
    index = split::cut_index;
  } else if (!next(index)) {
    return wrong();
  }
  if (!next(out.begin) || !next(out.end) || !text.empty() || index > split::finish_index
      || out.end < out.begin)
    return wrong();
  out.index = static_cast<std::uint32_t>(index);
  return out;
}

std::string describe_change(const source_identity& before, const source_identity& after) {
  return "the source has changed since the batch began: it had " + std::to_string(before.size_bytes)
         + " bytes and has " + std::to_string(after.size_bytes)
         + (before.size_bytes == after.size_bytes ? ", but was written again" : "");
}

job_ends ends_of(const processor_spec& spec) {
  const auto text_of = [](const io_spec& io) {
    auto text = io.kind;
    std::string more;
    for (const auto& [name, value] : io.options)
      if (name == "name" || name == "path")
        text += " " + value;
      else
        more.append(", ").append(name).append(" ").append(value);
    return codec::to_utf8(text + more);
  };
  job_ends out{text_of(spec.source), text_of(spec.sink)};
  if (spec.batch && !spec.batch->reduce_by.empty())
    out.to += ", reduced by " + spec.batch->reduce_by;
  return out;
}

std::string describe(const split& which) {
  if (which.is_finish())
    return "putting the parts together";
  if (which.is_cut())
    return "taking records off the queue";
  if (!which.records.empty()) {
    std::uint64_t last = 0;
    for (auto record : which.records)
      last = record.seq;
    return "the split of records " + std::to_string((*which.records.begin()).seq) + " to "
           + std::to_string(last);
  }
  return "the split of bytes " + std::to_string(which.begin) + " to " + std::to_string(which.end);
}

std::string newer_run(std::uint64_t run) {
  return "run " + std::to_string(run)
         + " of this batch has begun; submit it again to run this version of it anew";
}

queue_name splits_queue(const flow_name& flow, const processor_name& processor) {
  const auto prefix = std::string{batch_queue_prefix};
  const auto name = prefix + flow.value + "." + processor.value;
  return queue_name{is_valid_name(name) ? name : prefix + to_hex(fingerprint(name))};
}

std::string batch_mark(const flow_name& flow, const processor_name& processor) {
  return to_hex(fingerprint(job_key(flow, processor)));
}

std::string rejected_path(const flow_name& flow, const processor_spec& spec) {
  if (spec.batch && !spec.batch->rejected.empty())
    return spec.batch->rejected;
  const auto path_of = [](const io_spec& io) {
    const auto found = io.options.find("path");
    return found == io.options.end() ? std::string{} : found->second;
  };
  return path_of(spec.sink.kind == "file" ? spec.sink : spec.source) + rejected_suffix(flow, spec);
}

std::string rejected_suffix(const flow_name& flow, const processor_spec& spec) {
  // A source may be that of other batches as well.
  return (spec.sink.kind == "file" ? "" : "." + flow.value + "." + spec.name.value) + ".rejected.jsonl";
}

std::string job_key(const flow_name& flow, const processor_name& processor) {
  return "batch/" + flow.value + "/" + processor.value;
}

std::uint64_t split_bytes_for(std::uint64_t size_bytes, std::uint64_t wanted) noexcept {
  constexpr std::uint64_t small_min = 64u << 10;
  const auto by_size =
    std::clamp(size_bytes / limits::batch_splits_aim + 1, small_min, limits::batch_split_bytes_default);
  return std::max(wanted == 0 ? by_size : wanted, size_bytes / limits::batch_splits_max + 1);
}

std::uint32_t split_records_for(std::uint32_t split_count) noexcept {
  constexpr std::uint64_t step = 8;
  const auto wanted = step * (std::uint64_t{split_count} + 1);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, limits::block_count_max));
}

std::uint64_t block_bytes_for(std::uint64_t wanted) noexcept {
  return wanted == 0 ? limits::block_size_bytes_max / 4
                     : std::min<std::uint64_t>(wanted, limits::block_size_bytes_max);
}

split cut_split(job& to, record_block records) {
  const auto begin = to.source.size_bytes;
  to.source.size_bytes += records.bytes().size() - records.count() * record_overhead_bytes;
  return {to.first_run, to.round, to.split_count++, begin, to.source.size_bytes, std::move(records)};
}

bool add_split(job& to, const split& which, const split_outcome& outcome) {
  if (!to.done.add(which.index))
    return false;
  to.totals.records_in += outcome.records_in;
  to.totals.records_out += outcome.records_out;
  to.totals.rejected += outcome.rejected;
  to.totals.bytes_in += which.end - which.begin;
  for (const auto& [offset, error] : outcome.first_rejected)
    note_rejected(to.first_rejected, offset, error);
  return true;
}

std::vector<split> splits_left(const job& of, const std::vector<std::uint64_t>& borders) {
  std::vector<split> out;
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    if (!of.done.contains(index))
      out.push_back({of.run, of.round, index, borders[i], borders[i + 1], {}});
  }
  return out;
}

} // namespace sluice::batch
