#pragma once

#include "actors/node/host_state.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::node::testing {

using namespace std::chrono_literals;

inline host::replica_report replica(std::uint64_t id, host::replica_phase phase, std::uint64_t processed = 0,
                                    std::chrono::milliseconds busy = 0ms) {
  host::replica_report out;
  out.id = replica_id{id};
  out.processor = processor_name{"work"};
  out.phase = phase;
  out.processed_total = processed;
  out.busy_longest = busy;
  return out;
}

/// Drives one state as the agent would and remembers what it asked for.
struct driver {
  host_state state;
  time_point now{1000s};
  std::uint64_t ids = 100;
  double jitter = 1.0;
  host_actions last;

  moment at() { return {now, jitter, host_id{++ids}}; }

  template <class Event>
  void give(const Event& what) {
    last = apply(state, what, at());
  }

  /// Lets time pass and everything that is due happen.
  void pass(std::chrono::milliseconds span) {
    const auto end = now + span;
    host_actions all;
    for (auto due = next_due(state); due && *due <= end; due = next_due(state)) {
      now = std::max(now, *due);
      for (auto& each : apply(state, event::tick{}, at()))
        all.push_back(each);
    }
    now = end;
    last = std::move(all);
  }

  void want(std::vector<host::replica_order> replicas = {}, std::uint64_t memory_limit = 0) {
    give(event::wanted{true, std::move(replicas), memory_limit});
  }
  void unwant() { give(event::wanted{false, {}, 0}); }

  void start() {
    give(event::fetched{});
    give(event::started{state.host, 77});
  }
  void run() {
    want({{replica_id{1}, processor_name{"work"}, host::replica_goal::run}});
    start();
    give(event::connected{state.host});
  }
  void restart() {
    start();
    give(event::connected{state.host});
  }
  void end(int exit_code, int signal, std::string reason = "ended") {
    crash_report report;
    report.host = state.host;
    report.exit_code = exit_code;
    report.signal = signal;
    report.reason = std::move(reason);
    report.suspects = {{replica_id{1}, 9}};
    give(event::exited{report});
  }
  /// One record among others crashes it.
  void end_by_record() {
    crash_report report;
    report.host = state.host;
    report.signal = SIGSEGV;
    report.reason = "killed by SIGSEGV";
    report.suspects = {{replica_id{1}, 9}};
    report.has_passed_records = true;
    give(event::exited{report});
  }
  void report(std::vector<host::replica_report> replicas) {
    give(host::host_report{state.host, state.order_revision, std::move(replicas)});
  }

  /// Runs well for so long.
  void serve(std::chrono::milliseconds span) {
    report({replica(1, host::replica_phase::running)});
    for (; span > 0ms; span -= std::min<std::chrono::milliseconds>(span, 5s)) {
      pass(std::min<std::chrono::milliseconds>(span, 5s));
      report({replica(1, host::replica_phase::running)});
    }
  }

  template <class Action>
  const Action* find() const {
    for (const auto& each : last)
      if (auto* found = std::get_if<Action>(&each))
        return found;
    return nullptr;
  }
};

} // namespace sluice::node::testing
