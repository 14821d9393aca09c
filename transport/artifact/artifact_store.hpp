#pragma once

#include "transport/artifact/sha256.hpp"
#include "transport/process/unique_fd.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::artifact {

class artifact_store;

/// One artifact on its way in. What is not committed leaves nothing behind. Used by
/// one thread.
class upload {
public:
  upload(upload&&) noexcept = default;
  upload& operator=(upload&&) noexcept;
  ~upload();

  /// Adds the next bytes. `invalid_argument` beyond the announced size, `exhausted` when the disk
  /// is full; the upload is over then.
  result<void> append(std::string_view bytes);

  /// All bytes are there: checks size and hash and syncs. Returns the file for reading and
  /// running; it is in no place yet. `corrupt` when size or hash differ from what was
  /// announced. Called at most once.
  result<process::unique_fd> seal();

  /// Puts the artifact in place in one step; seals it first if that was not done. One that is there, whole, stays
  /// the file that it is.
  result<artifact_id> commit();

private:
  friend class artifact_store;
  upload(artifact_store* store, artifact_id expected, std::uint64_t size_expected)
    : store_(store), expected_(std::move(expected)), size_expected_(size_expected) {}
  void discard() noexcept;

  artifact_store* store_;
  artifact_id expected_;
  std::uint64_t size_expected_;
  std::uint64_t size_ = 0;
  sha256 hash_;
  process::unique_fd file_;    ///< closed once sealed
  std::filesystem::path path_; ///< of the unfinished file; empty = none
};

/// The binaries of flows on this machine, by their SHA-256: `<root>/<hash>`, mode 0500,
/// never changed. Whatever is read is checked first, so a damaged file is never run.
/// Safe to use from any thread.
class artifact_store {
public:
  /// Makes `root` (mode 0700) and removes what an earlier process left unfinished.
  /// One process uses a root at a time.
  static result<std::unique_ptr<artifact_store>> open(std::filesystem::path root);

  artifact_store(const artifact_store&) = delete;
  artifact_store& operator=(const artifact_store&) = delete;

  /// Starts an upload. `invalid_argument` for a malformed hash, no bytes, or more than
  /// `limits::artifact_size_bytes_max`.
  result<upload> begin(const artifact_id& expected, std::uint64_t size_bytes);

  /// True if it is there; says nothing about its bytes.
  bool contains(const artifact_id& id) const;
  result<std::uint64_t> size_bytes(const artifact_id& id) const;

  /// Hashes the file now and returns the very descriptor that was read, at its start.
  /// `not_found`, or `corrupt` when the bytes are not those of `id`: then the file is moved
  /// aside to `<root>/damaged/` and the artifact can be put again. Until then, and as long as that file is kept, it stays `corrupt`.
  result<process::unique_fd> open_verified(const artifact_id& id);

  /// Bytes for another node, unchecked (the receiver checks the whole): up to
  /// `size_bytes_max` from `offset`; empty at the end.
  result<std::string> read_chunk(const artifact_id& id, std::uint64_t offset,
                                 std::size_t size_bytes_max) const;

  std::vector<artifact_id> list() const;

  /// Removes every artifact that is not in `keep` and was put there longer than `age_min` ago;
  /// returns how many. A younger one may belong to a flow that is being submitted.
  /// A process that runs one of them goes on.
  result<std::size_t> collect_garbage(const std::set<artifact_id>& keep, std::chrono::nanoseconds age_min,
                                      std::filesystem::file_time_type now);

private:
  friend class upload;
  explicit artifact_store(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path path_of(const artifact_id& id) const { return root_ / id.value; }
  bool holds_whole(const artifact_id& id) const;
  failure missing(const artifact_id& id) const; ///< `corrupt` if it was here and is set aside
  void quarantine(const artifact_id& id);
  result<void> sync_root() const;

  std::filesystem::path root_;
  std::mutex mutex_; ///< guards `uploads_total_` and changes of what is in place
  std::uint64_t uploads_total_ = 0;
};

} // namespace sluice::artifact
