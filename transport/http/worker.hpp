#pragma once

#include "transport/http/answer.hpp"
#include "transport/http/environment.hpp"
#include "transport/http/timer_wheel.hpp"
#include "transport/link/io_core.hpp"
#include "transport/link/send_cork.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::http {

class connection;

/// A piece of an answer on its way from whoever made it to the connection's thread.
struct delivery {
  std::shared_ptr<connection> to = {};
  std::uint64_t call = 0; ///< the request of that connection that it answers
  wire_answer answer = {};
  std::shared_ptr<const std::string> shared = {}; ///< goes behind `answer`, to others too
  bool begins = false;
  bool ends = false;
  bool aborts = false;  ///< the answer cannot be completed: the connection ends without it
  std::size_t sent = 0; ///< bytes of `answer` that its maker has written to the socket
  std::chrono::steady_clock::time_point made_at = {}; ///< for the access log, if its maker wrote it
  std::uint64_t replica = 0;                          ///< for the access log, like the next
  std::uint32_t attempts = 0;
  std::shared_ptr<websocket_session> session = {}; ///< whose the connection is from now on
};

/// One io thread of the server and the connections that live on it from accept to close, so
/// that these need no locks. The thread is its own, or that of links: then a request goes to a host and its answer to the
/// client without a change of threads.
class worker : public std::enable_shared_from_this<worker>, public link::corked {
public:
  /// On a thread of its own.
  static std::shared_ptr<worker> start(std::shared_ptr<environment> shared);
  /// On the thread of `io`, which is stopped later.
  worker(std::shared_ptr<environment> shared, std::shared_ptr<link::io_core> io);
  ~worker() override;

  /// Closes all connections and ends the thread if it is its own. Not on it. No callback runs once this has returned.
  void stop();

  /// Any thread: takes an accepted socket that the ledger knows.
  void adopt(int fd, const client_key& key, std::string client);
  /// Any thread. What comes after the end is dropped. Without `wakes` it is taken when the thread next has something
  /// to do, at the latest at the next tick of its timers.
  void send(delivery what, bool wakes = true);
  /// Any thread: closes the connections that wait for a request.
  void close_idle();
  /// Any thread: cuts answers that have begun and go on.
  void cut_streams();

  /// How many connections it has; for who deals out new ones.
  std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }

  link::io_core& io() noexcept { return *io_; }
  boost::asio::io_context& context() noexcept { return io_->context(); }
  bool on_thread() const noexcept { return io_->on_thread(); }

  // For its connections, on its thread.
  environment& shared() noexcept { return *shared_; }
  std::chrono::steady_clock::time_point now() const noexcept { return now_; }
  /// Looks at the clock once per event.
  void look_at_clock() noexcept { now_ = std::chrono::steady_clock::now(); }
  /// Where bytes are read to; only one connection reads at a time.
  std::span<char> buffer() noexcept { return io_->read_buffer().first(buffer_bytes); }
  void set_timer(timer_wheel::entry& which, timer_wheel::time_point when);
  /// What came in without waking the thread. Before anything that depends on a connection's state.
  void take_deliveries();
  void take_deliveries_later();
  void pull() override { take_deliveries(); }
  std::string next_request_id();
  void remove(connection& which);

private:
  static constexpr std::size_t buffer_bytes = 64u << 10;

  /// Queues work for the thread; false once that has ended.
  template <class Work>
  bool post(Work work);
  /// Calls something for each connection, on the thread.
  template <class What>
  void post_for_each(What what);
  void close_all();
  void look_into_inbox_soon();
  void tick();

  std::shared_ptr<environment> shared_;
  const std::shared_ptr<link::io_core> io_;
  bool owns_io_ = false;
  std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
  timer_wheel wheel_;
  boost::asio::steady_timer ticker_;
  bool ticking_ = false;
  bool stopping_ = false;
  std::unordered_map<connection*, std::shared_ptr<connection>> connections_;
  std::atomic<std::size_t> load_{0};
  std::mt19937_64 ids_{std::random_device{}()};

  std::mutex inbox_mutex_;
  std::vector<delivery> inbox_;
  bool woken_ = false; ///< the thread will look into the inbox
  bool ended_ = false;
  std::vector<delivery> taken_; ///< of the inbox, being worked off
};

} // namespace sluice::http
