#include <sluice/core/limits.hpp>
#include <sluice/processor/connection_core.hpp>
#include <sluice/processor/goodbye_policy.hpp>
#include <sluice/websocket.hpp>

#include <chrono>
#include <vector>

namespace sluice::processor {

namespace {

/// Looks at a coroutine per timeout. One timer a connection, not one a message: each lives for as long as it was
/// set for, and messages may be many.
constexpr int looks_max = 8;

/// Whose turn this thread is at.
thread_local const connection_core* at_turn = nullptr;

} // namespace

// ---- all of them --------------------------------------------------------------------------

void connection_set::run_on(std::function<void(std::function<void()>)> run) {
  std::lock_guard lock{mutex_};
  if (!run_)
    run_ = std::move(run);
}

connection_load connection_set::load() const {
  std::lock_guard lock{mutex_};
  return {static_cast<std::uint32_t>(all_.size()), handled_total_, failed_total_};
}

result<void> connection_set::admit(const connection_ptr& which) {
  std::lock_guard lock{mutex_};
  if (is_draining_)
    return fail(errc::shutting_down, "the replica takes no connections");
  if (all_.size() >= settings_.connections_max)
    return fail(errc::overloaded, "the replica has all the connections it may have");
  all_.emplace(which.get(), which);
  return {};
}

void connection_set::forget(const connection_core* which) {
  std::function<void()> idle;
  {
    std::lock_guard lock{mutex_};
    all_.erase(which);
    if (is_draining_ && all_.empty())
      idle = std::exchange(idle_, nullptr);
  }
  if (idle)
    idle();
}

std::uint64_t connection_set::next_number() {
  std::lock_guard lock{mutex_};
  return ++number_last_;
}

void connection_set::drain(std::function<void()> idle) {
  {
    std::lock_guard lock{mutex_};
    is_draining_ = true;
    if (!all_.empty())
      idle_ = std::exchange(idle, nullptr);
  }
  if (idle)
    idle();
}

void connection_set::dismiss(std::chrono::steady_clock::time_point now, std::uint64_t seed) {
  std::vector<connection_ptr> due;
  {
    std::lock_guard lock{mutex_};
    if (is_draining_ && !std::exchange(goodbyes_planned_, is_draining_))
      plan_goodbyes(now, seed);
    for (; !goodbyes_.empty() && goodbyes_.front().at <= now; goodbyes_.pop_front())
      if (auto one = goodbyes_.front().to.lock())
        due.push_back(std::move(one));
  }
  for (const auto& one : due)
    one->drain();
}

/// Called with the lock.
void connection_set::plan_goodbyes(std::chrono::steady_clock::time_point now, std::uint64_t seed) {
  const auto count = all_.size();
  const auto span = goodbye_span(count);
  for (const auto& [key, weak] : all_)
    goodbyes_.push_back({now
                           + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                             goodbye_after(goodbyes_.size(), count, seed, span)),
                         weak});
}

void connection_set::stop() {
  std::vector<connection_ptr> open;
  std::deque<connection_ptr> dropped; // outside of the lock: they come back to `forget`
  {
    std::lock_guard lock{mutex_};
    is_draining_ = goodbyes_planned_ = true;
    goodbyes_.clear();
    idle_ = nullptr;
    run_ = nullptr;
    dropped.swap(ready_);
    for (const auto& [key, weak] : all_)
      if (auto one = weak.lock())
        open.push_back(std::move(one));
  }
  for (const auto& one : open)
    one->stop();
}

void connection_set::schedule(connection_ptr which) {
  {
    std::lock_guard lock{mutex_};
    if (active_ >= settings_.num_concurrency) {
      ready_.push_back(std::move(which));
      return;
    }
    ++active_;
  }
  run_turn(std::move(which));
}

void connection_set::run_turn(connection_ptr which) {
  std::function<void(std::function<void()>)> run;
  {
    std::lock_guard lock{mutex_};
    run = run_;
  }
  if (run) // else the replica has ended
    run([which = std::move(which)] { which->turn(); });
}

void connection_set::turn_done(bool is_message, bool has_failed) {
  connection_ptr next;
  {
    std::lock_guard lock{mutex_};
    handled_total_ += is_message ? 1 : 0;
    failed_total_ += has_failed ? 1 : 0;
    if (ready_.empty()) {
      --active_;
      return;
    }
    next = std::move(ready_.front());
    ready_.pop_front();
  }
  run_turn(std::move(next));
}

// ---- one of them: from the client -----------------------------------------------------------

