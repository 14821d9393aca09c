#include "transport/http/worker.hpp"

#include "transport/http/connection.hpp"
#include "transport/link/send_cork.hpp"
#include "transport/process/blocked_signals.hpp"

#include <boost/asio/post.hpp>

#include <array>
#include <pthread.h>
#include <unistd.h>

namespace sluice::http {

namespace {

constexpr int handlers_per_turn = 64;
constexpr auto tick_length = std::chrono::milliseconds{50};

} // namespace

thread_local worker* worker::current_ = nullptr;

worker::worker(std::shared_ptr<environment> shared)
  : shared_(std::move(shared)), work_(context_.get_executor()), wheel_(tick_length, now_) {}

worker::~worker() { stop(); }

void worker::start() {
  process::blocked_signals while_starting; // signals are for the process's own handling
  thread_ = std::thread{[this] {
    pthread_setname_np(pthread_self(), "sluice-http");
    run();
  }};
}

void worker::run() {
  current_ = this;
  for (bool goes_on = true; goes_on;) {
    // Requests that come in together leave together for where their replicas are.
    link::send_cork cork;
    goes_on = context_.run_one() > 0;
    for (int i = 0; i < handlers_per_turn && context_.poll_one() > 0; ++i)
      continue;
  }
  current_ = nullptr;
}

template <class Work>
bool worker::post(Work work) {
  std::lock_guard lock{inbox_mutex_};
  if (!ended_)
    boost::asio::post(context_, std::move(work));
  return !ended_;
}

void worker::stop() {
  if (!thread_.joinable())
    return;
  post([this] {
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
    work_.reset();
  });
  thread_.join();
  std::vector<delivery> late;
  {
    std::lock_guard lock{inbox_mutex_};
    ended_ = true;
    late.swap(inbox_);
  }
  late.clear();
  // What was posted after the thread's last look holds references and sockets.
  context_.restart();
  current_ = this;
  context_.poll();
  current_ = nullptr;
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
  if (wakes && !std::exchange(woken_, true))
    boost::asio::post(context_, [this] { take_deliveries(); });
}

void worker::take_deliveries_later() {
  std::lock_guard lock{inbox_mutex_};
  if (!ended_ && !std::exchange(woken_, true))
    boost::asio::post(context_, [this] { take_deliveries(); });
}

void worker::take_deliveries() {
  look_at_clock();
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
  ticker_.async_wait([this](const boost::system::error_code& cancelled) {
    ticking_ = false;
    if (cancelled || stopping_)
      return;
    take_deliveries();
    wheel_.advance(now_, [](timer_wheel::entry& due) { connection::of(due).on_deadline(); });
    if (!wheel_.empty() && !ticking_)
      tick();
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
