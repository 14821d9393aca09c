#pragma once

#include <sluice/core/executor.hpp>
#include <sluice/core/ids.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/body.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

class websocket_session;

/// What a collector made of one request, for the queue that is its sink.
struct queue_results {
  queue_name queue;
  record_block records;          ///< not empty
  std::string key;               ///< the client's Idempotency-Key; empty = it has none
  std::uint64_t fingerprint = 0; ///< of its request, if it has a key
};

/// One HTTP request on its way to user code, and the way back of its answer.
///
/// Whoever holds it last ends it with exactly one of `respond`, `refuse`, `collect`, or `begin` …
/// `finish`. One that is dropped before that was lost with who held it: it is given to another
/// replica if that is harmless, else the client gets 502. All functions may be called from any thread,
/// never block and never throw; what comes after the end is ignored.
///
/// Implemented by the HTTP server (the client's connection), by the router (which counts and
/// re-routes) and by the link to another process.
class exchange {
public:
  explicit exchange(request in, std::chrono::steady_clock::time_point deadline)
    : in(std::move(in)), deadline(deadline) {}
  virtual ~exchange() = default;
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  /// Its parts may be moved away once user code begins with it, not before.
  request in;
  /// After this the client has its 504 and the answer is dropped. Ends with `begin`.
  std::chrono::steady_clock::time_point deadline;
  /// Of a collector's request with an Idempotency-Key, before user code could change it: tells whether another one with
  /// the key repeats it. 0 = it has no key.
  std::uint64_t fingerprint = 0;
  /// Set by the implementations: what the answer began with (0 = not yet), and whether by `begin`.
  std::atomic<std::uint16_t> status{0};
  std::atomic<bool> is_streaming{false};
  /// Set by who brings it: wants to hear of `handed_to_sink`.
  bool wants_sink_notice = false;

  /// Of a collector: user code is done with it and free for the next one; the answer comes when the sink has the results.
  virtual void handed_to_sink() noexcept {}

  /// Ends it for whoever holds it, of a collector whose sink is a queue: user code is done with it, and who has the client brings the
  /// results to the queue and answers. One that does not know how is lost.
  virtual void collect(queue_results results) noexcept { static_cast<void>(results); }

  virtual void respond(response answer) noexcept = 0;

  /// User code has not begun and will not: the request may be given to somebody else,
  /// whatever its method. `overloaded` = full, `shutting_down` = draining, `unavailable` = gone.
  virtual void refuse(failure why) noexcept = 0;

  /// Starts an answer of unknown length: status and headers now, `head.body` as its first
  /// part, the rest by `write`.
  virtual void begin(response head) noexcept = 0;
  /// Returns false when nobody reads any more: the client has gone or is too slow.
  virtual bool write(std::string part) noexcept = 0;
  /// What was written and the client has not taken. Above `stream_window_bytes` the writer waits.
  virtual std::size_t waiting_bytes() const noexcept = 0;
  /// Calls `resume` once, as soon as there is room again or nobody reads any more.
  virtual void when_writable(std::function<void()> resume) noexcept = 0;
  virtual void finish() noexcept = 0;

  /// Ends the exchange by accepting the WebSocket that the request asks for: the client gets 101,
  /// `session` (no null) what happens from then on. Returns false if it asks for none or is over:
  /// `session` hears nothing then.
  virtual bool upgrade(std::shared_ptr<websocket_session> session) noexcept {
    static_cast<void>(session);
    return false;
  }

  /// Calls `stop` at most once, if the client goes or the deadline passes before the end. At
  /// once if that is so already.
  virtual void when_cancelled(std::function<void()> stop) noexcept = 0;
};

using exchange_ptr = std::shared_ptr<exchange>;

/// Written and not taken parts of a streamed answer, per exchange, until the writer waits.
constexpr std::size_t stream_window_bytes = 256u << 10;

/// What became of the connections of a WebSocket processor since its replica started.
struct connection_load {
  std::uint32_t open = 0;
  std::uint64_t handled_total = 0; ///< messages
  std::uint64_t failed_total = 0;
};

/// The connections that a body has accepted: they outlive the requests that opened them. Any thread.
class connection_keeper {
public:
  virtual ~connection_keeper() = default;

  /// Sync bodies: where user code is called when something happens on a connection. Before the first request; `run`
  /// never runs what it is given at once.
  virtual void run_on(std::function<void(std::function<void()>)> run) = 0;

  virtual connection_load load() const = 0;

  /// Takes no more connections. Those that are there go on until `dismiss` comes to them. Calls `idle` once when none is
  /// left.
  virtual void drain(std::function<void()> idle) = 0;

  /// Once it drains, now and then: lets user code end what has come in from the clients whose moment has come, then
  /// tells them to go (`going_away`). The first call begins the time over which they are spread (`goodbye_policy`).
  virtual void dismiss(std::chrono::steady_clock::time_point now, std::uint64_t seed) = 0;
};

/// User code behind one endpoint, collector or WebSocket with the types rubbed off.
///
/// Made, set up, used and torn down by one replica. A sync body is called from up to
/// `num_concurrency` threads at once, an async body only from its executor. User exceptions become
/// answers, never leave it.
class request_body {
public:
  virtual ~request_body() = default;

  virtual result<void> setup() { return {}; }
  virtual result<void> teardown() { return {}; }

  virtual bool is_async() const noexcept { return false; }

  /// None, but for a WebSocket processor. Lives as long as this.
  virtual connection_keeper* connections() noexcept { return nullptr; }

  /// Endpoint: reads the request, calls the user's function, ends the exchange. May block for as
  /// long as the user's code does.
  ///
  /// Collector: calls the user's function with its results encoded into `results` (empty on entry)
  /// and does not end the exchange unless the request is refused or fails; returns whether the results
  /// are to go to the sink, after which the replica answers.
  ///
  /// WebSocket: accepts the connection, or refuses it. What happens on it comes later.
  virtual bool handle(const exchange_ptr& call, encoded_results& results) = 0;

  /// The same for a coroutine. Called on `where`; `done(bool)` is called exactly once, on `where`.
  /// `results` outlives it.
  virtual void handle_async(const exchange_ptr& call, encoded_results& results, executor& where,
                            std::function<void(bool)> done) = 0;
};

using request_body_factory = std::function<std::unique_ptr<request_body>()>;

/// Makes the user code of a processor: of one that takes records, or requests.
using processor_code = std::variant<body_factory, request_body_factory>;

} // namespace sluice
