#include "actors/batch/split_run.hpp"

#include "actors/batch/split_coroutines.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::batch {

namespace {

/// Records of a split that are waited for between attempts. Where more of them throw, it is not the moment that
/// is to blame, and hours of pauses would help nobody.
constexpr std::uint64_t paused_records_max = 3;
constexpr std::chrono::milliseconds pause_step{100}; ///< how soon a pause notices a stop

/// One split on one thread.
class split_run {
public:
  split_run(const split& which, const split_settings& with)
    : split_(which), with_(with), reduction_(with.body->make_reduction()) {}

  result<split_result> run() {
    auto reader = with_.files->open_split(split_);
    if (!reader)
      return fail(reader);
    auto writer = with_.files->create_part(split_);
    if (!writer)
      return fail(writer);
    writer_ = std::move(*writer);
    if (with_.body->is_async())
      coroutines_ = std::make_unique<split_coroutines>(with_);
    std::vector<record_slice> records;
    for (;;) {
      auto more = (*reader)->next(records);
      if (!more)
        return fail(more);
      if (auto done = coroutines_ ? process_side_by_side(records) : process_in_turn(records); !done)
        return fail(done);
      if (!*more)
        return conclude();
    }
  }

private:
  bool stopped() const noexcept { return with_.signals->stop.load(std::memory_order_relaxed); }

  static tl::unexpected<failure> stopping() { return fail(errc::shutting_down, "stopped"); }

  void enter() {
    with_.slot->enter(with_.seq,
                      std::chrono::nanoseconds{with_.environment->now().time_since_epoch()}.count());
  }

  result<void> process_in_turn(const std::vector<record_slice>& records) {
    for (const auto& record : records) {
      if (stopped())
        return stopping();
      if (auto done = process_one(record); !done)
        return done;
    }
    count(records.size());
    return {};
  }

  void count(std::size_t records) {
    out_.counts.records_in += records;
    with_.signals->records.fetch_add(records, std::memory_order_relaxed);
  }

  result<void> process_one(const record_slice& record) {
    if (!record.error.empty())
      return reject(record, 1, std::string{record.error});
    enter();
    auto outcome = call(record);
    with_.slot->leave();
    for (std::uint32_t attempt = 1; !outcome; ++attempt) {
      with_.signals->failed_attempts.fetch_add(1, std::memory_order_relaxed);
      if (outcome.error().code == errc::invalid_argument || attempt >= with_.attempts_max)
        return reject(record, attempt, outcome.error().message);
      if (!pause_before(attempt + 1))
        return stopping();
      enter();
      outcome = call(record);
      with_.slot->leave();
    }
    return reduction_ ? reduction_->take_mapped() : write(record, results_);
  }

  result<void> call(const record_slice& record) {
    if (reduction_)
      return reduction_->map(record.payload);
    results_.clear();
    return with_.body->process(record.payload, results_);
  }

  /// False when stopped.
  bool pause_before(std::uint32_t attempt) {
    if (attempt == 2)
      ++paused_records_;
    if (paused_records_ > paused_records_max)
      return !stopped();
    auto left = std::min<std::chrono::milliseconds>(
      limits::retry_delay_max, limits::retry_delay_min * (1u << std::min(attempt - 2, 16u)));
    for (; left.count() > 0 && !stopped(); left -= pause_step)
      with_.environment->pause(std::min(left, pause_step));
    return !stopped();
  }

  result<void> process_side_by_side(const std::vector<record_slice>& records) {
    auto ended = coroutines_->process(records);
    if (!ended)
      return fail(ended);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto& one = (*ended)[i];
      auto done = one->outcome ? write(records[i], one->results)
                               : reject(records[i], one->attempts, one->outcome.error().message);
      if (!done)
        return done;
    }
    count(records.size());
    return {};
  }

  result<void> write(const record_slice& record, const encoded_results& results) {
    for (std::size_t i = 0; i < results.count(); ++i) {
      auto done = reduction_ ? reduction_->merge(results[i]) : writer_->add(results[i]);
      if (!done && done.error().code == errc::invalid_argument && i == 0 && !reduction_)
        return reject(record, 1, done.error().message);
      if (!done)
        return done;
      ++out_.counts.records_out;
    }
    return {};
  }

  result<void> reject(const record_slice& record, std::uint32_t attempts, const std::string& error) {
    auto& counts = out_.counts;
    note_rejected(counts.first_rejected, record.offset, error);
    if (++counts.rejected <= with_.rejected_max)
      return writer_->reject(record, attempts, error);
    const bool from_queue = !split_.records.empty();
    if (with_.rejected_max > 0)
      return fail(errc::invalid_argument,
                  too_many_rejected(counts.rejected, with_.rejected_max, counts.first_rejected, from_queue));
    return fail(errc::invalid_argument, (from_queue ? "the record with the number " : "the record at byte ")
                                          + std::to_string(record.offset) + " is rejected: " + error
                                          + "; mend it, or say how many may be rejected: max_rejected");
  }

  result<split_result> conclude() {
    if (stopped())
      return stopping();
    if (reduction_) {
      out_.counts.records_out = reduction_->key_count();
      if (auto done = reduction_->write([this](std::string_view value) { return writer_->add(value); });
          !done)
        return fail(done);
    }
    auto results = writer_->finish();
    if (!results)
      return fail(results);
    out_.results = std::move(*results);
    return std::move(out_);
  }

  split split_;
  const split_settings& with_;
  std::unique_ptr<reduction> reduction_;
  std::unique_ptr<part_writer> writer_;
  std::unique_ptr<split_coroutines> coroutines_;
  encoded_results results_;
  std::uint64_t paused_records_ = 0;
  split_result out_;
};

} // namespace

result<split_result> run_split(const split& which, const split_settings& with) {
  const log::speaking in_its_name{with.who};
  with.environment->mark_thread(with.slot);
  auto done = split_run{which, with}.run();
  with.slot->leave();
  with.environment->mark_thread(nullptr);
  return done;
}

} // namespace sluice::batch
