#include "transport/link/io_core.hpp"

#include "transport/link/io_thread.hpp"
#include "transport/link/send_cork.hpp"

#include <sluice/core/limits.hpp>

#include <thread>
#include <utility>
#include <vector>

namespace sluice::link {

namespace {

constexpr int handlers_per_turn = 64;
constexpr int pulls_per_turn = 4; ///< what is let out may make more

} // namespace

thread_local io_core* io_core::current_ = nullptr;

io_core::io_core(const char* name, bool may_poll)
  : work_(context_.get_executor()), may_poll_(may_poll && std::thread::hardware_concurrency() > 1) {
  loop_.emplace(name, [this] { return turn(); });
}

bool io_core::turn() {
  current_ = this;
  begin_waits();
  bool goes_on = false;
  {
    send_cork cork;
    auto waited = loop_pace::wait::none;
    goes_on = run_first(waited);
    const auto more = pace_.is_lone() ? 0 : run_more();
    pace_.turned(waited, 1 + more);
    for (int round = 0; round < pulls_per_turn && cork.holds(); ++round)
      cork.pull();
  }
  current_ = nullptr;
  return goes_on;
}

void io_core::begin_waits() {
  for (const auto& each : late_waiters_)
    each->begin_wait();
  late_waiters_.clear();
}

/// False if there is no more.
bool io_core::run_first(loop_pace::wait& waited) {
  const bool polls = std::exchange(expects_more_, false) && may_poll_ && pace_.should_poll();
  if (context_.poll_one() > 0)
    return true;
  const auto began = clock::now();
  if (polls) {
    if (poll(began)) {
      waited = loop_pace::wait::brief;
      return true;
    }
    waited = loop_pace::wait::lasting;
    return context_.run_one() > 0;
  }
  const bool goes_on = context_.run_one() > 0;
  waited =
    clock::now() - began < loop_pace::brief_sleep_max ? loop_pace::wait::brief : loop_pace::wait::lasting;
  return goes_on;
}

/// What was ready together with the first: how many handlers that was. What becomes ready meanwhile is for the next turn, so a link that
/// brings more and more does not keep back what others are to get.
int io_core::run_more() {
  boost::asio::post(context_, [this, round = ++round_] { round_over_ = round; });
  int count = 0;
  while (count < handlers_per_turn && context_.poll_one() > 0 && round_over_ != round_)
    ++count;
  return count;
}

/// True if something came.
bool io_core::poll(clock::time_point began) {
  do
    if (context_.poll_one() > 0)
      return true;
  while (!context_.stopped() && clock::now() - began < loop_pace::poll_max);
  return false;
}

io_core::~io_core() { stop(); }

void io_core::stop() {
  if (!loop_)
    return;
  post([this] {
    stopping_ = true;
    work_.reset();
    // Each leaves the set while it stops, and may take others along.
    auto ending = std::vector<stoppable*>(live_.begin(), live_.end());
    for (auto* what : ending)
      if (live_.contains(what))
        what->on_stop({errc::shutting_down, "this process is shutting down"});
    // A name look-up cannot be called back; it is not waited for.
    last_resort_.expires_after(2 * limits::link_linger);
    last_resort_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled)
        context_.stop();
    });
    wake_when_empty();
  });
  loop_->join();
  loop_.reset();
  {
    std::lock_guard lock{post_mutex_};
    stopped_ = true;
  }
  // What came in after the thread's last look holds references; run it to drop them.
  current_ = this;
  context_.restart();
  context_.poll();
  late_waiters_.clear();
  current_ = nullptr;
}

/// The last one that leaves makes the last resort needless.
void io_core::remove(stoppable& what) {
  live_.erase(&what);
  wake_when_empty();
}

void io_core::wake_when_empty() {
  if (stopping_ && live_.empty())
    last_resort_.cancel();
}

bool io_core::add(stoppable& what) {
  if (stopping_)
    return false;
  live_.insert(&what);
  return true;
}

io_thread::io_thread(bool may_poll) : core_(std::make_shared<io_core>("sluice-link", may_poll)) {}

io_thread::~io_thread() { core_->stop(); }

void io_thread::stop() { core_->stop(); }

} // namespace sluice::link
