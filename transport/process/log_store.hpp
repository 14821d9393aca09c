#pragma once

#include "transport/process/log_files.hpp"
#include "transport/process/work_thread.hpp"
#include "actors/node/log_store_port.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace sluice::process {

/// The logs of a node's hosts: `<root>/<flow>/<number>-v<version>-<host>/`. Numbers grow
/// by one, so that the newest is known without a clock. Of hosts that ended, the newest
/// `limits::dead_host_logs_kept_max` of each flow stay, and of all flows together the newest `ended_bytes_max`, but
/// always the newest one of a flow that runs here. Safe to use from any thread.
class log_directory {
public:
  struct entry {
    flow_name flow;
    flow_version version;
    host_id host;
    std::uint64_t number = 0;
    std::filesystem::path path;
    bool ended = false;
  };

  static constexpr std::uintmax_t ended_bytes_max = 1u << 30;
  /// What a log is counted as at least: it bounds how many there are.
  static constexpr std::uintmax_t log_bytes_min = 64u << 10;

  /// Every log that is there already belongs to a host that ended. Its bound is another in tests.
  explicit log_directory(std::filesystem::path root, std::uintmax_t ended_max = ended_bytes_max)
    : root_(std::move(root)), ended_max_(ended_max) {}

  /// Makes the place for a new host's log, and room by removing the oldest ones. A disk
  /// that is full is no failure here: the writer tries again.
  std::filesystem::path open(const flow_name& flow, flow_version version, host_id host);

  /// The access log is in this folder: one more log, of `node::access_log_flow`. Before it is read.
  void add_access_log(std::filesystem::path at) { access_log_ = std::move(at); }

  /// Nothing will be added to the host's log.
  void close(host_id host);

  /// Oldest first; all flows, but not the access log, if `flow` is empty.
  std::vector<entry> list(const flow_name& flow) const;

  /// `host` 0 = the newest of the flow.
  std::optional<entry> find(const flow_name& flow, host_id host) const;

private:
  void read_flow(const flow_name& flow, std::vector<entry>& out) const;
  std::vector<entry> list_locked(const flow_name& flow) const;
  void remove_oldest_locked();

  std::filesystem::path root_;
  std::uintmax_t ended_max_;
  std::filesystem::path access_log_; ///< empty = there is none
  mutable std::mutex mutex_;
  std::map<host_id, entry> live_;
};

/// Reads logs for the agent, on a thread of its own.
class log_store final : public node::log_store_port {
public:
  /// `logs` must outlive the store.
  explicit log_store(log_directory& logs) : logs_(logs), thread_(reads_waiting_max) {}

  void read(const node::log_request& request, std::function<void(result<node::log_chunk>)> done) override;
  void sources(const node::log_sources_request& request,
               std::function<void(result<node::log_sources_reply>)> done) override;

private:
  static constexpr std::size_t reads_waiting_max = 64;

  result<node::log_chunk> read_now(const node::log_request& request) const;

  log_directory& logs_;
  work_thread thread_;
};

} // namespace sluice::process
