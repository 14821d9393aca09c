#pragma once

#include "transport/http/answer_gate.hpp"
#include "transport/http/channel.hpp"
#include "transport/http/environment.hpp"
#include "transport/http/out_queue.hpp"
#include "transport/http/request_reader.hpp"
#include "transport/http/timer_wheel.hpp"
#include "transport/http/worker.hpp"

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

class send_window;
class server_exchange;

/// One client's connection: requests in, answers out, one request at a time; bytes of the next are
/// kept. On its worker's thread, all of it but `answer_at_once`.
///
///            bytes              head read           body read
///   idle ──1──────────► head ──2──────────► body ──3──────────► handling
///    ▲                    │ no body: 4 ───────────────────────────▲  │
///    └────────────────────┴───────── 5: the answer's end ────────────┘
///
///   6: refused, or the answer was the last ─► closing (when all is sent) ─► lingering ─► closed
///   8: upgraded: handling ─► websocket ─► lingering, when both sides have said that they are done
///   7: client gone, too slow, stop ─► closed, from anywhere; handshake (TLS) comes before idle
class connection : public std::enable_shared_from_this<connection>, public link::late_waiter {
public:
  connection(worker& home, int fd, const client_key& key, std::string client);
  ~connection() override;

  void start();
  /// Part of an answer, or its end. After some of these `pump`.
  void deliver(delivery& what);
  /// Any thread but the connection's: the whole answer, written from here if the gate is open.
  void answer_at_once(delivery what);
  /// Sends what there is and reads on.
  void pump();
  void close_if_idle();
  void close_if_streaming();
  void on_deadline();
  void close();
  void begin_wait() override;

  worker& home() noexcept { return *home_; }
  /// The handler is running: what it delivers is taken at once.
  bool dispatching() const noexcept { return dispatching_; }
  static connection& of(timer_wheel::entry& timer) noexcept;

private:
  struct owned_timer : timer_wheel::entry {
    explicit owned_timer(connection& owner) : owner(owner) {}
    connection& owner;
  };

  enum class phase { handshake, idle, head, body, handling, websocket, lingering, closed };
  using time_point = std::chrono::steady_clock::time_point;

  void on_readable();
  bool shake_hands();
  void read_some();
  void on_end_of_input();
  void watch_for_reset();
  void settle_end_of_input();
  void end_if_drained();
  void consume(std::string_view bytes);
  std::size_t consume_requests(std::string_view bytes);

  // connection_request.cpp
  void begin_request(bool body_at_hand);
  void begin_refused();
  bool turned_away(bool has_body);
  void allow_origin(const ingress::head_decision& decision, const request& head);
  void dispatch();
  void refuse(const refusal& why);
  std::string allowed_methods();
  void answer_without_handler(response answer);
  void after_answer(time_point at);
  void log_answered();
  void log(time_point until);

  // connection_websocket.cpp
  struct websocket_state;
  struct websocket_deleter {
    void operator()(websocket_state* state) const noexcept;
  };
  void open_websocket(delivery& what);
  void deliver_websocket(delivery& what);
  std::size_t read_websocket(std::string_view bytes);
  bool websocket_is_full() const noexcept;
  void queue_frame(std::string frame);
  void begin_close(std::uint16_t code, std::string_view reason);
  void say_going_away();
  void end_websocket(std::uint16_t code, std::string_view reason);
  void report_close(std::uint16_t code, std::string_view reason);
  void on_websocket_deadline();
  template <class Call>
  void tell_session(Call call);

  void flush();
  void write_out();
  void on_sent(std::size_t bytes);
  void count_answer_bytes();
  void on_all_sent();
  void wait_readable();
  void wait_writable();
  bool reading_paused() const noexcept;
  time_point write_deadline() const;
  void set_deadline(time_point when);
  void update_timer();

  const server_limits& within() noexcept { return home_->shared().options.limits; }

  std::shared_ptr<worker> home_;
  client_key key_;
  std::string client_;
  std::optional<channel> channel_;
  boost::asio::posix::basic_stream_descriptor<link::io_core::executor> watch_;
  owned_timer timer_;
  phase phase_ = phase::idle;
  bool waiting_readable_ = false;
  bool waiting_writable_ = false;
  bool input_ended_ = false;
  bool closing_ = false;
  bool dispatching_ = false;
  bool read_cut_ = false; ///< there may be more to read, of which the socket does not tell
  std::uint32_t requests_ = 0;

  request_reader reader_;
  std::string in_; ///< came in and is not consumed
  std::size_t discarded_ = 0;
  time_point deadline_ = timer_wheel::never; ///< of the phase

  // The request at hand.
  std::uint64_t call_ = 0;
  time_point body_began_;
  std::size_t body_received_ = 0;
  time_point call_began_;
  std::chrono::milliseconds timeout_{0};
  time_point call_deadline_;
  answer_form form_;
  std::shared_ptr<const void> route_;
  std::weak_ptr<server_exchange> exchange_;
  std::string_view logged_method_; ///< static
  std::string logged_path_;
  std::shared_ptr<const std::string> processor_; ///< "flow/processor", for the log
  std::uint64_t replica_ = 0;                    ///< that answered, likewise
  std::uint32_t attempts_ = 0;
  unsigned status_ = 0;
  std::uint64_t answer_bytes_ = 0;
  std::optional<time_point> answered_at_; ///< and not logged yet
  bool is_answer_late_ = false;           ///< its client did not take it at once

  answer_gate gate_;
  out_queue out_;
  std::weak_ptr<send_window> window_; ///< of who streams
  std::size_t counted_bytes_ = 0;     ///< of `out_`, as the server's sum has them
  std::size_t before_stream_ = 0;     ///< bytes of earlier answers that go before it
  std::optional<time_point> blocked_since_;
  std::size_t sent_since_ = 0;

  std::size_t message_bytes_max_ = 0; ///< of a WebSocket
  std::unique_ptr<websocket_state, websocket_deleter> websocket_;
};

} // namespace sluice::http
