#include "transport/artifact/artifact_store.hpp"

#include <sluice/core/disk_errc.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::artifact {

namespace {

namespace fs = std::filesystem;
using process::unique_fd;

constexpr std::string_view unfinished_folder = "unfinished";
constexpr std::string_view damaged_folder = "damaged";
constexpr std::size_t damaged_kept_max = 4;

failure io_failure(const std::string& what, const fs::path& path, int error) {
  return {errc_of_disk(error), "cannot " + what + " " + path.string() + ": " + std::strerror(error)};
}

result<void> write_all(int fd, const fs::path& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return tl::unexpected{io_failure("write", path, n < 0 ? errno : EIO)};
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// Hashes all of an open file without moving its position.
result<artifact_id> hash_file(int fd, const fs::path& path) {
  sha256 hash;
  std::string buffer(1u << 18, '\0');
  std::uint64_t offset = 0;
  for (;;) {
    const auto n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tl::unexpected{io_failure("read", path, errno)};
    if (n == 0)
      return hash.finish();
    hash.add({buffer.data(), static_cast<std::size_t>(n)});
    offset += static_cast<std::uint64_t>(n);
  }
}

} // namespace

// ---- upload ---------------------------------------------------------------------

upload& upload::operator=(upload&& other) noexcept {
  discard();
  store_ = other.store_;
  expected_ = std::move(other.expected_);
  size_expected_ = other.size_expected_;
  size_ = other.size_;
  hash_ = std::move(other.hash_);
  file_ = std::move(other.file_);
  path_ = std::move(other.path_);
  other.path_.clear();
  return *this;
}

upload::~upload() { discard(); }

void upload::discard() noexcept {
  file_.reset();
  if (path_.empty())
    return;
  ::unlink(path_.c_str());
  path_.clear();
}

result<void> upload::append(std::string_view bytes) {
  if (!file_)
    return fail(errc::invalid_argument, "the upload is over");
  if (bytes.size() > size_expected_ - size_) {
    discard();
    return fail(errc::invalid_argument,
                "more bytes than the " + std::to_string(size_expected_) + " announced");
  }
  if (auto done = write_all(file_.get(), path_, bytes); !done) {
    discard();
    return done;
  }
  hash_.add(bytes);
  size_ += bytes.size();
  return {};
}

result<unique_fd> upload::seal() {
  if (!file_)
    return fail(errc::invalid_argument, "the upload is over");
  if (size_ != size_expected_) {
    const auto size = size_;
    discard();
    return fail(errc::corrupt, "truncated: " + std::to_string(size) + " of " + std::to_string(size_expected_)
                                 + " bytes arrived");
  }
  const auto actual = hash_.finish();
  if (actual != expected_) {
    discard();
    return fail(errc::corrupt,
                "the SHA-256 of the bytes is " + actual.value + ", announced was " + expected_.value);
  }
  unique_fd reader;
  if (::fchmod(file_.get(), 0500) == 0 && ::fsync(file_.get()) == 0)
    reader = unique_fd{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!reader) {
    auto why = io_failure("sync", path_, errno);
    discard();
    return tl::unexpected{std::move(why)};
  }
  file_.reset(); // a program that somebody may write to cannot be run
  return reader;
}

result<artifact_id> upload::commit() {
  if (path_.empty())
    return fail(errc::invalid_argument, "the upload is over");
  if (file_)
    if (auto sealed = seal(); !sealed)
      return fail(sealed);
  const auto target = store_->path_of(expected_);
  const bool is_stored = store_->holds_whole(expected_); // reads all of it: before the lock
  std::lock_guard guard{store_->mutex_};
  // A good one stays: processes that run it keep their file and its debug information. It counts as put just now,
  // so that it is not collected before its flow is known; if it was collected meanwhile, this one takes its place.
  if (is_stored && ::utimensat(AT_FDCWD, target.c_str(), nullptr, 0) == 0) {
    discard();
    return expected_;
  }
  if (::rename(path_.c_str(), target.c_str()) != 0) {
    auto why = io_failure("rename to", target, errno);
    discard();
    return tl::unexpected{std::move(why)};
  }
  path_.clear();
  if (auto done = store_->sync_root(); !done)
    return fail(done);
  return expected_;
}

// ---- artifact_store ---------------------------------------------------------------

result<std::unique_ptr<artifact_store>> artifact_store::open(fs::path root) {
  std::error_code error;
  for (const auto& folder : {root, root / unfinished_folder, root / damaged_folder}) {
    fs::create_directories(folder, error);
    if (const int why = error ? error.value() : ::chmod(folder.c_str(), 0700) != 0 ? errno : 0)
      return tl::unexpected{io_failure("make the artifact store", folder, why)};
  }
  for (fs::directory_iterator each{root / unfinished_folder, error}, end; !error && each != end;
       each.increment(error)) {
    std::error_code ignored;
    fs::remove(each->path(), ignored);
  }
  return std::unique_ptr<artifact_store>{new artifact_store{std::move(root)}};
}

result<upload> artifact_store::begin(const artifact_id& expected, std::uint64_t size_bytes) {
  if (!is_valid_artifact_id(expected))
    return fail(errc::invalid_argument, "an artifact is named by its SHA-256 in 64 lower-case hex digits");
  if (size_bytes == 0)
    return fail(errc::invalid_argument, "an artifact cannot be empty");
  if (size_bytes > limits::artifact_size_bytes_max)
    return fail(errc::invalid_argument, "an artifact has at most "
                                          + std::to_string(limits::artifact_size_bytes_max)
                                          + " bytes, this one " + std::to_string(size_bytes));
  upload fresh{this, expected, size_bytes};
  {
    std::lock_guard guard{mutex_};
    fresh.path_ =
      root_ / unfinished_folder / (expected.value.substr(0, 12) + "-" + std::to_string(++uploads_total_));
  }
  fresh.file_ = unique_fd{::open(fresh.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!fresh.file_) {
    auto why = io_failure("create", fresh.path_, errno);
    fresh.path_.clear();
    return tl::unexpected{std::move(why)};
  }
  return fresh;
}

bool artifact_store::contains(const artifact_id& id) const {
  struct stat info {};
  return is_valid_artifact_id(id) && ::stat(path_of(id).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

result<std::uint64_t> artifact_store::size_bytes(const artifact_id& id) const {
  struct stat info {};
  if (!is_valid_artifact_id(id) || ::stat(path_of(id).c_str(), &info) != 0)
    return tl::unexpected{missing(id)};
  return static_cast<std::uint64_t>(info.st_size);
}

failure artifact_store::missing(const artifact_id& id) const {
  const auto name = "artifact " + id.value.substr(0, 12);
  std::error_code ignored;
  if (const auto aside = root_ / damaged_folder / id.value;
      is_valid_artifact_id(id) && fs::exists(aside, ignored))
    return {errc::corrupt,
            name + " is damaged: its bytes are not those of its SHA-256, so it was refused and moved to "
              + aside.string()};
  return {errc::not_found, name + " is not stored on this machine"};
}

bool artifact_store::holds_whole(const artifact_id& id) const {
  const auto path = path_of(id);
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!file)
    return false;
  auto actual = hash_file(file.get(), path);
  return actual && *actual == id;
}

result<unique_fd> artifact_store::open_verified(const artifact_id& id) {
  if (!is_valid_artifact_id(id))
    return tl::unexpected{missing(id)};
  const auto path = path_of(id);
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!file && errno == ENOENT)
    return tl::unexpected{missing(id)};
  if (!file)
    return tl::unexpected{io_failure("open", path, errno)};
  auto actual = hash_file(file.get(), path);
  if (!actual)
    return fail(actual);
  if (*actual != id) {
    quarantine(id);
    return fail(errc::corrupt, "artifact " + path.string() + " is damaged: its SHA-256 is " + actual->value
                                 + "; moved to " + (root_ / damaged_folder).string());
  }
  return file;
}

result<std::string> artifact_store::read_chunk(const artifact_id& id, std::uint64_t offset,
                                               std::size_t size_bytes_max) const {
  if (!is_valid_artifact_id(id))
    return tl::unexpected{missing(id)};
  const auto path = path_of(id);
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!file)
    return tl::unexpected{errno == ENOENT ? missing(id) : io_failure("open", path, errno)};
  if (offset > limits::artifact_size_bytes_max)
    return std::string{};
  std::string out(std::min(size_bytes_max, limits::artifact_chunk_bytes), '\0');
  std::size_t done = 0;
  while (done < out.size()) {
    const auto n =
      ::pread(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tl::unexpected{io_failure("read", path, errno)};
    if (n == 0)
      break;
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

std::vector<artifact_id> artifact_store::list() const {
  std::vector<artifact_id> out;
  std::error_code error;
  for (fs::directory_iterator each{root_, error}, end; !error && each != end; each.increment(error))
    if (artifact_id id{each->path().filename().string()}; is_valid_artifact_id(id))
      out.push_back(std::move(id));
  std::sort(out.begin(), out.end());
  return out;
}

result<std::size_t> artifact_store::collect_garbage(const std::set<artifact_id>& keep,
                                                    std::chrono::nanoseconds age_min,
                                                    fs::file_time_type now) {
  std::size_t count = 0;
  std::lock_guard guard{mutex_};
  for (const auto& id : list()) {
    std::error_code gone;
    const auto put_at = fs::last_write_time(path_of(id), gone);
    if (keep.contains(id) || gone || now - put_at < age_min)
      continue;
    if (::unlink(path_of(id).c_str()) != 0 && errno != ENOENT)
      return tl::unexpected{io_failure("remove", path_of(id), errno)};
    ++count;
  }
  return count;
}

/// Moves a damaged file aside, for people to look at; only the newest few are kept.
void artifact_store::quarantine(const artifact_id& id) {
  std::lock_guard guard{mutex_};
  const auto folder = root_ / damaged_folder;
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> kept;
  for (fs::directory_iterator each{folder, error}, end; !error && each != end; each.increment(error)) {
    std::error_code ignored;
    kept.emplace_back(each->last_write_time(ignored), each->path());
  }
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i + damaged_kept_max <= kept.size(); ++i)
    fs::remove(kept[i].second, error);
  if (::rename(path_of(id).c_str(), (folder / id.value).c_str()) != 0)
    ::unlink(path_of(id).c_str());
}

result<void> artifact_store::sync_root() const {
  unique_fd folder{::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder || ::fsync(folder.get()) != 0)
    return tl::unexpected{io_failure("sync", root_, errno)};
  return {};
}

} // namespace sluice::artifact
