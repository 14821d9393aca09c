#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace sluice::link {

/// Work that the leader of a `led_loop` does once the turn that brought it is over, and so is inside nothing of the loop.
class after_turn {
public:
  virtual ~after_turn() = default;
  /// Should be short; if it is not, the loop goes on without this thread.
  virtual void run_after_turn() = 0;
};

/// A loop, and two threads of which one leads it while the other stands by: Leader/Followers (Schmidt and others, POSA 2), with
/// the change of leaders put off until it is needed.
///
/// A turn may bring work that will be quick by all that is known. To wake another thread costs more than such work
/// does, so the leader does it itself. Should it be at the same piece still a whole `tick` later, the other thread leads on
/// from there, and who comes out of the work stands by. So a loop stands still for two ticks at most; while all goes well they grow to
/// eight times the length, for looking costs, too.
class led_loop {
public:
  static constexpr std::chrono::milliseconds tick{1};

  /// Starts the first thread. The other one starts with the first work that it would have to stand by for.
  /// @param name of both, at most 15 letters
  /// @param turn does one turn, false if it was the last. By whoever leads, one turn after the other; perhaps once more after the last
  led_loop(const char* name, std::function<bool()> turn);
  /// @pre `join` has returned
  ~led_loop() = default;
  led_loop(const led_loop&) = delete;
  led_loop& operator=(const led_loop&) = delete;

  /// Returns after the last turn, with both threads ended; one that is in work that does not return is left to itself.
  /// Not by these threads. Once.
  void join();

  /// For a turn of any loop, on its thread: leaves one piece of work for after it. False if this thread is in no turn, if the turn
  /// has left one already, or if nobody stands by: then `what` must be done elsewhere.
  static bool leave(const std::shared_ptr<after_turn>& what);

private:
  struct shared;

  const std::shared_ptr<shared> shared_;
};

} // namespace sluice::link
