#pragma once

#include "tests/support/fake_http_handler.hpp"
#include "tests/support/http_client.hpp"
#include "transport/http/server.hpp"
#include "transport/link/io_thread.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::http::testing {

using namespace std::chrono_literals;
using sluice::testing::client_answer;
using sluice::testing::fake_http_handler;
using sluice::testing::handover;
using sluice::testing::http_client;

/// One server on a free port, and what its handler is told to do. Its first thread is that of links, its second its own.
struct http_fixture {
  fake_http_handler handler = {};
  link::io_thread io = {};
  server_options options = {.threads = 2, .io = io.core()};
  std::unique_ptr<server> running = {};

  server& start() {
    auto started = server::start(options, handler);
    REQUIRE(started);
    running = std::move(*started);
    return *running;
  }
  std::uint16_t port() {
    if (!running)
      start();
    return running->ports().front();
  }
  http_client connect(int receive_buffer_bytes = 0) {
    http_client made{port(), receive_buffer_bytes};
    REQUIRE(made.connected());
    return made;
  }
  /// Hands each request to the test, which answers it from its own thread.
  void hold(handover<exchange_ptr>& calls) {
    handler.on_handle = [&calls](exchange_ptr call) { calls.put(std::move(call)); };
  }
};

inline std::string get(std::string_view path, std::string_view fields = {}) {
  return "GET " + std::string{path} + " HTTP/1.1\r\nHost: test\r\n" + std::string{fields} + "\r\n";
}

inline std::string post(std::string_view path, std::string_view body, std::string_view fields = {}) {
  return "POST " + std::string{path} + " HTTP/1.1\r\nHost: test\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n" + std::string{fields} + "\r\n" + std::string{body};
}

} // namespace sluice::http::testing
