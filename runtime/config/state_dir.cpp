#include "runtime/config/state_dir.hpp"

#include <sluice/codec/json_writer.hpp>
#include <sluice/core/disk_errc.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

constexpr int workers_per_machine_max = 1000;
constexpr auto lock_name = "lock";
constexpr auto identity_name = "identity";
constexpr auto log_name = "node.log";
constexpr auto queues_name = "queue.db";
constexpr auto list_name = "run"; ///< below the base folder: of the nodes that keep their state elsewhere

tl::unexpected<failure> disk_failure(const fs::path& path) {
  return fail(errc_of_disk(errno), "cannot use " + path.string() + ": " + std::strerror(errno));
}

enum class owner : std::uint8_t { node, run };

/// A node's holds a lock at least, or who it is.
bool is_node_dir(const fs::path& dir) {
  std::error_code ignored;
  return fs::exists(dir / lock_name, ignored) || fs::exists(dir / identity_name, ignored);
}

/// A folder that was there already is taken as it is or refused: it may be somebody's for another purpose.
result<void> check_found_dir(const fs::path& dir, owner whose) {
  struct stat facts {};
  if (::stat(dir.c_str(), &facts) != 0)
    return disk_failure(dir);
  const auto cannot = "cannot keep state in " + dir.string() + ": ";
  if (whose == owner::run && is_node_dir(dir))
    return fail(
      errc::invalid_argument,
      cannot + "it is that of a node; choose another --state-dir, for example one that is not there yet");
  const bool has_run = whose == owner::run && is_run_dir(dir);
  const bool is_known = whose == owner::run ? has_run : is_node_dir(dir);
  std::error_code unreadable;
  if (!is_known && !fs::is_empty(dir, unreadable) && !unreadable)
    return fail(
      errc::invalid_argument,
      cannot
        + "it has files in it and is no state folder of Sluice; choose a --state-dir that is empty or "
          "not there yet, for example "
        + (dir / "sluice").string());
  if (facts.st_uid != ::geteuid())
    return fail(errc::permission_denied, cannot + "it belongs to another user (id "
                                           + std::to_string(facts.st_uid)
                                           + "); start as that user, or choose another --state-dir");
  const mode_t closed_to_others = has_run ? S_IWGRP | S_IWOTH : S_IRWXG | S_IRWXO;
  if ((facts.st_mode & closed_to_others) != 0)
    return fail(errc::permission_denied,
                cannot
                  + "others may use it, and it will hold keys and records; close it with: "
                    "chmod 700 "
                  + dir.string() + ", or choose a --state-dir that is not there yet, which is made private");
  return {};
}

/// Makes the folder with mode 0700, or checks the one that is there. Whether it has made it.
result<bool> prepare_state_dir(const fs::path& dir, owner whose) {
  std::error_code error;
  const bool is_new = fs::create_directories(dir, error);
  // Anything but a folder in the way is wrong usage.
  const bool is_wrong_path = error == std::errc::not_a_directory || error == std::errc::file_exists;
  if (error)
    return fail(errc_of_disk(error.value(), is_wrong_path ? errc::invalid_argument : errc::unavailable),
                "cannot make the state folder " + dir.string() + ": " + error.message());
  if (!is_new)
    if (auto usable = check_found_dir(dir, whose); !usable)
      return fail(usable);
  if (is_new && ::chmod(dir.c_str(), S_IRWXU) != 0)
    return disk_failure(dir);
  return is_new;
}

