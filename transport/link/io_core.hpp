#pragma once

#include "transport/link/led_loop.hpp"
#include "transport/link/loop_pace.hpp"

#include <sluice/core/result.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace sluice::link {

/// Something that keeps the io thread busy until it is told to stop.
class stoppable {
public:
  virtual ~stoppable() = default;
  /// On the io thread.
  virtual void on_stop(const failure& why) = 0;
};

/// Something that waits for its socket to be readable, but not before its loop looks for more work: to begin to wait is a system call, and what
/// was read is answered first.
class late_waiter {
public:
  virtual ~late_waiter() = default;
  /// On the io thread. Unless that ends before.
  virtual void begin_wait() = 0;
};

/// What the parts of `transport/link`, and connections of `transport/http` beside them, share on one io thread. For
/// these folders; the public face is `io_thread`.
///
/// Which thread that is may change between two turns (`led_loop`), which are never made by two at once. A turn is the handlers that are ready
/// together, under a `send_cork`: what they send leaves at its end.
class io_core {
public:
  static constexpr std::size_t buffer_bytes = 256u << 10;

  /// Not type-erased as Asio's default is, which costs some hundred instructions for each wait.
  using executor = boost::asio::io_context::executor_type;

  /// Starts the thread, which inherits the mask of signals.
  /// @param name of the thread, at most 15 letters
  /// @param may_poll where that is worth while (`loop_pace`); otherwise it always sleeps
  explicit io_core(const char* name = "sluice-link", bool may_poll = true);
  ~io_core();

  /// Not on the io thread. Safe to repeat.
  void stop();

  boost::asio::io_context& context() noexcept { return context_; }

  /// Runs `work` on the io thread, in order. False once stopped: then it never runs.
  template <class Work>
  bool post(Work work) {
    std::lock_guard lock{post_mutex_};
    if (!stopped_)
      boost::asio::post(context_, std::move(work));
    return !stopped_;
  }

  /// True when called on the io thread of this core.
  bool on_thread() const noexcept { return current_ == this; }

  /// Io thread: keeps track of what `stop` must end. False once stopping, then `what`
  /// must end by itself.
  bool add(stoppable& what);
  void remove(stoppable& what);

  /// Io thread: `who` begins to wait before the next turn does.
  void wait_later(std::shared_ptr<late_waiter> who) { late_waiters_.push_back(std::move(who)); }

  /// Io thread: what was done in this turn is often followed by more at once, as a lone request is by its answer and by the client's next one.
  /// The loop may poll for it then.
  void expect_more() noexcept { expects_more_ = true; }

  /// Io thread: where bytes are read to and decrypted to. One pair for all sockets, as
  /// only one reads at a time.
  std::span<char> read_buffer() noexcept { return {read_buffer_.get(), buffer_bytes}; }
  std::span<char> plain_buffer() noexcept { return {plain_buffer_.get(), buffer_bytes}; }

private:
  using clock = std::chrono::steady_clock;

  bool turn();
  bool run_first(loop_pace::wait& waited);
  bool poll(clock::time_point began);
  int run_more();
  void begin_waits();
  void wake_when_empty();

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<executor> work_;
  // Not zeroed: what no link uses costs no memory.
  std::unique_ptr<char[]> read_buffer_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  std::unique_ptr<char[]> plain_buffer_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  std::unordered_set<stoppable*> live_;
  std::vector<std::shared_ptr<late_waiter>> late_waiters_;
  bool stopping_ = false;
  const bool may_poll_;
  loop_pace pace_;
  bool expects_more_ = false;
  std::uint64_t round_ = 0;      ///< of handlers that are ready together
  std::uint64_t round_over_ = 0; ///< up to which one they have run
  std::mutex post_mutex_;
  bool stopped_ = false;
  boost::asio::steady_timer last_resort_{context_};
  static thread_local io_core* current_;
  std::optional<led_loop> loop_; ///< until it has ended
};

} // namespace sluice::link
