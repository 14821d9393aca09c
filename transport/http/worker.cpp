#include "transport/http/worker.hpp"

#include "transport/http/connection.hpp"

#include <boost/asio/post.hpp>

#include <array>
#include <future>
#include <unistd.h>

namespace sluice::http {

namespace {

constexpr auto tick_length = std::chrono::milliseconds{50};

} // namespace

worker::worker(std::shared_ptr<environment> shared, std::shared_ptr<link::io_core> io)
  : shared_(std::move(shared)), io_(std::move(io)), wheel_(tick_length, now_), ticker_(io_->context()) {}

std::shared_ptr<worker> worker::start(std::shared_ptr<environment> shared) {
  auto made = std::make_shared<worker>(std::move(shared), std::make_shared<link::io_core>("sluice-http"));
  made->owns_io_ = true;
  return made;
}

worker::~worker() = default;

template <class Work>
bool worker::post(Work work) {
  std::lock_guard lock{inbox_mutex_};
  return !ended_ && io_->post(std::move(work));
}

void worker::stop() {
  std::promise<void> closed;
  if (post([&] {
        close_all();
        closed.set_value();
      }))
    closed.get_future().wait();
  std::vector<delivery> late; // may hold the last of their connections, which look at the inbox
  {
    std::lock_guard lock{inbox_mutex_};
    ended_ = true;
    late.swap(inbox_);
  }
  late.clear();
  if (owns_io_)
    io_->stop();
}

void worker::close_all() {
  take_deliveries();
  stopping_ = true;
  // Each leaves the map as it closes.
  std::vector<std::shared_ptr<connection>> open;
  open.reserve(connections_.size());
  for (const auto& [key, what] : connections_)
    open.push_back(what);
  for (const auto& what : open)
    what->close();
  ticker_.cancel();
}

void worker::adopt(int fd, const client_key& key, std::string client) {
  load_.fetch_add(1, std::memory_order_relaxed);
  auto taken = post([self = shared_from_this(), fd, key, client = std::move(client)]() mutable {
    if (self->stopping_) {
      ::close(fd);
      self->shared_->ledger.leave(key);
      return;
    }
    self->look_at_clock();
    try {
      auto made = std::make_shared<connection>(*self, fd, key, std::move(client));
      self->connections_.emplace(made.get(), made);
      made->start();
    } catch (const boost::system::system_error& failed) { // the descriptor cannot be watched
      self->load_.fetch_sub(1, std::memory_order_relaxed);
      self->shared_->ledger.leave(key);
      self->shared_->trouble(failed.what());
    }
  });
  if (!taken) {
    ::close(fd);
    shared_->ledger.leave(key);
  }
}

void worker::remove(connection& which) {
  connections_.erase(&which);
  load_.fetch_sub(1, std::memory_order_relaxed);
}

void worker::send(delivery what, bool wakes) {
  if (on_thread() && what.to->dispatching())
    return what.to->deliver(what);
  std::lock_guard lock{inbox_mutex_};
  if (ended_)
    return;
  inbox_.push_back(std::move(what));
  if (wakes)
    look_into_inbox_soon();
}

void worker::take_deliveries_later() {
  std::lock_guard lock{inbox_mutex_};
  if (!ended_)
    look_into_inbox_soon();
}

/// Under the inbox's lock.
void worker::look_into_inbox_soon() {
  if (std::exchange(woken_, true))
    return;
  auto* cork = on_thread() ? link::send_cork::current() : nullptr;
  if (cork != nullptr) // the end of this turn is soon enough
    cork->hold(shared_from_this());
  else
    boost::asio::post(io_->context(), [self = shared_from_this()] { self->take_deliveries(); });
}

void worker::take_deliveries() {
  look_at_clock();
  io_->expect_more();
  auto taken = std::exchange(taken_, {}); // keeps its room
  {
    std::lock_guard lock{inbox_mutex_};
    woken_ = false;
    taken.swap(inbox_);
  }
  // All parts for one connection go out in one write: it is pumped at its last one.
  for (auto& what : taken)
    what.to->deliver(what);
  for (auto& what : taken) {
    what.to->pump();
    what.to.reset();
  }
  taken.clear();
  taken_ = std::move(taken);
}

template <class What>
void worker::post_for_each(What what) {
  post([self = shared_from_this(), what] {
    self->take_deliveries();
    std::vector<std::shared_ptr<connection>> open;
    for (const auto& [key, each] : self->connections_)
      open.push_back(each);
    for (const auto& each : open)
      what(*each);
  });
}

void worker::close_idle() {
  post_for_each([](connection& each) { each.close_if_idle(); });
}

void worker::cut_streams() {
  post_for_each([](connection& each) { each.close_if_streaming(); });
}

void worker::set_timer(timer_wheel::entry& which, timer_wheel::time_point when) {
  wheel_.set(which, when);
  if (!ticking_ && !wheel_.empty() && !stopping_)
    tick();
}

void worker::tick() {
  ticking_ = true;
  ticker_.expires_after(tick_length);
  ticker_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    self->ticking_ = false;
    if (cancelled || self->stopping_)
      return;
    self->take_deliveries();
    self->wheel_.advance(self->now_, [](timer_wheel::entry& due) { connection::of(due).on_deadline(); });
    if (!self->wheel_.empty() && !self->ticking_)
      self->tick();
  });
}

std::string worker::next_request_id() {
  // 13 letters of 5 bits: fits into the string itself.
  static constexpr std::string_view letters = "0123456789abcdefghjkmnpqrstvwxyz";
  std::array<char, 13> text;
  auto bits = ids_();
  for (auto& letter : text) {
    letter = letters[bits & 31];
    bits >>= 5;
  }
  return {text.data(), text.size()};
}

} // namespace sluice::http
