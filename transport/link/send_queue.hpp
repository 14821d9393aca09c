#pragma once

#include "transport/link/link.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::link {

/// Frames on their way out, as bytes. Any thread pushes; one thread, the writer, takes.
///
/// A short frame is copied behind the ones before it, so that many leave in one system
/// call; a long body is moved in and stays one piece. The lock is held for the copy
/// and for an exchange of two lists, never for a system call.
class send_queue {
public:
  /// `window_bytes`: bytes that may wait, headers included; for short frames a little more.
  explicit send_queue(std::size_t window_bytes) : window_bytes_(window_bytes) {}

  enum class outcome {
    queued, ///< the writer already knows
    wake,   ///< queued, and the caller must wake the writer
    full,   ///< nothing queued
    closed, ///< nothing queued
  };

  /// Queues all of the frames or none.
  outcome push(std::vector<frame>& frames);

  /// Queues one frame of the link itself, past the window. The caller bounds how many.
  void push_control(const frame& f);

  /// Refuses whatever is pushed from now on. What is queued stays.
  void close();

  /// Writer: the bytes to write next, at most `pieces_max` pieces and about
  /// `bytes_max` bytes, valid until `consume`. Empty means that nothing waits and the
  /// next push will answer `wake`.
  void peek(std::vector<std::string_view>& pieces, std::size_t pieces_max, std::size_t bytes_max);

  /// Writer: the first `count` bytes of what `peek` showed are out.
  /// Returns true when a refused pusher should hear that there is room again: once,
  /// when the queue has fallen to half.
  bool consume(std::size_t count);

  /// Writer: forgets everything queued and gives its memory back.
  void drop();

  /// Bytes that wait. Any thread.
  std::size_t waiting_bytes() const;

  /// Writer: gives back the memory kept for the next burst. For quiet moments.
  void trim();

private:
  struct piece {
    std::string bytes;
    bool gathers = true; ///< short frames may be appended; false for a moved body
  };

  std::string& gathering_piece(std::size_t extra_bytes);

  const std::size_t window_bytes_;
  mutable std::mutex mutex_;
  std::deque<piece> pushed_;       ///< not yet seen by the writer
  std::vector<std::string> spare_; ///< emptied pieces whose memory is used again
  std::size_t waiting_bytes_ = 0;  ///< pushed and not consumed
  bool writer_awake_ = false;
  bool refused_ = false; ///< a push was refused since there was room
  bool closed_ = false;

  std::deque<piece> writing_; ///< writer only
  std::size_t written_ = 0;   ///< writer only: bytes gone from writing_.front()
};

} // namespace sluice::link
