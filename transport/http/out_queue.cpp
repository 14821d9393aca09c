#include "transport/http/out_queue.hpp"

#include <algorithm>
#include <sys/uio.h>
#include <utility>

namespace sluice::http {

namespace {

constexpr std::size_t joined_bytes_max = 16u << 10;

} // namespace

bool out_queue::joins(std::size_t count) const noexcept {
  return !pieces_.empty() && !pieces_.back().shared && pieces_.back().own.size() + count <= joined_bytes_max;
}

void out_queue::add(std::string_view bytes) {
  if (bytes.empty())
    return;
  bytes_ += bytes.size();
  if (joins(bytes.size()))
    pieces_.back().own.append(bytes);
  else
    pieces_.push_back({std::string{bytes}});
}

void out_queue::add(std::string&& bytes) {
  if (bytes.empty())
    return;
  if (joins(bytes.size()))
    return add(std::string_view{bytes});
  bytes_ += bytes.size();
  pieces_.push_back({std::move(bytes)});
}

void out_queue::add(std::shared_ptr<const std::string> bytes) {
  if (bytes->empty())
    return;
  bytes_ += bytes->size();
  pieces_.push_back({{}, std::move(bytes)});
}

std::size_t out_queue::gather(std::span<iovec> pieces) {
  std::size_t count = 0;
  for (auto at = first_; at < pieces_.size() && count < pieces.size(); ++at, ++count) {
    auto offset = count == 0 ? offset_ : 0;
    const auto& bytes = pieces_[at].bytes();
    pieces[count] = {const_cast<char*>(bytes.data()) + offset, bytes.size() - offset}; // only read
  }
  return count;
}

void out_queue::drop(std::size_t count) {
  bytes_ -= count;
  if (bytes_ == 0) {
    pieces_.clear(); // keeps its room
    first_ = offset_ = 0;
    return;
  }
  while (count > 0) {
    const auto size = pieces_[first_].bytes().size();
    auto part = std::min(count, size - offset_);
    count -= part;
    offset_ += part;
    if (offset_ == size) {
      pieces_[first_++] = {};
      offset_ = 0;
    }
  }
  // A queue that never runs empty must not keep what has gone.
  if (first_ >= 64 && first_ * 2 >= pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

} // namespace sluice::http
