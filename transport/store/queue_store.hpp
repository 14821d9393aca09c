#pragma once

#include "actors/queue/queue_store_port.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice::store {

/// The cluster store that a queue store goes with; `id` 0 = none, it stands alone.
struct queue_store_pair {
  std::uint64_t id = 0;
  std::string path;          ///< for messages
  bool accept_other = false; ///< a store that went with another one goes with this from now on
};

struct queue_store_options {
  std::string path;                ///< of the database file; its folder must exist
  std::int64_t size_bytes_max = 0; ///< of the file; beyond, appends fail with `overloaded`; 0 = the disk's
  std::function<void(std::string)>
    on_damage;     ///< a sentence naming file, queue and record; on the caller's thread
  std::string vfs; ///< SQLite's name of a file layer, for tests; empty = the system's
  queue_store_pair pair = {};
  std::uint64_t room_bytes = 0; ///< kept on the disk beside the file for when it is full; see kept_room
};

/// Opens the durable memory of the queues, a SQLite file in WAL mode, synced at every
/// write. Refuses a file of another program, of a newer Sluice, held by another process, or that goes with
/// another cluster store than `pair` (`corrupt`).
///
/// Records are stored as segments, many in one row, which is several times cheaper
/// than a row each:
///
///     segments   id = queue * 2^43 + first seq; an index of sizes and checksums; the records
///     settled    which records of a segment are forgotten; the row goes with the last one
///     attempts   of records that failed before
///     dead       dead letters, one row each
///     damaged    bytes that failed their check, for a person to look at
///
/// Every stored value is under a checksum that also covers where it belongs, so that
/// neither a flipped bit nor a page in the wrong place is taken for a record. Records know their queue by its
/// number: a queue whose row is damaged keeps its name if that may be right, else it is called `damaged-<number>`.
result<std::unique_ptr<queue::store_port>> open_queue_store(queue_store_options options);

} // namespace sluice::store