connection_core::~connection_core() { set_->forget(this); }

void connection_core::begin(request in, std::unique_ptr<connection_code> code,
                            std::shared_ptr<executor> where) {
  request_ = std::move(in);
  id_ = request_.id + "." + std::to_string(set_->next_number());
  code_ = std::move(code);
  where_ = std::move(where);
}

void connection_core::on_open(websocket_ptr to) {
  bool has_stopped = false;
  {
    std::lock_guard lock{mutex_};
    has_stopped = state_.is_closing(); // while the client was told that it is welcome
    if (!has_stopped) {
      way_ = to;
      state_.open();
    }
  }
  if (has_stopped)
    return to->close(websocket_code::restart, "the replica has ended");
  look();
}

void connection_core::on_message(std::string message, bool is_text) {
  const auto cost = websocket_message_cost(message.size());
  bool is_wanted = false;
  {
    std::lock_guard lock{mutex_};
    is_wanted = state_.message(std::move(message), is_text);
  }
  if (is_wanted)
    look();
  else if (auto to = way())
    to->taken(cost);
}

void connection_core::on_close(std::uint16_t, std::string_view) {
  {
    std::lock_guard lock{mutex_};
    state_.end();
  }
  if (where_)
    where_->post([self = shared_from_this()] { self->cancel_running(); });
  look();
}

void connection_core::drain() {
  {
    std::lock_guard lock{mutex_};
    state_.drain();
  }
  look();
}

void connection_core::stop() {
  websocket_ptr to;
  std::unique_ptr<connection_code> code;
  {
    std::lock_guard lock{mutex_};
    state_.close();
    to = std::exchange(way_, nullptr);
    if (!state_.is_busy())
      code = std::exchange(code_, nullptr);
  }
  if (to)
    to->close(websocket_code::restart, "the replica has ended");
}

// ---- turns ----------------------------------------------------------------------------------

websocket_ptr connection_core::way() const {
  std::lock_guard lock{mutex_};
  return way_;
}

bool connection_core::has_room() const { return waiting_bytes() <= stream_window_bytes; }

void connection_core::look(bool was_resumed) {
  // Who is resumed has room, or nobody reads any more and what was sent stays unsent: asking again might not end.
  const bool may_send = was_resumed || has_room();
  websocket_ptr to;
  std::unique_ptr<connection_code> over;
  bool says_goodbye = false;
  bool is_over = false;
  bool is_due = false;
  bool must_wait = false;
  {
    std::lock_guard lock{mutex_};
    to = way_;
    if (!is_scheduled_ && state_.is_ready() && code_) {
      is_due = may_send || state_.is_ready_without_room();
      must_wait = !is_due && !std::exchange(waits_for_room_, true);
      is_scheduled_ = is_due;
    }
    says_goodbye = to && state_.take_goodbye();
    is_over = state_.is_over();
    if (is_over) {
      over = std::move(code_);
      way_.reset();
    }
  }
  if (is_over) // user code may keep this for as long as it likes
    set_->forget(this);
  if (is_due)
    set_->schedule(shared_from_this());
  if (must_wait)
    to->when_writable([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self)
        return;
      {
        std::lock_guard lock{self->mutex_};
        self->waits_for_room_ = false;
      }
      self->look(true);
    });
  if (says_goodbye)
    to->close(websocket_code::going_away, "the server moves on: connect again");
}

void connection_core::turn() {
  std::optional<connection_event> event;
  {
    std::lock_guard lock{mutex_};
    is_scheduled_ = false;
    if (state_.is_ready() && code_) // else it has been dropped meanwhile
      event = state_.next();
  }
  if (event)
    return run_code(std::move(*event));
  set_->turn_done(false, false);
  look();
}

void connection_core::run_code(connection_event event) {
  const bool is_message = event.what == connection_event::kind::message;
  const auto cost = is_message ? websocket_message_cost(event.payload.size()) : 0;
  if (where_)
    return run_coroutine(std::move(event));
  std::exception_ptr thrown;
  const auto* before = std::exchange(at_turn, this);
  try {
    code_->handle(*this, std::move(event));
  } catch (...) {
    thrown = std::current_exception();
  }
  at_turn = before;
  finish_turn({cost, is_message}, thrown);
}

