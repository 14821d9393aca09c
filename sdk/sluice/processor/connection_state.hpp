#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace sluice::processor {

/// Something that user code is told of one connection.
struct connection_event {
  enum class kind : std::uint8_t { open, message, close };

  kind what = kind::open;
  std::string payload = {};
  bool is_text = true;
};

/// The order of what happens on one connection. Pure; who calls it locks.
///
/// ```
///            (1) open                   (3) this side closes, or (4) drained
///  made ─────────────▶ open ───────────────────────────────────▶ closing
///    │                  │ (2) the client goes                      │ (2)
///    │ (2)              ▼                                          ▼
///    └──────────────▶ ended ◀──────────────────────────────────────┘
/// ```
///
/// User code is given one event at a time: open, the messages as they came, close. What has come is
/// handled, unless this side closes: then it is dropped. While it drains nothing more is taken; when all that was
/// has been handled it says good-bye. Close is told if open was.
class connection_state {
public:
  void open();
  /// Returns false if the message is not wanted: nobody will handle it.
  bool message(std::string payload, bool is_text);
  /// The connection has ended, whoever ended it.
  void end();
  /// This side ends it. Returns the cost (`websocket_message_cost`) of the messages that are dropped.
  std::size_t close();
  void drain();

  /// There is something for user code, which is not busy.
  bool is_ready() const noexcept;
  /// The same, were it not for messages: they wait while the client reads slowly.
  bool is_ready_without_room() const noexcept;
  /// The next event. User code is busy until `done`. @pre is_ready()
  connection_event next();
  void done() noexcept { is_busy_ = false; }

  /// True once: all that came before the drain is done, and the client is to be told.
  bool take_goodbye() noexcept;
  /// User code has heard all.
  bool is_over() const noexcept { return has_ended_ && !is_busy_ && events_.empty(); }
  bool has_ended() const noexcept { return has_ended_; }
  bool is_closing() const noexcept { return is_closing_; }
  bool is_busy() const noexcept { return is_busy_; }

private:
  std::size_t drop_messages();

  std::deque<connection_event> events_;
  bool is_open_ = false; ///< open has been queued
  bool is_busy_ = false;
  bool is_closing_ = false; ///< this side has said that it ends
  bool is_draining_ = false;
  bool has_ended_ = false;
};

} // namespace sluice::processor
