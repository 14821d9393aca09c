#pragma once

#include "transport/link/asio_link.hpp"
#include "transport/link/frame_codec.hpp"
#include "transport/link/io_core.hpp"
#include "transport/link/send_cork.hpp"
#include "transport/link/send_queue.hpp"
#include "transport/link/tls_session.hpp"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <mutex>
#include <sys/types.h>
#include <vector>

namespace sluice::link {

/// Everything about one connected socket, from handshake to close. Lives as long as it
/// has something to do; the `connection` given out is only a handle to it.
///
/// All but `send` and `request_*` runs on the io thread. Without TLS whoever pulls a `send_cork` writes to the socket
/// himself, as long as nobody else does and it takes the bytes: the io thread need not wake up for it.
class socket_link : public std::enable_shared_from_this<socket_link>,
                    public stoppable,
                    public corked,
                    public late_waiter {
public:
  struct setup {
    std::shared_ptr<io_core> core;
    int fd = -1; ///< taken over
    link_side side = link_side::client;
    link_options options;
    std::unique_ptr<tls_session> tls; ///< null: plain
    time_point began{};               ///< of the whole attempt
    std::function<result<void>(socket_link& self, const hello& peer)> admit{};
    std::function<void(join_request, std::function<void(result<join_grant>)>)> on_join{};
    std::optional<join_request> join{}; ///< client: ask for a certificate, no link
    std::function<void(result<join_grant>)> on_grant{};
    /// Once: an established link, or why there is none. Not called for joins.
    std::function<void(socket_link& self, result<connection_ptr>)> done{};
    /// Server: the socket of a link that was never established is closed.
    std::function<void(socket_link& self)> on_down{};
  };

  explicit socket_link(setup with);
  ~socket_link() override;

  /// Begins the handshake.
  void begin();

  /// Ends an unfinished handshake, or closes an open link, with a word to the peer.
  void close(failure why);

  /// Closes the socket at once.
  void abort(failure why);

  void on_stop(const failure& why) override { close(why); }

  void begin_wait() override;

  void pull() override { with_.core->on_thread() ? flush() : write_at_once(); }

  /// Any thread.
  const hello& peer() const noexcept { return peer_; }
  result<void> send(std::vector<frame>& frames);
  void request_start(receiver to);
  void request_close(failure why);

  /// `done` was given a connection.
  bool established() const noexcept { return established_; }

  /// Nothing more comes from it.
  bool closed() const noexcept { return step_ >= step::lingering; }

  /// How long the peer has been silent, as of the last tick.
  duration silent_for() const noexcept { return state_.silent_for; }

private:
  enum class step : std::uint8_t {
    tls,         ///< TLS handshake
    hello,       ///< waiting for the peer's hello, join request or grant
    joining,     ///< the join request is with its handler
    await_start, ///< open, nobody to deliver to yet
    open,
    lingering, ///< closed; what was sent is still being handed over
    down,
  };
  enum class written : std::uint8_t { some, nothing_left, blocked };

  // Handshake (socket_handshake.cpp)
  void after_tls();
  result<void> on_first_frame(frame& first);
  result<void> on_hello(const frame& first);
  result<void> on_join(const frame& first);
  result<void> on_grant(const frame& first);
  result<void> check_peer(const hello& peer);
  void send_grant(result<join_grant> grant);
  void establish();
  void finish_handshake(failure why);

  // Reading
  void wait_readable();
  void on_readable();
  bool read_once();
  result<void> consume(std::string_view plain);
  result<void> deliver(std::vector<frame>& frames);
  result<void> hand_over(std::vector<frame>& frames);
  result<void> answer_control(std::vector<frame>& frames);
  void start(receiver to);

  // Writing
  void push_control(frame_kind kind, std::uint64_t id, std::string body);
  void flush();
  void write_at_once();
  void flush_later();
  written write_plain();
  written write_cipher();
  ssize_t send_pieces_now() const;
  written send_pieces(std::size_t& count);
  void took(std::size_t count);
  void tell_room();
  void wait_writable();

  // Time and end
  void arm_timer();
  void on_timer();
  void on_peer_gone(failure why);
  void linger();
  void go_down();
  void report(failure why);

  setup with_;
  int fd_; ///< of `descriptor_`, until that is closed
  boost::asio::posix::basic_stream_descriptor<io_core::executor> descriptor_;
  boost::asio::steady_timer timer_;
  step step_ = step::tls;
  link_state state_;
  hello peer_;
  frame_parser parser_{limits::hello_size_bytes_max};
  std::vector<frame> early_; ///< complete before `start`
  receiver to_;
  std::optional<failure> closed_why_; ///< not yet told to the receiver
  std::optional<failure> goodbye_;    ///< the peer's last word
  bool established_ = false;          ///< `done` was given a connection
  bool write_shut_ = false;           ///< all is sent, the peer was told
  std::size_t discarded_ = 0;         ///< bytes read while lingering

  send_queue queue_;
  std::mutex write_mutex_;       ///< held by who takes from the queue and writes, and to close the socket
  bool open_to_writers_ = false; ///< guarded by it
  std::atomic<bool> written_elsewhere_{false}; ///< since the last tick
  std::vector<std::string_view> pieces_;       ///< guarded by the mutex, like what is behind them
  std::size_t cipher_written_ = 0;             ///< gone from tls->output()
  std::size_t cipher_plain_ = 0;               ///< bytes of the queue that output() stands for
  bool reading_ = false;                       ///< a wait for reading is out
  bool write_blocked_ = false;                 ///< a wait for writing is out
  bool in_read_ = false;
  bool wants_flush_ = false; ///< at the end of the read
  bool pong_queued_ = false;
  bool room_untold_ = false; ///< there is room again, and nobody to tell yet
};

/// What users hold. Destroying it closes the link.
class socket_connection final : public connection {
public:
  explicit socket_connection(std::shared_ptr<socket_link> link) : link_(std::move(link)) {}
  ~socket_connection() override;

  const hello& peer() const override { return link_->peer(); }
  void start(receiver to) override { link_->request_start(std::move(to)); }
  result<void> send(std::vector<frame> frames) override { return link_->send(frames); }
  void close(failure why) override { link_->request_close(std::move(why)); }

private:
  std::shared_ptr<socket_link> link_;
};

} // namespace sluice::link
