#include "transport/link/send_queue.hpp"

#include "transport/link/frame_codec.hpp"

#include <algorithm>
#include <utility>

namespace sluice::link {

namespace {

constexpr std::size_t piece_bytes = 256u << 10; ///< short frames are gathered up to this
constexpr std::size_t small_piece_bytes = 4u << 10;
constexpr std::size_t own_piece_bytes = 32u << 10; ///< a body from here on is moved, not copied
constexpr std::size_t spare_pieces_max = 2;
/// Up to here frames may pass the window by a little: they say that something has ended or was taken, and often
/// make room.
constexpr std::size_t short_frame_bytes_max = 4u << 10;

} // namespace

send_queue::outcome send_queue::push(std::vector<frame>& frames) {
  std::size_t bytes = 0;
  for (const auto& f : frames)
    bytes += frame_header_bytes + f.body.size();
  std::lock_guard lock{mutex_};
  if (closed_)
    return outcome::closed;
  const auto room = window_bytes_ + (bytes <= short_frame_bytes_max ? window_bytes_ / 64 : 0);
  if (bytes > room || waiting_bytes_ > room - bytes) {
    refused_ = true;
    return outcome::full;
  }
  if (frames.empty())
    return outcome::queued;
  for (auto& f : frames) {
    if (f.body.size() < own_piece_bytes) {
      append_frame(gathering_piece(frame_header_bytes + f.body.size()), f);
      continue;
    }
    auto header = encode_header(f, f.body.size());
    gathering_piece(header.size()).append(header.data(), header.size());
    pushed_.push_back({std::move(f.body), false});
  }
  waiting_bytes_ += bytes;
  return std::exchange(writer_awake_, true) ? outcome::queued : outcome::wake;
}

void send_queue::push_control(const frame& f) {
  std::lock_guard lock{mutex_};
  append_frame(gathering_piece(frame_header_bytes + f.body.size()), f);
  waiting_bytes_ += frame_header_bytes + f.body.size();
}

void send_queue::close() {
  std::lock_guard lock{mutex_};
  closed_ = true;
}

void send_queue::peek(std::vector<std::string_view>& pieces, std::size_t pieces_max, std::size_t bytes_max) {
  pieces.clear();
  if (writing_.empty()) {
    std::lock_guard lock{mutex_};
    if (pushed_.empty()) {
      writer_awake_ = false;
      return;
    }
    writing_.swap(pushed_);
  }
  std::size_t bytes = 0;
  std::size_t skip = written_;
  for (const auto& next : writing_) {
    if (pieces.size() == pieces_max || bytes >= bytes_max)
      break;
    auto part = std::string_view{next.bytes}.substr(skip, bytes_max - bytes);
    skip = 0;
    bytes += part.size();
    pieces.push_back(part);
  }
}

bool send_queue::consume(std::size_t count) {
  std::deque<piece> emptied; // freed without the lock
  auto rest = count;
  while (!writing_.empty() && rest >= writing_.front().bytes.size() - written_) {
    rest -= writing_.front().bytes.size() - written_;
    written_ = 0;
    emptied.push_back(std::move(writing_.front()));
    writing_.pop_front();
  }
  written_ += rest;
  std::lock_guard lock{mutex_};
  waiting_bytes_ -= count;
  for (auto& [bytes, gathers] : emptied) {
    if (!gathers || spare_.size() == spare_pieces_max)
      continue;
    bytes.clear();
    spare_.push_back(std::move(bytes));
  }
  return waiting_bytes_ <= window_bytes_ / 2 && std::exchange(refused_, false);
}

void send_queue::drop() {
  writing_.clear();
  written_ = 0;
  std::lock_guard lock{mutex_};
  pushed_.clear();
  spare_.clear();
  waiting_bytes_ = 0;
}

std::size_t send_queue::waiting_bytes() const {
  std::lock_guard lock{mutex_};
  return waiting_bytes_;
}

void send_queue::trim() {
  std::lock_guard lock{mutex_};
  if (waiting_bytes_ == 0)
    spare_ = {};
}

/// The piece that takes `extra_bytes` more without copying what it holds, but for the
/// one step from a small piece, which is all that a quiet link needs, to a large one.
std::string& send_queue::gathering_piece(std::size_t extra_bytes) {
  if (!pushed_.empty() && pushed_.back().gathers) {
    auto& bytes = pushed_.back().bytes;
    if (bytes.capacity() - bytes.size() >= extra_bytes)
      return bytes;
    if (bytes.capacity() < piece_bytes && bytes.size() + extra_bytes <= piece_bytes) {
      bytes.reserve(piece_bytes);
      return bytes;
    }
  }
  auto& bytes = pushed_.emplace_back().bytes;
  if (spare_.empty()) {
    bytes.reserve(std::max(small_piece_bytes, extra_bytes));
  } else {
    bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  return bytes;
}

} // namespace sluice::link
