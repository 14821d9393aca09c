#include "transport/pki/secret_file.hpp"

#include <sluice/core/disk_errc.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::pki {

namespace {

constexpr std::size_t secret_bytes_max = 1u << 20;

class open_file {
public:
  explicit open_file(int fd) : fd_(fd) {}
  ~open_file() { close(); }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  int get() const { return fd_; }
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

private:
  int fd_;
};

tl::unexpected<failure> cannot(const char* verb, const std::filesystem::path& path, errc code) {
  return fail(code, std::string{"cannot "} + verb + " " + path.string() + ": " + std::strerror(errno));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
}

} // namespace

result<void> write_secret(const std::filesystem::path& path, std::string_view text) {
  auto beside = path.string() + ".XXXXXX";
  open_file file{::mkostemp(beside.data(), O_CLOEXEC)}; // made with 0600
  if (file.get() < 0)
    return cannot("write beside", path, errc_of_disk(errno));
  if (!write_all(file.get(), text) || ::fsync(file.get()) != 0 || !file.close()
      || ::rename(beside.c_str(), path.c_str()) != 0) {
    auto why = cannot("write", path, errc_of_disk(errno));
    ::unlink(beside.c_str());
    return why;
  }
  open_file folder{::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.get() < 0 || ::fsync(folder.get()) != 0)
    return cannot("sync the folder of", path, errc_of_disk(errno));
  return {};
}

result<std::string> read_secret(const std::filesystem::path& path) {
  open_file file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (file.get() < 0) {
    if (errno == ENOENT)
      return cannot("read", path, errc::not_found);
    auto why = cannot("read", path, errc::permission_denied);
    why.value().message += "; mend it with: chown " + std::to_string(::geteuid()) + " " + path.string()
                           + " && chmod 600 " + path.string();
    return why;
  }
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0)
    return cannot("look at", path, errc::permission_denied);
  if (!S_ISREG(facts.st_mode))
    return fail(errc::permission_denied, path.string() + " is no regular file");
  if (facts.st_uid != ::geteuid() && facts.st_uid != 0)
    return fail(errc::permission_denied, path.string() + " belongs to another user; mend it with: chown "
                                           + std::to_string(::geteuid()) + " " + path.string());
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(errc::permission_denied,
                path.string() + " can be read by others; mend it with: chmod 600 " + path.string());
  if (static_cast<std::size_t>(facts.st_size) > secret_bytes_max)
    return fail(errc::corrupt, path.string() + " is too large to be what it should be");
  std::string text(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    auto count = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return cannot("read", path, errc::permission_denied);
    if (count == 0)
      break;
    filled += static_cast<std::size_t>(count);
  }
  text.resize(filled);
  return text;
}

} // namespace sluice::pki
