#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace sluice::link {

/// How a loop's next wait will go, by its last ones: whether it is better to poll a moment than to sleep, and whether there is any use in
/// looking for more work before what one piece of it sends is let out. Pure; of the loop's thread.
///
/// To be woken costs a loop, and who wakes it, several times what one look does. So who waits for the answer to a lone request, which
/// takes some 20 µs in another process, should not sleep; a loop that has much to do should, as work
/// gathers meanwhile and others need the processor. Waits are predicted as branches are: a counter for each recent history of brief and
/// long ones (two-level adaptive prediction; Yeh and Patt, 1991), as a request and its answer make the one follow the other.
class loop_pace {
public:
  /// How long to poll; what comes later is slept for.
  static constexpr std::chrono::microseconds poll_max{50};
  /// The same for a wait that was slept through, with being woken and what it brought, which take 30 to 45 µs of it. Too much only makes some
  /// polls vain; too little, and no wait is ever brief.
  static constexpr std::chrono::microseconds brief_sleep_max{100};

  enum class wait : std::uint8_t { none, brief, lasting };

  /// A turn is over.
  /// @param waited for its first handler
  /// @param handlers that it ran
  void turned(wait waited, int handlers) noexcept {
    const bool is_lone = waited != wait::none && handlers == 1;
    lone_ = is_lone ? std::min(lone_ + 1, lone_max) : std::max(lone_ - lone_lost, 0);
    if (waited == wait::none)
      return;
    auto& sure = sure_[history_];
    if (waited == wait::lasting)
      sure /= 2;
    else if (sure < sure_max)
      ++sure;
    history_ = (history_ << 1 | (waited == wait::brief ? 1u : 0u)) % sure_.size();
  }

  /// One thing after the other has come in lately, with a wait between.
  bool is_lone() const noexcept { return lone_ >= lone_min; }

  /// The next wait will be brief.
  bool should_poll() const noexcept { return is_lone() && sure_[history_] >= sure_min; }

private:
  // A timer now and then does not end it, every tenth turn with company does.
  static constexpr int lone_min = 32;
  static constexpr int lone_max = 64;
  static constexpr int lone_lost = 16;
  // What a loop knows halves with each wait that lasts: it polls if four of five do not.
  static constexpr std::uint8_t sure_min = 8;
  static constexpr std::uint8_t sure_max = 15;

  std::array<std::uint8_t, 8> sure_{}; ///< by the last three waits
  unsigned history_ = 0;
  int lone_ = 0;
};

} // namespace sluice::link