void connection_core::run_coroutine(connection_event event) {
  const bool is_message = event.what == connection_event::kind::message;
  const turn_size size{is_message ? websocket_message_cost(event.payload.size()) : 0, is_message};
  auto has_ended = std::make_shared<bool>(false);
  is_streaming_ = false;
  auto running =
    code_->handle_async(shared_from_this(), std::move(event), *where_,
                        [self = shared_from_this(), has_ended, size](const std::exception_ptr& thrown) {
                          *has_ended = true;
                          self->running_.reset();
                          self->finish_turn(size, thrown);
                        });
  if (*has_ended)
    return;
  running_.emplace(std::move(running), size);
  looks_ = 0;
  watch_time();
}

void connection_core::watch_time() {
  const auto timeout = set_->with().timeout;
  if (timeout <= timeout.zero() || std::exchange(is_watched_, true))
    return;
  where_->post_after(std::chrono::nanoseconds{timeout} / looks_max, [weak = weak_from_this()] {
    if (auto self = weak.lock())
      self->on_time();
  });
}

/// The first look may come at once after the beginning, so that it takes one more for the whole time.
void connection_core::on_time() {
  is_watched_ = false;
  if (!running_ || is_streaming_)
    return;
  if (++looks_ <= looks_max)
    return watch_time();
  const auto text =
    "it took longer than its timeout, " + std::to_string(set_->with().timeout.count()) + " ms";
  log_failure(set_->with().style, id_, text);
  auto late = std::exchange(running_, std::nullopt);
  late->first.cancel();
  finish_turn(late->second, std::make_exception_ptr(websocket_error{websocket_code::server_error, text}));
}

/// A coroutine ends with its client, where it stands.
void connection_core::cancel_running() {
  auto running = std::exchange(running_, std::nullopt);
  if (!running)
    return;
  running->first.cancel();
  finish_turn(running->second, nullptr);
}

void connection_core::finish_turn(turn_size size, const std::exception_ptr& thrown) {
  if (thrown)
    fail(thrown);
  websocket_ptr to;
  {
    std::lock_guard lock{mutex_};
    state_.done();
    to = way_;
  }
  if (to && size.is_message)
    to->taken(size.cost);
  set_->turn_done(size.is_message, thrown != nullptr);
  look();
}

void connection_core::fail(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const websocket_error& e) {
    return close(e.code(), e.what());
  } catch (const std::exception& e) {
    log_failure(set_->with().style, id_, e.what());
  } catch (...) {
    log_failure(set_->with().style, id_, "an exception that is no std::exception");
  }
  close(websocket_code::server_error, internal_error());
}

std::string connection_core::internal_error() const { return "internal error, id " + id_; }

// ---- to the client --------------------------------------------------------------------------

bool connection_core::send(std::string payload, bool is_text) {
  auto to = way();
  if (!to)
    return false;
  const bool is_taken = is_text ? to->send_text(std::move(payload)) : to->send_binary(std::move(payload));
  if (!is_taken) { // a client that is still there must not go on with a message missing
    to->close(websocket_code::server_error, "a message could not be sent");
    return false;
  }
  // Up to there its next turn waits for the client, not this one, which has a thread that others need.
  if (to->waiting_bytes() <= limits::websocket_unsent_bytes_max
      || (at_turn == this && wait_until_writable(*to, set_->with().send_timeout)))
    return true;
  close(websocket_code::try_later, "it does not read what is sent");
  return false;
}

void connection_core::close(std::uint16_t code, std::string_view reason) {
  websocket_ptr to;
  std::string instead;
  std::size_t dropped = 0;
  {
    std::lock_guard lock{mutex_};
    dropped = state_.close();
    to = way_;
  }
  if (!to)
    return;
  if (dropped > 0)
    to->taken(dropped);
  if (!websocket_code::may_be_sent(code)) { // the frame would have neither code nor reason
    log_failure(set_->with().style, id_,
                "closed with " + std::to_string(code)
                  + ", a code that may not be sent: " + std::string{reason});
    instead = internal_error();
    code = websocket_code::server_error;
    reason = instead;
  }
  to->close(code, reason);
}

void connection_core::join(std::string room) {
  if (auto to = way())
    to->join(std::move(room));
}

void connection_core::leave(std::string room) {
  if (auto to = way())
    to->leave(std::move(room));
}

void connection_core::broadcast(room_cast what) {
  if (auto to = way())
    to->broadcast(std::move(what));
}

std::size_t connection_core::waiting_bytes() const {
  auto to = way();
  return to ? to->waiting_bytes() : 0;
}

void connection_core::when_writable(std::function<void()> resume) {
  if (auto to = way())
    to->when_writable(std::move(resume));
  else
    resume();
}

} // namespace sluice::processor
