#pragma once

// What `tests/bench/http.cpp` compares with, and a base of what `websocket.cpp` does: servers that do the same work by hand, each in a process of its own.
// `/collect` answers when its row is stored.

#include "tests/bench/row_store.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <httplib.h>

#include <cstdint>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

inline constexpr std::string_view noop_text = "hello, world";

/// The typed echo as one would write it with Boost.JSON: every member is checked.
inline std::optional<std::string> echo_by_hand(std::string_view body) {
  boost::system::error_code failed;
  const auto value = boost::json::parse({body.data(), body.size()}, failed);
  const auto* members = failed ? nullptr : value.if_object();
  const auto* id = members != nullptr ? members->if_contains("id") : nullptr;
  const auto* amount = members != nullptr ? members->if_contains("amount") : nullptr;
  const auto* count = members != nullptr ? members->if_contains("count") : nullptr;
  if (id == nullptr || amount == nullptr || count == nullptr || !id->is_string() || !amount->is_number()
      || !count->is_int64())
    return std::nullopt;
  boost::json::object out;
  out["id"] = id->as_string();
  out["amount"] = amount->to_number<double>();
  out["count"] = count->as_int64();
  return boost::json::serialize(out);
}

/// Where `/collect` stores. Set before a server of this process serves it.
inline std::unique_ptr<row_store> rows;

/// Says where it listens, to the process that started this one.
inline void tell_port(int port) {
  std::printf("%d\n", port);
  std::fflush(stdout);
}

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

class beast_session : public std::enable_shared_from_this<beast_session> {
public:
  explicit beast_session(tcp::socket&& socket) : stream_(std::move(socket)) {}
  void read() {
    request_ = {};
    beast::http::async_read(stream_, buffer_, request_,
                            [self = shared_from_this()](beast::error_code failed, std::size_t) {
                              if (!failed)
                                self->answer();
                            });
  }

private:
  void answer() {
    answer_ = {beast::http::status::ok, request_.version()};
    answer_.set(beast::http::field::server, "beast");
    answer_.keep_alive(request_.keep_alive());
    if (request_.target() == "/noop") {
      answer_.set(beast::http::field::content_type, "text/plain");
      answer_.body() = noop_text;
      return write();
    }
    answer_.set(beast::http::field::content_type, "application/json");
    auto echoed = echo_by_hand(request_.body());
    if (!echoed)
      answer_.result(beast::http::status::bad_request);
    else if (request_.target() == "/echo")
      answer_.body() = *echoed;
    else
      return collect(std::move(*echoed));
    write();
  }

  void collect(std::string row) {
    rows->add(std::move(row), [self = shared_from_this()](bool stored) {
      asio::post(self->stream_.get_executor(), [self, stored] {
        if (!stored)
          self->answer_.result(beast::http::status::service_unavailable);
        self->answer_.body() = stored ? "{\"success\":true}" : "{\"success\":false}";
        self->write();
      });
    });
  }

  void write() {
    answer_.prepare_payload();
    beast::http::async_write(stream_, answer_,
                             [self = shared_from_this()](beast::error_code failed, std::size_t) {
                               if (!failed)
                                 self->read();
                             });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::string_body> request_;
  beast::http::response<beast::http::string_body> answer_;
};

/// One io_context for each thread, connections dealt out in turn: faster than strands on a common one.
/// @tparam Session made from a socket, by shared pointer; `read` begins it
template <class Session>
class beast_server {
public:
  explicit beast_server(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i)
      contexts_.push_back(std::make_unique<asio::io_context>(1));
    acceptor_.emplace(*contexts_[0], tcp::endpoint{asio::ip::address_v4::loopback(), 0});
    acceptor_->listen(4096);
    accept();
  }

  [[noreturn]] void run() {
    tell_port(acceptor_->local_endpoint().port());
    std::vector<std::thread> threads;
    for (auto& context : contexts_)
      threads.emplace_back([&context] {
        auto guard = asio::make_work_guard(*context);
        context->run();
      });
    for (auto& each : threads)
      each.join();
    std::abort(); // they never end
  }

private:
  void accept() {
    auto& where = *contexts_[next_++ % contexts_.size()];
    acceptor_->async_accept(where, [this, &where](beast::error_code failed, tcp::socket socket) {
      if (failed)
        return;
      socket.set_option(tcp::no_delay{true});
      asio::post(where, [session = std::make_shared<Session>(std::move(socket))] { session->read(); });
      accept();
    });
  }

  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::optional<tcp::acceptor> acceptor_;
  std::size_t next_ = 0;
};

inline int serve_httplib() {
  httplib::Server server;
  server.set_keep_alive_max_count(1u << 30);
  server.set_keep_alive_timeout(60);
  server.set_tcp_nodelay(true);
  int listening = -1;
  server.set_socket_options([&listening](int socket) { listening = socket; });
  // As many threads as connections are measured at most: its threads belong to connections.
  server.new_task_queue = [] { return new httplib::ThreadPool(1100); };
  server.Get("/noop", [](const httplib::Request&, httplib::Response& out) {
    out.set_content(std::string{noop_text}, "text/plain");
  });
  auto echo = [](const httplib::Request& in, httplib::Response& out) {
    auto echoed = echo_by_hand(in.body);
    if (!echoed)
      out.status = 400;
    else
      out.set_content(*echoed, "application/json");
  };
  auto collect = [](const httplib::Request& in, httplib::Response& out) {
    auto echoed = echo_by_hand(in.body);
    if (!echoed) {
      out.status = 400;
      return;
    }
    auto stored = std::make_shared<std::promise<bool>>();
    rows->add(std::move(*echoed), [stored](bool is_stored) { stored->set_value(is_stored); });
    if (stored->get_future().get())
      out.set_content("{\"success\":true}", "application/json");
    else
      out.status = 503;
  };
  server.Post("/echo", echo);
  server.Post("/collect", collect);
  const auto port = server.bind_to_any_port("127.0.0.1");
  // It listens with a backlog of 5: a thousand clients at once would measure the repeated SYNs of the kernel.
  if (port < 0 || ::listen(listening, 4096) != 0)
    return 1;
  tell_port(port);
  return server.listen_after_bind() ? 0 : 1;
}

} // namespace bench
