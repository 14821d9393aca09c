#include "actors/collect/collect_calls.hpp"

#include <algorithm>
#include <utility>

namespace sluice::collect {

namespace {

/// Longer than a tick, and the way to the client.
constexpr std::chrono::milliseconds late_answer_ahead{300};

response failure_answer(unsigned status, std::string_view text) {
  return error_response(status, text, error_form::collector);
}

/// The client's mistake, not one of the sink: as the draft of the header's standard wants it (draft-ietf-httpapi-idempotency-key-header).
response reused_answer(std::string_view key) {
  return failure_answer(422,
                        "Idempotency-Key '" + std::string{key}
                          + "' belongs to another request: with one key, method, path, query and body must "
                            "be the same each time");
}

} // namespace

collect_calls::collect_calls(options how)
  : options_(std::move(how)), state_(options_.knows_repeats, options_.seed) {}

void collect_calls::take_in() {
  for (auto& each : options_.inbox->take()) {
    const auto id = ++call_last_;
    state_.add(id, std::move(each.records), std::move(each.sent), each.call->deadline);
    calls_.emplace(id, std::move(each.call));
  }
  options_.inbox->note_held(state_.size_bytes());
}

void collect_calls::turn(time_point now) {
  do {
    take_in();
    for (auto id : state_.next(now))
      options_.write(id);
  } while (!options_.inbox->rest(state_.is_out()));
}

void collect_calls::on_stored(std::uint64_t id, const result<void>& outcome, time_point now) {
  const auto told = state_.on_stored(id, outcome, now);
  options_.inbox->note_held(state_.size_bytes()); // before answers, which bring the next requests
  answer(told.stored, collected_response());
  if (!told.reused_key.empty())
    return answer(told.failed, reused_answer(told.reused_key));
  is_failing_ = !outcome;
  if (!outcome)
    last_error_ = outcome.error().message;
  if (told.failed.empty())
    return;
  refused_total_ += told.failed.size();
  answer(told.failed, failure_answer(500, "the sink refuses the results: " + told.why.message));
}

void collect_calls::on_tick(time_point now) {
  take_in();
  if (options_.knows_repeats)
    for (auto id : state_.unanswered(now, write_timeout))
      on_stored(id, fail(errc::timeout, "the queue did not answer in time"), now);
  answer_late(now);
}

/// A moment before the ingress gives up, which does not know why.
void collect_calls::answer_late(time_point now) {
  const bool is_retrying = state_.is_retrying();
  const auto until = is_retrying ? now + late_answer_ahead : now;
  const auto why = is_retrying && !last_error_.empty() ? ": " + last_error_ : std::string{};
  answer(state_.take_late(until), failure_answer(503, "the sink did not take the results in time" + why));
  if (!is_retrying)
    return;
  std::vector<std::uint64_t> late; // in a write that is tried again
  for (const auto& [id, call] : calls_)
    if (call->deadline <= until)
      late.push_back(id);
  answer(late, failure_answer(503, "the sink did not take the results in time, and may yet take them" + why));
}

bool collect_calls::is_wanted(time_point now) const {
  return options_.inbox->count() > 0
         || std::ranges::any_of(calls_, [now](const auto& each) { return now < each.second->deadline; });
}

void collect_calls::answer(const std::vector<std::uint64_t>& calls, response with) {
  if (calls.empty())
    return;
  auto each = [&] {
    for (auto id : calls)
      if (auto call = calls_.extract(id))
        call.mapped()->respond(id == calls.back() ? std::move(with) : with);
  };
  if (options_.answer_together && calls.size() > 1)
    options_.answer_together(each);
  else
    each();
}

} // namespace sluice::collect
