#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

struct iovec;

namespace sluice::http {

/// Lets the thread that has made an answer write it to the client's socket itself. The connection's own thread is
/// then not waited for, and not even woken: it finds the note of it when it next has something to do. That saves
/// one hand-over between threads per request, which is most of what a request costs when there are few of them.
///
/// Open while one request is being handled, nothing else waits to be sent, and the socket is a plain one.
class answer_gate {
public:
  static constexpr std::uint64_t no_call = 0; ///< for which the gate is never open

  // On the connection's thread.

  /// @param fd stays open until `shut`
  void open(std::uint64_t call, int fd, bool has_input);
  void shut();
  /// There is something to do for that thread once the answer is out. Returns true if it is out, so that nobody will wake it.
  bool note_input();

  // Any thread.

  /// Writes what the socket takes of an answer, and calls `leave_note` with the count of its bytes and whether the
  /// connection's thread must be woken. Both are one step for `note_input` and `shut`.
  template <class LeaveNote>
  void write(std::uint64_t call, std::span<const iovec> pieces, LeaveNote leave_note) {
    std::lock_guard lock{mutex_};
    const auto sent = write_now(call, pieces);
    leave_note(sent, !is_out_ || has_input_);
  }

private:
  std::size_t write_now(std::uint64_t call, std::span<const iovec> pieces);

  std::mutex mutex_;
  std::uint64_t call_ = no_call; ///< of the request whose answer may be written
  int fd_ = -1;
  bool has_input_ = false;
  bool is_out_ = false; ///< the whole answer
};

} // namespace sluice::http
