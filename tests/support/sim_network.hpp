#pragma once

#include "transport/link/link.hpp"
#include "transport/link/link_state.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::testing {

/// Time since the simulation began.
using sim_time = std::chrono::nanoseconds;

/// A network for tests: many processes, one thread, time that moves only when the test says
/// so, and one seed from which every delay, split and loss is drawn. It implements the link's
/// interface, so what runs on it is the code that runs on sockets.
///
/// A link behaves as over TCP: its frames arrive in order, each once, until it breaks.
/// When it breaks, some of what was on its way may still arrive, and the two ends
/// learn of it at different times; so a new link can be up at one end while the other still
/// gets frames of the old one. That is where duplicates and reorderings come from.
///
/// A *place* names one process. Callbacks run inside `run_until` and nowhere else; they may
/// call anything here but `run_until`. What was made by a network may outlive it.
class sim_network {
public:
  explicit sim_network(std::uint64_t seed, link::link_timing timing = {});
  ~sim_network();
  sim_network(const sim_network&) = delete;
  sim_network& operator=(const sim_network&) = delete;

  // --- what processes do

  using on_connection = std::function<void(link::connection_ptr)>;

  /// Accepts links at `place`, one process's only listener, until the place stops or crashes.
  void listen(const std::string& place, const link::hello& self, on_connection accept);
  void stop_listening(const std::string& place);

  /// Connects from one place to what listens at another, as `self`. An attempt that meets
  /// nobody fails with `unavailable`, one that meets silence with `timeout` at the handshake's
  /// deadline, and one whose hello does not fit as `link::check_hello` says.
  std::unique_ptr<link::connector> make_connector(const std::string& from, const link::hello& self,
                                                  const std::string& to);

  // --- what happens to them

  /// One-way delay between two places, drawn anew for each delivery. Default: 100 µs to 1 ms.
  void set_delay(const std::string& one, const std::string& other, sim_time min, sim_time max);

  /// Nothing gets from `from` to `to` until `heal`; with only one direction it is half-open. What is sent is
  /// held, and arrives after healing unless the link was given up by then for its silence.
  void block(const std::string& from, const std::string& to);
  void block_both(const std::string& one, const std::string& other);
  void heal(const std::string& one, const std::string& other);

  /// Breaks the links that are up between two places. New ones can be made at once.
  void cut(const std::string& one, const std::string& other);

  /// The process is gone: none of its callbacks run any more, its peers see their links
  /// break. A new process may use the place at once.
  void crash(const std::string& place);

  /// The machine is gone, without a word to anybody: its peers notice by silence only. The
  /// place answers again once somebody listens there.
  void vanish(const std::string& place);

  /// What else to do to single frames, for tests of idempotence: healthy links never do this.
  enum class fate : std::uint8_t { deliver, lose, twice };
  void
  set_fate(std::function<fate(const std::string& from, const std::string& to, const link::frame& f)> decide);

  // --- time

  sim_time now() const;
  /// When something happens next; nullopt when nothing will unless somebody acts.
  std::optional<sim_time> next_due() const;
  /// Lets everything happen that is due up to `until`, in order, and sets the time to it.
  void run_until(sim_time until);

  struct counters {
    std::uint64_t links_made = 0;
    std::uint64_t links_broken = 0; ///< ends that were closed otherwise than by their owner
    std::uint64_t frames_delivered = 0;
    std::uint64_t frames_lost = 0; ///< sent on a link that broke before they arrived
  };
  const counters& counts() const;

  /// Folds all that happened into one number: the same seed and the same calls give the same.
  std::uint64_t trace() const;

  class impl; // in sim_network.cpp

private:
  std::shared_ptr<impl> impl_;
};

} // namespace sluice::testing