/// A lock that belongs to the open file: it is shared over fork, and looking at it (unlike
/// trying to take it) never gets in the way of who wants it.
struct flock whole_file(short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

pid_t pid_in(int fd) {
  char text[32] = {};
  if (::pread(fd, text, sizeof text - 1, 0) <= 0)
    return 0;
  return static_cast<pid_t>(std::strtol(text, nullptr, 10));
}

void append_member(std::string& json, codec::json_writer& writer, const char* name,
                   const std::string& value) {
  json += std::string{",\n  \""} + name + "\": ";
  if (!writer.string(value))
    json += "\"\"";
}

std::string member_text(const boost::json::object& object, const char* name) {
  auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string{value->get_string()} : std::string{};
}

std::int64_t member_number(const boost::json::object& object, const char* name) {
  auto* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

/// True for a process that was killed but still holds what it had: its main thread is
/// gone, others are on their way.
bool is_dying(pid_t pid) {
  if (pid <= 0)
    return false; // has just locked it and not signed yet
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string stat{std::istreambuf_iterator<char>{file}, {}};
  auto name_end = stat.rfind(')'); // the name may hold anything, blanks too
  return name_end == std::string::npos || name_end + 2 >= stat.size() || stat[name_end + 2] == 'Z'
         || stat[name_end + 2] == 'X';
}

/// Locks the file; waits only for a holder that is dying, as after `kill -9`.
bool lock_whole_file(int fd) {
  constexpr int tries_max = 200;
  constexpr int pause_ms = 10;
  auto lock = whole_file(F_WRLCK);
  for (int tries = 0; ::fcntl(fd, F_OFD_SETLK, &lock) != 0; ++tries) {
    auto why = errno;
    if ((why != EAGAIN && why != EACCES) || tries == tries_max || !is_dying(pid_in(fd))) {
      errno = why;
      return false;
    }
    ::poll(nullptr, 0, pause_ms);
  }
  return true;
}

bool is_below(const fs::path& base, const fs::path& dir) {
  std::error_code ignored;
  return fs::equivalent(base, dir.parent_path(), ignored);
}

/// The state folder that an entry of the list names, if the process that made the entry still has it.
std::optional<fs::path> dir_of_entry(const fs::path& entry) {
  std::ifstream in{entry, std::ios::binary};
  fs::path dir{std::string{std::istreambuf_iterator<char>{in}, {}}};
  auto pid = dir.is_absolute() ? holder_of(dir) : std::nullopt;
  if (!pid || entry.filename() != std::to_string(*pid))
    return std::nullopt;
  return dir;
}

} // namespace

state_claim& state_claim::operator=(state_claim&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(has_made_dir_, other.has_made_dir_);
  return *this;
}

state_claim::~state_claim() {
  if (fd_ >= 0)
    ::close(fd_);
}

void state_claim::sign() const {
  if (fd_ < 0)
    return;
  auto text = std::to_string(::getpid()) + "\n";
  // The lock is the truth; the pid in it is for people and for `stop`, which checks both.
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0)
    return; // a full disk: the lock holds all the same
}

result<state_claim> claim_state_dir(const fs::path& dir) {
  auto is_new = prepare_state_dir(dir, owner::node);
  if (!is_new)
    return fail(is_new);
  auto path = dir / lock_name;
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return disk_failure(path);
  state_claim claim{fd, *is_new};
  if (!lock_whole_file(fd)) {
    if (errno != EAGAIN && errno != EACCES)
      return disk_failure(path);
    return fail(errc::conflict, "the state in " + dir.string() + " is in use by a node with pid "
                                  + std::to_string(pid_in(fd))
                                  + "; stop it with `sluice stop`, or choose another "
                                    "--state-dir");
  }
  claim.sign();
  return claim;
}

void remove_unused_dir(const fs::path& dir, const state_claim& claim) {
  if (!claim.has_made_dir())
    return;
  std::error_code error;
  const auto is_nothing = [&](const fs::path& entry) {
    const auto name = entry.filename();
    return name == lock_name || name == log_name || (name == identity_name && fs::is_empty(entry, error));
  };
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator{dir, error})
    entries.push_back(entry.path());
  if (error || !std::all_of(entries.begin(), entries.end(), is_nothing))
    return;
  for (const auto& entry : entries)
    fs::remove(entry, error);
  fs::remove(dir, error);
}

result<void> prepare_run_dir(const fs::path& dir) {
  const auto ready = prepare_state_dir(dir, owner::run);
  return ready ? result<void>{} : fail(ready);
}

bool is_run_dir(const fs::path& dir) {
  std::error_code ignored;
  return fs::exists(dir / queues_name, ignored) && !is_node_dir(dir);
}

result<claimed_dir> claim_worker_dir(const fs::path& base) {
  for (int n = 1; n <= workers_per_machine_max; ++n) {
    auto dir = base / ("worker-" + std::to_string(n));
    auto claim = claim_state_dir(dir);
    if (claim)
      return claimed_dir{dir, std::move(*claim)};
    if (claim.error().code != errc::conflict)
      return fail(claim);
  }
  return fail(errc::exhausted, "1000 workers run on this machine already");
}

