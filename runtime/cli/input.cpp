#include "runtime/cli/input.hpp"

#include <sluice/codec/utf8.hpp>
#include <sluice/core/disk_errc.hpp>
#include <sluice/core/limits.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::cli {

namespace {

constexpr std::size_t piece_bytes_max = 256u << 10;

tl::unexpected<failure> cannot_read(const std::string& what, int error) {
  const std::string why = error == EISDIR ? "it is a folder; name a file, or - for the standard input"
                                          : std::string{std::strerror(error)};
  const auto code = error == ENOENT || error == ENOTDIR ? errc::not_found
                    : error == EISDIR                   ? errc::invalid_argument
                                                        : errc_of_disk(error, errc::internal);
  return fail(code, "cannot read " + what + ": " + why);
}

/// An open file; the standard input is left open.
class input_file {
public:
  input_file(int fd, std::string name, int wake_fd) : fd_(fd), name_(std::move(name)), wake_fd_(wake_fd) {}
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  ~input_file() {
    if (fd_ != STDIN_FILENO)
      ::close(fd_);
  }

  result<input_piece> read(std::optional<std::chrono::milliseconds> wait_max) const {
    std::array<pollfd, 2> on{{{fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}}};
    int ready = -1;
    do // EINTR: the signal that matters makes `wake_fd_` readable
      ready = ::poll(on.data(), on.size(), wait_max ? static_cast<int>(wait_max->count()) : -1);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
      return cannot_read(name_, errno);
    if (on[1].revents != 0)
      return input_piece{input_piece::outcome::signal};
    if (ready == 0)
      return input_piece{input_piece::outcome::pause};
    input_piece piece;
    piece.bytes.resize(piece_bytes_max);
    ssize_t count = -1;
    do
      count = ::read(fd_, piece.bytes.data(), piece.bytes.size());
    while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) // somebody made it non-blocking, and somebody else was faster
      return input_piece{input_piece::outcome::pause};
    if (count < 0)
      return cannot_read(name_, errno);
    piece.bytes.resize(static_cast<std::size_t>(count));
    piece.came = count == 0 ? input_piece::outcome::end : input_piece::outcome::bytes;
    return piece;
  }

private:
  int fd_;
  std::string name_;
  int wake_fd_;
};

} // namespace

result<byte_reader> open_file(const std::string& path, int wake_fd) {
  const bool is_standard = path == "-";
  const auto name = is_standard ? std::string{"the standard input"} : path;
  const int fd = is_standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return cannot_read(name, errno);
  auto file = std::make_shared<input_file>(fd, name, wake_fd);
  struct stat what {};
  if (::fstat(fd, &what) != 0)
    return cannot_read(name, errno);
  if (S_ISDIR(what.st_mode))
    return cannot_read(name, EISDIR);
  return [file](std::optional<std::chrono::milliseconds> wait_max) { return file->read(wait_max); };
}

std::optional<std::string> line_reader::next() {
  const auto end = here_.find('\n', scanned_);
  const auto is_whole = end != std::string::npos;
  const auto stop = is_whole ? end : here_.size();
  scanned_ = stop;
  if (!is_whole && stop - begin_ <= limits::record_size_bytes_max && (!is_at_end_ || stop == begin_))
    return std::nullopt;
  std::string_view line{here_.data() + begin_, stop - begin_};
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  if (std::exchange(is_at_begin_, false))
    line = codec::without_byte_order_mark(line);
  std::string out{line};
  begin_ = scanned_ = is_whole ? stop + 1 : stop;
  return out;
}

result<input_piece::outcome> line_reader::fill(std::optional<std::chrono::milliseconds> wait_max) {
  auto piece = read_(wait_max);
  if (!piece)
    return fail(piece);
  here_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  here_ += piece->bytes;
  is_at_end_ = is_at_end_ || piece->came == input_piece::outcome::end;
  return piece->came;
}

} // namespace sluice::cli
