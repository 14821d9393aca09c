#pragma once

#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace sluice::http {

/// How a request to another server is sent. Set by name: `{.timeout = 2s}`.
struct client_options {
  sluice::headers headers = {};
  std::chrono::milliseconds timeout{30'000}; ///< from the call to the last byte of the answer
  std::size_t body_bytes_max = 16u << 20;    ///< of the answer; a longer one is an error
};

/// A request to another server.
struct client_request {
  sluice::method method = sluice::method::get;
  std::string url; ///< http:// or https://, with what the server gets encoded already
  std::string body = {};
  client_options options = {};
};

/// A request that is under way.
class client_call {
public:
  virtual ~client_call() = default;
  /// Nobody needs the answer: cuts the connection. Any thread; safe to repeat and after the end.
  virtual void cancel() noexcept = 0;
};

/// Sends requests to other servers, for coroutines, on threads of its own. Implemented in `transport/http`.
class client_port {
public:
  virtual ~client_port() = default;

  /// Never blocks. Fails with `overloaded` when too many calls wait; otherwise `done` is called once from a thread of
  /// the client, one at a time for all calls; it must not block. It gets `invalid_argument` if the request cannot
  /// be sent, `unavailable` for no answer, `timeout`, `overloaded` for an answer that is too long, `cancelled`.
  virtual result<std::shared_ptr<client_call>> start(client_request what,
                                                     std::function<void(result<response>)> done) = 0;
};

} // namespace sluice::http