std::optional<pid_t> holder_of(const fs::path& dir) {
  int fd = ::open((dir / lock_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return std::nullopt;
  state_claim closed_at_end{fd};
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
    return std::nullopt;
  auto pid = pid_in(fd);
  return pid > 0 ? std::optional{pid} : std::nullopt;
}

result<void> write_node_record(const fs::path& dir, const node_record& record) {
  std::string json = "{\n  \"pid\": " + std::to_string(record.pid)
                     + ",\n  \"started_at_unix_ms\": " + std::to_string(record.started_at_unix_ms);
  codec::json_writer writer{json};
  append_member(json, writer, "role", record.role);
  append_member(json, writer, "node_id", record.node_id);
  append_member(json, writer, "link_address", record.link_address);
  append_member(json, writer, "control_address", record.control_address);
  append_member(json, writer, "control_socket", record.control_socket);
  append_member(json, writer, "http_address", record.http_address);
  append_member(json, writer, "log_file", record.log_file);
  json += "\n}\n";
  auto next = dir / "node.json.new";
  {
    std::ofstream out{next, std::ios::binary | std::ios::trunc};
    out << json << std::flush;
    if (!out)
      return disk_failure(next);
  }
  std::error_code error;
  fs::rename(next, dir / "node.json", error);
  if (error)
    return fail(errc_of_disk(error.value()),
                "cannot write " + (dir / "node.json").string() + ": " + error.message());
  return {};
}

void remove_node_record(const fs::path& dir) {
  std::error_code ignored; // a record without a lock means nothing
  fs::remove(dir / "node.json", ignored);
}

std::optional<node_record> read_node_record(const fs::path& dir) {
  std::ifstream in{dir / "node.json", std::ios::binary};
  std::ostringstream text;
  text << in.rdbuf();
  boost::json::error_code error;
  auto value = boost::json::parse(text.str(), error);
  if (error || !value.is_object())
    return std::nullopt;
  const auto& object = value.get_object();
  node_record record;
  record.role = member_text(object, "role");
  record.node_id = member_text(object, "node_id");
  record.pid = static_cast<pid_t>(member_number(object, "pid"));
  record.link_address = member_text(object, "link_address");
  record.control_address = member_text(object, "control_address");
  record.control_socket = member_text(object, "control_socket");
  record.http_address = member_text(object, "http_address");
  record.log_file = member_text(object, "log_file");
  record.started_at_unix_ms = member_number(object, "started_at_unix_ms");
  if (record.pid <= 0 || record.role.empty())
    return std::nullopt;
  return record;
}

result<void> list_node(const fs::path& base, const fs::path& dir) {
  if (is_below(base, dir))
    return {};
  const auto folder = base / list_name;
  std::error_code error;
  fs::create_directories(folder, error);
  for (const auto& entry : fs::directory_iterator{folder, error})
    if (std::error_code ignored; !dir_of_entry(entry.path()))
      fs::remove(entry.path(), ignored);
  const auto path = folder / std::to_string(::getpid());
  std::ofstream out{path, std::ios::binary | std::ios::trunc};
  out << dir.string() << std::flush;
  return out ? result<void>{} : disk_failure(path);
}

void unlist_node(const fs::path& base) {
  std::error_code ignored; // an entry whose process has gone means nothing
  fs::remove(base / list_name / std::to_string(::getpid()), ignored);
}

std::vector<found_node> find_nodes(const fs::path& base) {
  std::vector<found_node> found;
  const auto add = [&](const fs::path& dir) {
    auto pid = holder_of(dir);
    if (!pid)
      return;
    auto record = read_node_record(dir);
    if (record && record->pid != *pid)
      record.reset(); // left by an earlier process
    found.push_back({dir, *pid, std::move(record)});
  };
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{base, error})
    add(entry.path());
  for (const auto& entry : fs::directory_iterator{base / list_name, error})
    if (auto dir = dir_of_entry(entry.path()); dir && !is_below(base, *dir))
      add(*dir);
  auto is_head = [](const found_node& node) {
    return node.record ? node.record->role == "head" : node.dir.filename() == "head";
  };
  std::sort(found.begin(), found.end(), [&](const found_node& a, const found_node& b) {
    return std::pair{is_head(a), a.dir} < std::pair{is_head(b), b.dir};
  });
  return found;
}

std::optional<node_record> find_head(const fs::path& base) {
  auto dir = base / "head";
  auto pid = holder_of(dir);
  auto record = read_node_record(dir);
  if (!pid || !record || record->pid != *pid)
    return std::nullopt;
  return record;
}

} // namespace sluice::config
