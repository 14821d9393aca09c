#include "transport/link/io_core.hpp"

#include "transport/link/io_thread.hpp"
#include "transport/link/send_cork.hpp"

#include <sluice/core/limits.hpp>

#include <vector>

namespace sluice::link {

thread_local io_core* io_core::current_ = nullptr;

io_core::io_core(const char* name, int handlers) : work_(context_.get_executor()) {
  loop_.emplace(name, [this, handlers] { return turn(handlers); });
}

bool io_core::turn(int handlers) {
  current_ = this;
  bool goes_on = false;
  if (handlers == 1) {
    goes_on = context_.run_one() > 0;
  } else {
    send_cork cork;
    goes_on = context_.run_one() > 0;
    for (int i = 1; i < handlers && context_.poll_one() > 0; ++i)
      continue;
  }
  current_ = nullptr;
  return goes_on;
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

io_thread::io_thread() : core_(std::make_shared<io_core>()) {}

io_thread::~io_thread() { core_->stop(); }

void io_thread::stop() { core_->stop(); }

} // namespace sluice::link
