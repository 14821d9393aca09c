#pragma once

#include "transport/http/answer.hpp"
#include "transport/http/connection.hpp"
#include "transport/http/send_window.hpp"
#include "actors/ingress/http_port.hpp"

#include <sluice/processor/request_body.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace sluice::http {

/// The way back to a client. Made by its connection, which knows it weakly: the last who holds it
/// answers or drops it. Answers are put into wire form on the caller's thread, which also writes one that
/// is whole (`answer_gate`); the connection's thread sends the others.
class server_exchange final : public ingress::client_exchange {
public:
  server_exchange(std::shared_ptr<connection> to, std::uint64_t call, answer_form form, request in,
                  std::chrono::steady_clock::time_point deadline);
  ~server_exchange() override;

  void respond(response answer) noexcept override;
  void refuse(failure why) noexcept override;
  void begin(response head) noexcept override;
  bool write(std::string part) noexcept override;
  std::size_t waiting_bytes() const noexcept override { return window_.waiting(); }
  void when_writable(std::function<void()> resume) noexcept override {
    window_.when_writable(std::move(resume));
  }
  void finish() noexcept override;
  bool upgrade(std::shared_ptr<websocket_session> session) noexcept override;
  void when_cancelled(std::function<void()> stop) noexcept override;

  // For its connection.

  send_window& window() noexcept { return window_; }
  /// The deadline has passed: 504, unless the answer has begun.
  void expire(std::chrono::milliseconds timeout);
  /// The client does not read any more.
  void client_gone();
  /// The client will not send any more. That is how most clients go, and some wait for their answer: what is called off
  /// is told so, what is written all the same is sent. A stream goes on until the socket takes no more, but for events,
  /// whose readers never end their input alone.
  void input_ended();

private:
  enum class phase { open, begun, ended };

  bool move_on(phase from, phase to) noexcept { return phase_.compare_exchange_strong(from, to); }
  answer_form form_now() const;
  delivery addressed(delivery what) const;
  void send(delivery what);
  void end();
  void cancel();
  void call_off();

  std::shared_ptr<connection> to_;
  const std::uint64_t call_;
  answer_form form_;
  std::atomic<phase> phase_{phase::open};
  std::atomic<bool> sends_events_{false};
  send_window window_;
  std::mutex mutex_;
  std::function<void()> stop_;
  bool is_called_off_ = false; ///< before it began
};

} // namespace sluice::http
