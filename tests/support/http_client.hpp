#pragma once

#include <sluice/http/message.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::testing {

/// What a client read as one answer.
struct client_answer {
  unsigned status = 0; ///< 0: none came
  headers fields = {};
  std::string body = {};
  bool complete = false; ///< as its framing says

  std::string field(std::string_view name) const { return std::string{fields.find(name).value_or("")}; }
};

/// An HTTP client on loopback that speaks in bytes, so that it can misbehave. Every wait is bounded; one that
/// runs out shows as an incomplete answer. One thread at a time.
class http_client {
public:
  explicit http_client(std::uint16_t port, int receive_buffer_bytes = 0);
  ~http_client();
  http_client(http_client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), unread_(std::move(other.unread_)), ended_(other.ended_) {}
  http_client& operator=(http_client&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(unread_, other.unread_);
    std::swap(ended_, other.ended_);
    return *this;
  }

  bool connected() const noexcept { return fd_ >= 0; }
  /// False if the other side does not take it any more.
  bool send(std::string_view bytes);
  /// Half-closes: no more is sent, answers are still read.
  void end_of_input();
  void close();

  /// Reads one answer; `head_only` for one to HEAD. Skips 100 Continue.
  client_answer read(bool head_only = false);
  client_answer ask(std::string_view bytes, bool head_only = false) {
    send(bytes);
    return read(head_only);
  }
  /// Reads until the server closes; false if it does not in time. What came is in `unread`.
  bool closed_by_server();
  /// Waits for more bytes. False at the end, or if none came in time.
  bool receive(int wait_ms = 30000);
  std::string& unread() noexcept { return unread_; }

private:
  int fd_;
  std::string unread_;
  bool ended_ = false;
};

} // namespace sluice::testing
