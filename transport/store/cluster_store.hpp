#pragma once

#include "actors/cluster/cluster_store_port.hpp"

#include <sluice/core/result.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace sluice::store {

/// Opens the head's memory of nodes, flows, versions, replicas and events, or makes it.
///
/// A SQLite database in WAL mode; every write is one synced transaction. Each row carries
/// a checksum. The caller sees to it that one process at a time opens `file` (the head
/// locks its state directory). The store may be used by one thread at a time.
///
/// Fails with `unsupported` when a newer program wrote the file, with `corrupt` when it is
/// damaged or not ours, and with `unavailable` when it cannot be opened; the message names
/// the file. Nothing of a damaged file is changed. `vfs` is SQLite's name of a file layer, for tests; empty = the system's.
result<std::shared_ptr<cluster::store_port>> open_cluster_store(const std::filesystem::path& file,
                                                                const std::string& vfs = {});

} // namespace sluice::store
