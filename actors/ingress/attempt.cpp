#include "actors/ingress/lane.hpp"

#include <utility>

namespace sluice::ingress {

// ---- the whole request ------------------------------------------------------------------

void call::watch() {
  {
    std::lock_guard lock{mutex_};
    if (is_watched_)
      return;
    is_watched_ = true;
  }
  client->when_cancelled([weak = weak_from_this()] {
    if (auto self = weak.lock())
      self->on_cancelled();
  });
}

void call::when_cancelled(std::function<void()> stop) {
  watch();
  {
    std::lock_guard lock{mutex_};
    if (!is_cancelled_) {
      stop_.swap(stop); // the one before goes outside the lock
      return;
    }
  }
  if (stop)
    stop();
}

void call::on_cancelled() {
  std::function<void()> stop;
  {
    std::lock_guard lock{mutex_};
    is_cancelled_ = true;
    stop = std::exchange(stop_, nullptr);
  }
  if (stop)
    stop();
  where->cancelled(*this);
}

void call::forget_stop() {
  std::function<void()> old; // may own what must not end under the lock
  std::lock_guard lock{mutex_};
  old.swap(stop_);
}

bool call::is_cancelled() const {
  std::lock_guard lock{mutex_};
  return is_cancelled_;
}

// ---- one attempt ------------------------------------------------------------------------

attempt::attempt(std::shared_ptr<call> whole, slot_ptr target, bool wants_notice)
  : exchange(std::move(whole->client->in), whole->deadline),
    whole_(std::move(whole)), place_{std::move(target)}, body_size_(in.body.size()),
    header_count_(in.headers.size()) {
  wants_sink_notice = wants_notice;
}

attempt::~attempt() {
  const auto last = stage_.load();
  if (last == stage::ended)
    return;
  if (last == stage::at_sink) { // this process ends
    respond(error_response(
      502, "this node ended while the results were on their way to the sink, which may or may not have them",
      error_form::collector));
    return;
  }
  whole_->forget_stop();
  const bool can_repeat = last == stage::taken && is_idempotent(in.method) && is_whole();
  if (can_repeat)
    whole_->client->in = std::move(in);
  whole_->where->lost(whole_, place_, last == stage::begun, can_repeat);
}

/// Whether nobody has taken parts of the request: what was moved away is empty.
bool attempt::is_whole() const noexcept {
  return !in.path.empty() && in.body.size() == body_size_ && in.headers.size() == header_count_;
}

void attempt::handed_to_sink() noexcept {
  if (wants_sink_notice)
    whole_->where->handed_to_sink(place_);
}

void attempt::collect(queue_results results) noexcept {
  if (!move(stage::taken, stage::at_sink))
    return;
  whole_->forget_stop();
  whole_->where->collect(shared_from_this(), place_, std::move(results));
}

void attempt::respond(response answer) noexcept {
  if (!move(stage::taken, stage::ended) && !move(stage::at_sink, stage::ended))
    return;
  const auto status = answer.status;
  whole_->forget_stop();
  whole_->client->respond(std::move(answer));
  whole_->where->answered(place_, status, whole_->since);
}

void attempt::refuse(failure why) noexcept {
  if (!move(stage::taken, stage::ended))
    return;
  whole_->forget_stop();
  whole_->client->in = std::move(in);
  whole_->where->refused(whole_, place_, std::move(why));
}

void attempt::begin(response head) noexcept {
  const auto status = head.status;
  if (!move(stage::taken, stage::begun))
    return;
  status_ = status;
  whole_->client->begin(std::move(head));
  whole_->watch(); // a client that goes from here on has left, and its replica has not failed it
}

bool attempt::write(std::string part) noexcept {
  return stage_.load() == stage::begun && whole_->client->write(std::move(part));
}

std::size_t attempt::waiting_bytes() const noexcept { return whole_->client->waiting_bytes(); }

void attempt::when_writable(std::function<void()> resume) noexcept {
  whole_->client->when_writable(std::move(resume));
}

void attempt::finish() noexcept {
  if (!move(stage::begun, stage::ended))
    return;
  whole_->forget_stop();
  whole_->client->finish();
  whole_->where->answered(place_, status_, whole_->since);
}

bool attempt::upgrade(std::shared_ptr<websocket_session> session) noexcept {
  if (!move(stage::taken, stage::ended))
    return false;
  auto entered = whole_->where->enter(std::move(session), place_.target);
  if (!whole_->client->upgrade(entered)) {
    entered->give_up();
    stage_ = stage::taken; // it may still be answered
    return false;
  }
  whole_->forget_stop();
  return true;
}

void attempt::when_cancelled(std::function<void()> stop) noexcept {
  if (stage_.load() != stage::ended)
    whole_->when_cancelled(std::move(stop));
}

} // namespace sluice::ingress
