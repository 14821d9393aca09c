#pragma once

#include "actors/cluster/cluster_store_port.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace sluice::store {

/// The store, and with which queue store it goes (`head_stores.hpp`).
class cluster_file : public cluster::store_port {
public:
  struct pair_mark {
    std::uint64_t id = 0;
    bool is_used = false; ///< it was loaded before, so there was a queue store beside it
  };

  /// The number both files of a head keep. One that has none makes it, and it is on disk when this returns. Before `load`.
  virtual result<pair_mark> pair() = 0;
};

/// Opens the head's memory of nodes, flows, versions, replicas and events, or makes it.
///
/// A SQLite database in WAL mode; every write is one synced transaction. Each row carries
/// a checksum. The caller sees to it that one process at a time opens `file` (the head
/// locks its state directory). The store may be used by one thread at a time.
///
/// Fails with `unsupported` when a newer program wrote the file, with `corrupt` when it is
/// damaged or not ours, and with `unavailable` when it cannot be opened; the message names
/// the file. Nothing of a damaged file is changed. `vfs` is SQLite's name of a file layer, for tests; empty = the system's.
result<std::shared_ptr<cluster_file>> open_cluster_store(const std::filesystem::path& file,
                                                         const std::string& vfs = {});

} // namespace sluice::store
