#include <sluice/core/record_block.hpp>

#include <bit>
#include <cstring>

namespace sluice {

static_assert(std::endian::native == std::endian::little,
              "the block layout is read in place; a big-endian machine needs byte swaps here");

namespace {

template <class T>
T load(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <class T>
void append(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

std::uint32_t payload_size(const char* at) noexcept { return load<std::uint32_t>(at + 12); }

} // namespace

result<record_block> record_block::from_bytes(std::string bytes) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); ++count) {
    auto left = bytes.size() - at;
    if (left < record_overhead_bytes || left - record_overhead_bytes < payload_size(bytes.data() + at))
      return fail(errc::corrupt, "record block: record " + std::to_string(count) + " at byte "
                                   + std::to_string(at) + " runs past the end of the block");
    at += record_overhead_bytes + payload_size(bytes.data() + at);
  }
  return record_block{std::make_shared<const std::string>(std::move(bytes)), count};
}

record_block::iterator record_block::begin() const noexcept {
  return bytes_ ? iterator{bytes_->data()} : iterator{};
}

record_block::iterator record_block::end() const noexcept {
  return bytes_ ? iterator{bytes_->data() + bytes_->size()} : iterator{};
}

record_view record_block::iterator::operator*() const noexcept {
  return {load<std::uint64_t>(at_), load<std::uint32_t>(at_ + 8),
          std::string_view{at_ + record_overhead_bytes, payload_size(at_)}};
}

record_block::iterator& record_block::iterator::operator++() noexcept {
  at_ += record_overhead_bytes + payload_size(at_);
  return *this;
}

void record_block_builder::add(std::uint64_t seq, std::uint32_t attempts, std::string_view payload) {
  append(bytes_, seq);
  append(bytes_, attempts);
  append(bytes_, static_cast<std::uint32_t>(payload.size()));
  bytes_.append(payload);
  ++count_;
}

record_block record_block_builder::finish() {
  auto count = std::exchange(count_, 0);
  return record_block{std::make_shared<const std::string>(std::exchange(bytes_, {})), count};
}

} // namespace sluice
