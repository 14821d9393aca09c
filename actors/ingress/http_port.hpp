#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/processor/request_body.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::ingress {

/// What becomes of a request of which the head has been read: how its body is taken and how
/// long it may last, or the answer that it gets at once.
struct head_decision {
  /// Sent as it is; nobody handles the request. If it has a body the connection closes, as
  /// that is not read. For 404, 405, 429, OPTIONS.
  std::optional<response> answer = {};

  /// A longer body is 413, counted as it comes in. Read before the request is handled. Of a WebSocket: a longer
  /// message closes it with 1009.
  std::uint64_t body_bytes_max = limits::http_body_bytes_max_default;
  /// A body on GET, HEAD or DELETE is refused with 400 unless this is set.
  bool body_on_any_method = false;

  /// The route is a WebSocket's: a request that does not ask for one gets 426, one from a page of another
  /// site 403 unless `cors_origins` has it. `exchange::upgrade` accepts it.
  bool websocket = false;

  /// From the complete request on. The client has its 504 then, unless the answer has begun: from
  /// there on only the client's own slowness ends it. Reading the body has bounds of its own.
  std::chrono::milliseconds timeout = limits::http_request_timeout_default;

  /// Who may read answers, "*" = any; every answer to this request, errors and `answer` included,
  /// gets the fields for it. Null = no CORS. Preflights are answered by `answer`.
  std::shared_ptr<const std::vector<std::string>> cors_origins = {};

  /// How the server tells failures of this request: too long, no room, no answer in time, lost.
  error_form errors = error_form::plain;

  /// "flow/processor", for the access log; null = no route.
  std::shared_ptr<const std::string> processor = {};

  /// What the decider found, for `handle`: the route need not be looked up twice.
  std::shared_ptr<const void> route = {};
};

/// An exchange of the HTTP server, told by the router which replica has it: for the access log. Any thread.
class client_exchange : public exchange {
public:
  using exchange::exchange;

  void given_to(replica_id replica) noexcept {
    replica_.store(replica.value, std::memory_order_relaxed);
    attempts_.fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t replica() const noexcept {
    return replica_.load(std::memory_order_relaxed);
  } ///< the last; 0 = none
  std::uint32_t attempts() const noexcept {
    return attempts_.load(std::memory_order_relaxed);
  } ///< replicas so far

private:
  std::atomic<std::uint64_t> replica_{0};
  std::atomic<std::uint32_t> attempts_{0};
};

/// Where the HTTP server's requests go. Implemented by the router, called by `transport/http` on
/// its threads, several at once; must not block. Outlives the server.
class http_handler {
public:
  virtual ~http_handler() = default;

  /// The head has passed the server's checks, the body has not been read. May fill
  /// `head.params`; whatever else it changes is changed for `handle` too. HEAD arrives as such here.
  virtual head_decision decide(request& head) = 0;

  /// The whole request. `route` is the decision's. HEAD has become GET: the server keeps the body of
  /// its answer to itself. One that is refused gets 503 with Retry-After, or 504 for `errc::timeout`.
  virtual void handle(exchange_ptr call, std::shared_ptr<const void> route) = 0;
};

} // namespace sluice::ingress
