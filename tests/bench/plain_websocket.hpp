#pragma once

// What `tests/bench/websocket.cpp` compares with: Beast's WebSocket, with an echo and a room by hand.

#include "tests/bench/plain_servers.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/beast/websocket.hpp>

#include <algorithm>
#include <deque>
#include <mutex>

namespace bench {

class beast_websocket : public std::enable_shared_from_this<beast_websocket> {
public:
  explicit beast_websocket(tcp::socket&& socket) : stream_(std::move(socket)) {}

  void read() {
    beast::http::async_read(stream_.next_layer(), buffer_, request_,
                            [self = shared_from_this()](beast::error_code failed, std::size_t) {
                              if (!failed)
                                self->accept();
                            });
  }

private:
  using message = std::shared_ptr<const std::string>;

  /// Everybody in it, whichever thread serves them.
  struct room {
    std::mutex mutex;
    std::vector<std::shared_ptr<beast_websocket>> members;
  };
  static room& the_room() {
    static room one;
    return one;
  }

  void accept() {
    is_member_ = request_.target() == "/room";
    stream_.async_accept(request_, [self = shared_from_this()](beast::error_code failed) {
      if (failed)
        return;
      if (self->is_member_) {
        std::lock_guard lock{the_room().mutex};
        the_room().members.push_back(self);
      }
      self->next();
    });
  }

  void next() {
    buffer_.clear();
    stream_.async_read(buffer_, [self = shared_from_this()](beast::error_code failed, std::size_t) {
      if (failed)
        return self->leave();
      self->take(beast::buffers_to_string(self->buffer_.data()));
      self->next();
    });
  }

  void take(std::string text) {
    if (!is_member_) {
      if (auto echoed = echo_by_hand(text))
        send(std::make_shared<const std::string>(std::move(*echoed)));
      return;
    }
    auto shared = std::make_shared<const std::string>(std::move(text));
    std::lock_guard lock{the_room().mutex};
    for (const auto& each : the_room().members)
      each->send(shared);
  }

  void leave() {
    std::lock_guard lock{the_room().mutex};
    std::erase(the_room().members, shared_from_this());
  }

  /// From any thread.
  void send(message text) {
    asio::dispatch(stream_.get_executor(), [self = shared_from_this(), text = std::move(text)]() mutable {
      self->waiting_.push_back(std::move(text));
      if (self->waiting_.size() == 1)
        self->write();
    });
  }

  void write() {
    stream_.text(true);
    stream_.async_write(asio::buffer(*waiting_.front()),
                        [self = shared_from_this()](beast::error_code failed, std::size_t) {
                          if (failed)
                            return;
                          self->waiting_.pop_front();
                          if (!self->waiting_.empty())
                            self->write();
                        });
  }

  beast::websocket::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::string_body> request_;
  bool is_member_ = false;
  std::deque<message> waiting_;
};

} // namespace bench
