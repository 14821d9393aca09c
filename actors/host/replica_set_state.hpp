#pragma once

#include "actors/host/host_protocol.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace sluice::host {

/// What a host has to do after an event.
struct replica_set_actions {
  std::vector<replica_order> start;
  std::vector<replica_id> drain;
};

/// The replicas of one host: what is wanted of them and how they stand. Pure.
///
/// A replica id is never started twice. One that is down or failed is kept in the report for as
/// long as it is wanted, so that the node learns of it however many reports are lost;
/// one that is no longer wanted is drained and forgotten when it has ended.
class replica_set_state {
public:
  /// An older revision than the newest is ignored. The same one again is applied
  /// again: a drain may have been lost.
  replica_set_actions on_desired(const desired_replicas& desired);

  /// A replica reports. Returns whether its phase or `exhausted` changed.
  bool on_report(const replica_report& report);

  /// A replica cannot be started or has ended without a last report.
  void on_lost(const replica_id& id, std::string why);

  std::uint64_t revision() const noexcept { return revision_; }
  std::vector<replica_report> reports() const;

private:
  struct entry {
    replica_report report;
    bool wanted = true;
    bool has_ended() const noexcept {
      return report.phase == replica_phase::down || report.phase == replica_phase::failed;
    }
  };
  void forget_ended();

  std::map<replica_id, entry> replicas_;
  std::uint64_t revision_ = 0;
};

} // namespace sluice::host
