#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/limits.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <vector>

namespace sluice::cluster {

using time_point = std::chrono::steady_clock::time_point;

enum class liveness : std::uint8_t { alive, suspect, dead };

/// How long silence may last. `suspect_after < dead_after`.
struct detector_limits {
  std::chrono::nanoseconds suspect_after = limits::suspect_after;
  std::chrono::nanoseconds dead_after = limits::dead_after;

  /// A closed link is nearly always an ended process; a live one is back at once.
  std::chrono::nanoseconds dead_after_link_lost = std::chrono::seconds{2};

  /// A longer gap between two ticks means that the head itself stood still.
  std::chrono::nanoseconds tick_gap_max = std::chrono::seconds{1};
};

/// One change of opinion about a node.
struct transition {
  node_id node;
  liveness before = liveness::alive;
  liveness after = liveness::alive;
  std::chrono::nanoseconds silence{0}; ///< how long it had said nothing
  bool link_lost = false;              ///< its link is closed, it is not only slow
};

/// Tells from silence which nodes are suspect and which are dead. Pure: it knows no
/// clock but its arguments.
///
/// Why silence alone is enough: a wrong "dead" costs some work done twice, never a
/// record, because leases are fenced by the queue and replica ids are never used
/// twice. So it may be quick. What it must not do is to take its own absence for
/// that of the others: after a gap between two ticks (the head was stopped, starved
/// or its disk hung) all silence is counted from anew.
///
///     1 alive   -> suspect   silence >= suspect_after, or link lost
///     2 suspect -> alive     heard
///     3 suspect -> dead      silence >= dead_after, or link lost for dead_after_link_lost
///     4 dead    -> alive     heard
class failure_detector {
public:
  explicit failure_detector(detector_limits limits = {}) : limits_(limits) {}

  /// Starts watching a node that has just been heard of.
  void watch(const node_id& node, time_point now);

  /// Starts watching a node that is known from before the head started: suspect until
  /// it is heard, dead after `grace`.
  void expect(const node_id& node, time_point now, std::chrono::nanoseconds grace);

  /// Starts with a node that is dead already.
  void watch_dead(const node_id& node, time_point now);

  void forget(const node_id& node);

  /// Any sign of life. Returns the change, if it is one.
  std::optional<transition> heard(const node_id& node, time_point now);

  /// The link is gone: suspect at once.
  std::optional<transition> link_lost(const node_id& node, time_point now);

  /// To be called on a schedule; the only place where silence is judged.
  std::vector<transition> tick(time_point now);

  /// `dead` for a node that is not watched.
  liveness of(const node_id& node) const;

  /// Time since the last sign of life, 0 for a node that is not watched.
  std::chrono::nanoseconds silence(const node_id& node, time_point now) const;

private:
  struct peer {
    liveness state = liveness::alive;
    time_point heard_at;
    std::optional<time_point> link_lost_at;
    std::optional<time_point> expected_until; ///< not heard since the head started
  };

  bool is_overdue(const peer& it, time_point now) const;

  detector_limits limits_;
  std::map<node_id, peer> peers_;
  std::optional<time_point> ticked_at_;
};

} // namespace sluice::cluster
