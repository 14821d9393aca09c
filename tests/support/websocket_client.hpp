#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sluice::testing {

/// Beast's WebSocket client on loopback: another implementation than ours. Every wait is bounded. One thread at a time.
class websocket_client {
  using stream_type = boost::beast::websocket::stream<boost::asio::ip::tcp::socket>;
  using error_code = boost::beast::error_code;

public:
  /// Connects and opens; `status` says how that went.
  websocket_client(std::uint16_t port, const std::string& target) {
    namespace websocket = boost::beast::websocket;
    error_code error;
    stream_->next_layer().connect({boost::asio::ip::address_v4::loopback(), port}, error);
    if (error)
      return;
    stream_->next_layer().set_option(boost::asio::ip::tcp::no_delay{true});
    websocket::response_type answer;
    wait([&](auto done) { stream_->async_handshake(answer, "localhost", target, std::move(done)); });
    status_ = answer.result_int();
  }
  websocket_client(websocket_client&&) = default;
  websocket_client& operator=(websocket_client&&) = default;

  /// Of the answer; 101 = open, 0 = none came.
  unsigned status() const noexcept { return status_; }
  bool is_open() const { return stream_->is_open(); }

  bool send(const std::string& message, bool is_text = true) {
    stream_->text(is_text);
    return wait([&](auto done) { stream_->async_write(boost::asio::buffer(message), std::move(done)); });
  }

  /// The next message; none if the connection has ended, or nothing came for long.
  std::optional<std::string> read() {
    boost::beast::flat_buffer buffer;
    if (!wait([&](auto done) { stream_->async_read(buffer, std::move(done)); }))
      return std::nullopt;
    return boost::beast::buffers_to_string(buffer.data());
  }
  /// Reads until a message is this one. False if it does not come.
  bool read_until(const std::string& wanted) {
    for (;;) {
      auto got = read();
      if (!got || *got == wanted)
        return got.has_value();
    }
  }
  /// Reads to the end; the code that the server gave, 0 = none.
  std::uint16_t read_to_close() {
    while (read()) {
    }
    return stream_->reason().code;
  }
  std::string close_reason() const {
    return {stream_->reason().reason.data(), stream_->reason().reason.size()};
  }

  void close(std::uint16_t code = 1000) {
    wait(
      [&](auto done) { stream_->async_close(boost::beast::websocket::close_code{code}, std::move(done)); });
  }
  /// Goes without a word.
  void vanish() {
    error_code ignored;
    stream_->next_layer().close(ignored);
  }

private:
  template <class Start>
  bool wait(Start start) {
    std::optional<error_code> outcome;
    start([&](error_code error, auto...) { outcome = error; });
    io_->restart();
    io_->run_for(std::chrono::seconds{30});
    if (!outcome) {
      vanish();
      io_->restart();
      io_->run();
      return false;
    }
    return !*outcome;
  }

  std::unique_ptr<boost::asio::io_context> io_ = std::make_unique<boost::asio::io_context>(1);
  std::unique_ptr<stream_type> stream_ = std::make_unique<stream_type>(*io_);
  unsigned status_ = 0;
};

} // namespace sluice::testing
