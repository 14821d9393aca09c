#pragma once

#include "actors/node/host_launcher_port.hpp"

#include <caf/send.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

/// A launcher that starts nothing: it notes what it was asked, and the test tells what
/// became of it.
class fake_host_launcher final : public node::host_launcher_port {
public:
  struct launched {
    node::launch_order order;
    node::host_observer to;
  };

  bool isolated() const noexcept override { return is_isolated; }
  void launch(node::launch_order order, node::host_observer to) override {
    launches.push_back({std::move(order), std::move(to)});
  }
  void terminate(host_id host) override { terminated.push_back(host); }
  void kill(host_id host, std::chrono::milliseconds hung_after, const std::string&) override {
    killed.emplace_back(host, hung_after);
  }

  const launched& last() const { return launches.back(); }

  /// The newest process started and said hello.
  void connect(std::int64_t pid, host::handle replicas) {
    caf::anon_send(last().to, node::host_started{last().order.host, pid});
    caf::anon_send(last().to, node::host_connected{last().order.host, std::move(replicas)});
  }

  void exit(const launched& which, int exit_code, int signal, std::string reason) {
    node::crash_report report;
    report.host = which.order.host;
    report.exit_code = exit_code;
    report.signal = signal;
    report.reason = std::move(reason);
    caf::anon_send(which.to, node::host_exited{std::move(report)});
  }

  bool is_isolated = true;
  std::vector<launched> launches;
  std::vector<host_id> terminated;
  std::vector<std::pair<host_id, std::chrono::milliseconds>> killed;
};

} // namespace sluice::test
