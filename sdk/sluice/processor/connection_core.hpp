#pragma once

#include <sluice/async.hpp>
#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/answer.hpp>
#include <sluice/processor/connection_state.hpp>
#include <sluice/processor/request_body.hpp>
#include <sluice/processor/websocket_session.hpp>
#include <sluice/processor/writable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

/// Connections of one WebSocket processor in one replica, without the types of the user.
namespace sluice::processor {

class connection_core;
using connection_ptr = std::shared_ptr<connection_core>;

/// User code of one connection. Its functions are never called at the same time.
class connection_code {
public:
  virtual ~connection_code() = default;

  /// Throws what user code throws, and `websocket_error` for a message that is not what it takes.
  virtual void handle(connection_core& core, connection_event event) = 0;
  /// The same for a coroutine, which goes on at `where`. `done` is called there unless the coroutine is cancelled.
  virtual started handle_async(connection_ptr core, connection_event event, executor& where,
                               std::function<void(const std::exception_ptr&)> done) = 0;
};

/// All connections of one replica: how many there may be, and whose turn it is. Any thread.
class connection_set final : public connection_keeper, public std::enable_shared_from_this<connection_set> {
public:
  struct settings {
    failure_style style;
    std::uint32_t connections_max = 1;
    std::uint32_t num_concurrency = 1; ///< turns in user code at once
    bool is_async = false;
    /// Of one call of async code that is no stream which has begun; 0 = none. It ends where it stands up to an
    /// eighth later. Code that is not async cannot be ended: its host is.
    std::chrono::milliseconds timeout{0};
    /// That sync code waits in `send` for a client of its own which has too much to read: it has a thread others need.
    std::chrono::milliseconds send_timeout{0};
  };

  explicit connection_set(settings with) : settings_(std::move(with)) {}

  const settings& with() const noexcept { return settings_; }

  // connection_keeper
  void run_on(std::function<void(std::function<void()>)> run) override;
  connection_load load() const override;
  void drain(std::function<void()> idle) override;
  void dismiss(std::chrono::steady_clock::time_point now, std::uint64_t seed) override;

  /// Ends all at once (`restart`); user code is not told.
  void stop();

  // For connections.

  /// Fails if there are too many, or it drains.
  result<void> admit(const connection_ptr& which);
  void forget(const connection_core* which);
  std::uint64_t next_number();
  void schedule(connection_ptr which);
  void turn_done(bool is_message, bool has_failed);

private:
  /// When a client is told to go.
  struct goodbye {
    std::chrono::steady_clock::time_point at;
    std::weak_ptr<connection_core> to;
  };

  void run_turn(connection_ptr which);
  void plan_goodbyes(std::chrono::steady_clock::time_point now, std::uint64_t seed);

  const settings settings_;
  mutable std::mutex mutex_;
  std::function<void(std::function<void()>)> run_;
  std::unordered_map<const connection_core*, std::weak_ptr<connection_core>> all_;
  std::deque<connection_ptr> ready_; ///< wait for a turn
  std::uint32_t active_ = 0;
  std::uint64_t number_last_ = 0;
  std::uint64_t handled_total_ = 0;
  std::uint64_t failed_total_ = 0;
  bool is_draining_ = false;
  bool goodbyes_planned_ = false;
  std::deque<goodbye> goodbyes_; ///< by time
  std::function<void()> idle_;
};

/// One connection: what comes from the client waits here for user code, what user code sends goes out. Lives
/// as long as the transport or user code holds it. Any thread.
class connection_core final : public websocket_session, public std::enable_shared_from_this<connection_core> {
public:
  explicit connection_core(std::shared_ptr<connection_set> set) : set_(std::move(set)) {}
  ~connection_core() override;

  /// Before it is given to the transport.
  /// @param where of async code; null = sync
  void begin(request in, std::unique_ptr<connection_code> code, std::shared_ptr<executor> where);

  void on_open(websocket_ptr to) override;
  void on_message(std::string message, bool is_text) override;
  void on_close(std::uint16_t code, std::string_view reason) override;

  void turn();
  void drain();
  void stop();

  // What user code may do.

  const request& opened_with() const noexcept { return request_; }
  const std::string& id() const noexcept { return id_; }
  /// False: nobody reads it. When too much waits for a slow client, it is closed; sync code inside a turn of its own
  /// waits for it first.
  bool send(std::string payload, bool is_text);
  /// With a code that may not be sent it is a failure of the program: logged, and `server_error` to the client.
  void close(std::uint16_t code, std::string_view reason);
  void join(std::string room);
  void leave(std::string room);
  void broadcast(room_cast what);
  std::size_t waiting_bytes() const;
  void when_writable(std::function<void()> resume);

  /// The call at hand has begun to send values as they come: only its client ends it. On its executor.
  void note_stream() noexcept { is_streaming_ = true; }

private:
  struct turn_size {
    std::size_t cost = 0;
    bool is_message = false;
  };

  websocket_ptr way() const;
  bool has_room() const;
  /// Asks for a turn if there is something to do.
  /// @param was_resumed by `when_writable`
  void look(bool was_resumed = false);
  void run_code(connection_event event);
  void run_coroutine(connection_event event);
  void finish_turn(turn_size size, const std::exception_ptr& thrown);
  void fail(const std::exception_ptr& thrown);
  std::string internal_error() const; ///< what the client is told instead of what the logs have
  void cancel_running();
  void watch_time();
  void on_time();

  const std::shared_ptr<connection_set> set_;
  request request_;
  std::string id_;
  std::shared_ptr<executor> where_;

  mutable std::mutex mutex_;
  connection_state state_;
  websocket_ptr way_;
  std::unique_ptr<connection_code> code_;
  // Of a coroutine; used on `where_` only.
  std::optional<std::pair<started, turn_size>> running_;
  int looks_ = 0; ///< at the clock, since it began
  bool is_streaming_ = false;
  bool is_watched_ = false;

  bool is_scheduled_ = false;
  bool waits_for_room_ = false;
};

/// Only to be awaited: goes on when the client has room again, or reads no more.
using connection_room = writable_awaiter<connection_core>;

} // namespace sluice::processor
