#include "transport/link/led_loop.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

namespace sluice::link {

namespace {

constexpr int quiet_ticks_max = 16; ///< then who stands by sleeps until there is work again
constexpr int good_ticks_max =
  64; ///< with work that was never there for a whole one: then they become longer
constexpr auto long_tick = 8 * led_loop::tick;

} // namespace

/// Outlives the loop if work does not return.
struct led_loop::shared : std::enable_shared_from_this<shared> {
  enum class step : std::uint8_t { lead, stand_by, end };

  shared(const char* name, std::function<bool()> turn) : name(name), turn(std::move(turn)) {}

  void start(int index, step first) {
    threads[index] = std::thread{[self = shared_from_this(), index, first] {
      pthread_setname_np(pthread_self(), self->name);
      for (auto next = first; next != step::end;)
        next = next == step::lead ? self->lead(index) : self->stand_by();
    }};
  }

  void start_second() noexcept {
    try {
      if (!threads[1].joinable())
        start(1, step::stand_by);
    } catch (const std::system_error&) { // no more threads for this process now
    }
  }

  step lead(int index) {
    {
      std::lock_guard lock{mutex};
      leader = index;
    }
    for (bool goes_on = true; goes_on;) {
      current = this;
      goes_on = turn();
      current = nullptr;
      if (left && !do_what_is_left()) {
        is_away = false;
        return step::stand_by;
      }
    }
    std::lock_guard lock{mutex};
    is_over = true;
    changed.notify_all();
    return step::end;
  }

  /// False: the loop has another leader now.
  bool do_what_is_left() {
    auto work = std::exchange(left, nullptr);
    auto mine = at.fetch_add(1) + 1;
    look();
    work->run_after_turn();
    work.reset();
    return at.compare_exchange_strong(mine, mine + 1);
  }

  step stand_by() {
    std::unique_lock lock{mutex};
    stands_by = true;
    auto pause = tick;
    for (int quiet = 0, good = 0; !is_over;) {
      changed.wait(lock, [this] { return looks || is_over; });
      const auto before = at.load();
      changed.wait_for(lock, pause, [this] { return is_over; });
      auto now = at.load();
      if (now != before) {
        quiet = 0;
        if (++good == good_ticks_max && pause < long_tick) {
          good = 0;
          pause *= 2;
        }
      } else if (is_inside(now)) {
        stands_by = false;
        is_away = true;
        if (at.compare_exchange_strong(now, now + 1))
          return step::lead;
        is_away = false;
        stands_by = true;
      } else if (++quiet == quiet_ticks_max) {
        quiet = 0;
        looks = false;
        if (at != now)
          looks = true; // who began then has seen that this looked
      }
    }
    return step::end;
  }

  static bool is_inside(std::uint64_t at) { return at % 2 == 1; }

  void look() {
    if (looks)
      return;
    std::lock_guard lock{mutex};
    looks = true;
    changed.notify_all();
  }

  const char* const name;
  const std::function<bool()> turn;
  std::thread threads[2];             ///< the second one is the leader's to start
  std::shared_ptr<after_turn> left;   ///< the leader's
  std::atomic<std::uint64_t> at{0};   ///< counts begins and ends of work: odd = a leader is inside some
  std::atomic<bool> looks{false};     ///< who stands by looks at it each tick
  std::atomic<bool> stands_by{false}; ///< somebody does

  std::mutex mutex; ///< for waiting; `looks` is set under it
  std::condition_variable changed;
  bool is_over = false;
  int leader = 0;
  std::atomic<bool> is_away{false}; ///< who does not lead is inside work

  static thread_local shared* current; ///< that this thread is in a turn of
};

thread_local led_loop::shared* led_loop::shared::current = nullptr;

led_loop::led_loop(const char* name, std::function<bool()> turn)
  : shared_(std::make_shared<shared>(name, std::move(turn))) {
  shared_->start(0, shared::step::lead);
}

void led_loop::join() {
  int leader = 0;
  {
    std::unique_lock lock{shared_->mutex};
    shared_->changed.wait(lock, [this] { return shared_->is_over; });
    leader = shared_->leader;
  }
  for (int i = 0; i < 2; ++i) {
    auto& thread = shared_->threads[i];
    if (!thread.joinable())
      continue;
    if (shared_->is_away && i != leader)
      thread.detach();
    else
      thread.join();
  }
}

bool led_loop::leave(const std::shared_ptr<after_turn>& what) {
  auto* loop = shared::current;
  if (loop == nullptr || loop->left)
    return false;
  if (!loop->stands_by) {
    loop->start_second();
    return false;
  }
  loop->left = what;
  return true;
}

} // namespace sluice::link
