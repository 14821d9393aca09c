#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

/// The folders nodes and runs by hand keep their state in, and how the commands on a machine find its nodes:
/// a running node holds a lock on `<dir>/lock`, which has its pid, and describes itself in
/// `<dir>/node.json`.
namespace sluice::config {

/// The right to use a state dir, held until it is destroyed or the process ends, however it
/// ends. Not passed on to programs this one starts; a forked child shares it.
class state_claim {
public:
  state_claim() = default;
  explicit state_claim(int fd, bool has_made_dir = false) noexcept : fd_(fd), has_made_dir_(has_made_dir) {}
  state_claim(state_claim&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), has_made_dir_(other.has_made_dir_) {}
  state_claim& operator=(state_claim&& other) noexcept;
  ~state_claim();

  /// Writes our pid into the lock; again after a fork.
  void sign() const;

  /// The folder was not there before.
  bool has_made_dir() const noexcept { return has_made_dir_; }

private:
  int fd_ = -1;
  bool has_made_dir_ = false;
};

/// Makes the folder (mode 0700) if needed and claims it for a node. One that is there must be empty or a node's
/// (`invalid_argument`), and this user's alone (`permission_denied`): its mode is never changed. Fails with `conflict`,
/// naming the holder's pid, when another process has it, and as `errc_of_disk` says when the disk refuses.
result<state_claim> claim_state_dir(const std::filesystem::path& dir);

/// The same for a run by hand, whose queues hold the lock: makes or checks the folder and claims nothing. One of an earlier
/// run may be readable for others, as they once could be: its files are not.
result<void> prepare_run_dir(const std::filesystem::path& dir);

/// Takes away a folder that `claim` has made for a node which never served and is nobody yet: there is no more in it
/// than a lock and a log. Anything else stays.
void remove_unused_dir(const std::filesystem::path& dir, const state_claim& claim);

/// Whether a run by hand has kept its queues there.
bool is_run_dir(const std::filesystem::path& dir);

struct claimed_dir {
  std::filesystem::path path;
  state_claim claim;
};

/// Claims the first free of `<base>/worker-1`, `worker-2`, ...
result<claimed_dir> claim_worker_dir(const std::filesystem::path& base);

/// The process that has claimed a folder, or nullopt.
std::optional<pid_t> holder_of(const std::filesystem::path& dir);

/// A node that serves, as it describes itself.
struct node_record {
  std::string role; ///< "head" or "worker"
  std::string node_id;
  pid_t pid = 0;
  std::string link_address;
  std::string control_address;
  std::string control_socket;
  std::string log_file; ///< empty when it runs in the foreground
  std::int64_t started_at_unix_ms = 0;
  std::string http_address = {}; ///< "http://HOST:PORT" of the public listener; empty without one

  friend bool operator==(const node_record&, const node_record&) = default;
};

/// Writes `<dir>/node.json`, in one step.
result<void> write_node_record(const std::filesystem::path& dir, const node_record& record);
void remove_node_record(const std::filesystem::path& dir);
/// Reads it; nullopt when there is none that makes sense.
std::optional<node_record> read_node_record(const std::filesystem::path& dir);

/// Notes in `<base>/run/<our pid>` where this process keeps its state, so that `find_nodes` finds it. To be called by
/// who has claimed the folder; nothing for one directly below `base`. Entries of processes that are gone go.
result<void> list_node(const std::filesystem::path& base, const std::filesystem::path& dir);
/// Takes that away.
void unlist_node(const std::filesystem::path& base);

/// A claimed folder below `base`, or one of a node that was listed there.
struct found_node {
  std::filesystem::path dir;
  pid_t pid = 0;
  std::optional<node_record> record; ///< absent while it starts
};

/// All nodes of this machine that run below `base` or are listed there, workers first.
std::vector<found_node> find_nodes(const std::filesystem::path& base);

/// The head below `base`, if it serves.
std::optional<node_record> find_head(const std::filesystem::path& base);

} // namespace sluice::config
