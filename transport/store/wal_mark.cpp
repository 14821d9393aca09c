#include "transport/store/wal_mark.hpp"

#include "transport/store/queue_store_checksum.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::store {

namespace {

// The log, by https://www.sqlite.org/fileformat2.html#walformat: numbers are big-endian.
constexpr std::size_t header_bytes = 32;
constexpr std::size_t frame_header_bytes = 24;
constexpr std::uint32_t magic_little = 0x377f0682; ///< checksums over little-endian words
constexpr std::uint32_t magic_big = 0x377f0683;

class descriptor {
public:
  explicit descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  /// Whether all of it could be read.
  bool read(void* to, std::size_t size, std::uint64_t at) const noexcept {
    return fd_ >= 0 && ::pread(fd_, to, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
  }

private:
  int fd_;
};

struct mark {
  std::uint64_t salts = 0; ///< of the log, both as one
  std::uint64_t frames = 0;
  std::int64_t at_ns = 0; ///< wall clock, as the kernel stamps files
  std::int64_t sum = 0;

  std::int64_t right_sum() const { return checksum{}.add(salts).add(frames).add(at_ns).value(); }
};

std::uint32_t word(const unsigned char* at) noexcept {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

std::uint64_t salts_of(const unsigned char* at) noexcept {
  return std::uint64_t{word(at)} << 32 | word(at + 4);
}

std::int64_t to_ns(const timespec& at) noexcept {
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

/// SQLite's running checksum.
struct running_sum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  bool swapped = false;

  void add(const unsigned char* bytes, std::size_t size) noexcept {
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      first += next(bytes + i) + second;
      second += next(bytes + i + 4) + first;
    }
  }
  std::uint32_t next(const unsigned char* at) const noexcept {
    std::uint32_t native = 0;
    std::memcpy(&native, at, sizeof native);
    return swapped ? __builtin_bswap32(native) : native;
  }
  bool is(const unsigned char* at) const noexcept { return word(at) == first && word(at + 4) == second; }
};

struct log_header {
  std::uint64_t salts = 0;
  std::size_t page_bytes = 0;
  running_sum sum;
};

std::optional<log_header> read_header(const descriptor& wal) {
  std::array<unsigned char, header_bytes> raw{};
  if (!wal.read(raw.data(), raw.size(), 0))
    return std::nullopt;
  log_header out;
  const auto magic = word(raw.data());
  if (magic != magic_little && magic != magic_big)
    return std::nullopt;
  out.sum.swapped = (magic == magic_big) != (std::endian::native == std::endian::big);
  out.sum.add(raw.data(), 24);
  if (!out.sum.is(raw.data() + 24))
    return std::nullopt;
  out.page_bytes = word(raw.data() + 8);
  out.salts = salts_of(raw.data() + 16);
  return out;
}

/// How many frames from the beginning are as they were written, up to `frames_max`.
std::uint64_t count_right_frames(const descriptor& wal, const log_header& header, std::uint64_t frames_max) {
  std::vector<unsigned char> frame(frame_header_bytes + header.page_bytes);
  auto sum = header.sum;
  for (std::uint64_t i = 0; i < frames_max; ++i) {
    if (!wal.read(frame.data(), frame.size(), header_bytes + i * frame.size()))
      return i;
    sum.add(frame.data(), 8);
    sum.add(frame.data() + frame_header_bytes, header.page_bytes);
    if (salts_of(frame.data() + 8) != header.salts || word(frame.data()) == 0 || !sum.is(frame.data() + 16))
      return i;
  }
  return frames_max;
}

/// Each time SQLite begins its log anew, everything before is in the file, and it adds 1 to the first salt: the log
/// is a later one than that of the mark, which a power cut has left behind.
bool is_later(std::uint64_t salts, std::uint64_t marked) noexcept {
  constexpr std::uint32_t restarts_max = 1u << 16; ///< in the moments before the mark would have been written
  const auto ahead = static_cast<std::uint32_t>(salts >> 32) - static_cast<std::uint32_t>(marked >> 32);
  return ahead >= 1 && ahead <= restarts_max;
}

} // namespace

wal_mark::wal_mark(std::string database_path, std::string kind)
  : database_path_(std::move(database_path)), wal_path_(database_path_ + "-wal"),
    mark_path_(database_path_ + "-mark"), kind_(std::move(kind)) {}

wal_mark::~wal_mark() {
  for (int fd : {mark_fd_, wal_fd_})
    if (fd >= 0)
      ::close(fd);
  // Closed in good order, the database has no log left.
  if (mark_fd_ >= 0 && ::access(wal_path_.c_str(), F_OK) != 0)
    ::unlink(mark_path_.c_str());
}

result<void> wal_mark::check() const {
  mark last;
  if (!descriptor{mark_path_}.read(&last, sizeof last, 0) || last.sum != last.right_sum())
    return {};
  const auto refuse = [this](const std::string& what) {
    return fail(errc::corrupt,
                kind_ + " '" + database_path_ + "': " + what
                  + "; acknowledged transactions would be lost. Nothing was changed. Keep a copy of "
                  + database_path_ + "*, restore a backup, or accept the loss with: rm " + mark_path_);
  };
  const descriptor wal{wal_path_};
  const auto header = read_header(wal);
  if (header && header->salts == last.salts) {
    const auto right = count_right_frames(wal, *header, last.frames);
    if (right == last.frames)
      return {};
    return refuse("its log " + wal_path_ + " is damaged at byte "
                  + std::to_string(header_bytes + right * (frame_header_bytes + header->page_bytes))
                  + " (frame " + std::to_string(right + 1) + " of " + std::to_string(last.frames) + ")");
  }
  if (header && is_later(header->salts, last.salts))
    return {};
  // Another log, or none. That is right if the one of the mark was moved into the file: then that was written.
  struct stat file {};
  if (::stat(database_path_.c_str(), &file) == 0 && to_ns(file.st_mtim) >= last.at_ns)
    return {};
  return refuse("its log " + wal_path_
                + (header ? " is not the one it had" : " is missing or damaged at byte 0"));
}

void wal_mark::note_commit(std::uint32_t frames) noexcept {
  if (wal_fd_ < 0)
    wal_fd_ = ::open(wal_path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (mark_fd_ < 0)
    mark_fd_ = ::open(mark_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  std::array<unsigned char, header_bytes> raw{};
  if (wal_fd_ < 0 || mark_fd_ < 0 || ::pread(wal_fd_, raw.data(), raw.size(), 0) != ssize_t{header_bytes})
    return;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  mark last{salts_of(raw.data() + 16), frames, to_ns(now), 0};
  last.sum = last.right_sum();
  // Where there is no room, the mark of before says less.
  [[maybe_unused]] const auto written = ::pwrite(mark_fd_, &last, sizeof last, 0);
}

} // namespace sluice::store
