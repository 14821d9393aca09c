#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <string>

namespace sluice::store {

/// How far the write-ahead log of a SQLite file was when its last transaction was acknowledged, kept in
/// a small file beside it ("FILE-mark").
///
/// SQLite takes the first frame of a log that fails its checksum for the end of it. After a crash that is
/// right, but where a disk has damaged the log it silently drops every transaction behind that place, though they
/// were acknowledged. The mark tells the two apart. It is written without a sync: it outlives the process, and
/// what a power cut takes of it only makes the check say less, never a false alarm.
///
/// One thread; made before the database is opened, destroyed after it was closed.
class wal_mark {
public:
  /// `kind` is for messages: "queue store".
  wal_mark(std::string database_path, std::string kind);
  ~wal_mark();
  wal_mark(const wal_mark&) = delete;
  wal_mark& operator=(const wal_mark&) = delete;

  /// `corrupt` where acknowledged transactions would be lost, naming file, offset and the way on. Changes
  /// nothing. To be called before SQLite opens the file.
  result<void> check() const;

  /// A transaction is on disk, and the log has `frames` frames.
  void note_commit(std::uint32_t frames) noexcept;

private:
  std::string database_path_;
  std::string wal_path_;
  std::string mark_path_;
  std::string kind_;
  int mark_fd_ = -1;
  int wal_fd_ = -1;
};

} // namespace sluice::store
