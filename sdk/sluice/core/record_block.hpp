#pragma once

#include <sluice/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// One record as its owner sees it. `payload` points into the block.
struct record_view {
  std::uint64_t seq = 0;      ///< position in its source; 0 where it has none yet
  std::uint32_t attempts = 0; ///< deliveries before this one
  std::string_view payload;
};

/// Many records as one contiguous, immutable, shared buffer.
///
/// Records travel from store to replica and back without being parsed or copied
/// one by one: a node that relays a block passes the same buffer on. Layout, all
/// integers little-endian: per record u64 seq, u32 attempts, u32 size, payload.
///
/// Cheap to copy (one reference count). Safe to read from any thread.
class record_block {
public:
  class iterator;

  record_block() = default;

  /// Takes bytes that crossed a trust boundary and checks every length once.
  /// Fails with `errc::corrupt`.
  static result<record_block> from_bytes(std::string bytes);

  std::size_t count() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  std::string_view bytes() const noexcept { return bytes_ ? std::string_view{*bytes_} : std::string_view{}; }

  iterator begin() const noexcept;
  iterator end() const noexcept;

private:
  friend class record_block_builder;
  record_block(std::shared_ptr<const std::string> bytes, std::size_t count)
    : bytes_(std::move(bytes)), count_(count) {}

  std::shared_ptr<const std::string> bytes_;
  std::size_t count_ = 0;
};

/// Walks a block front to back; views stay valid while a copy of the block lives.
class record_block::iterator {
public:
  using value_type = record_view;
  using difference_type = std::ptrdiff_t;

  iterator() = default;
  explicit iterator(const char* at) noexcept : at_(at) {}

  record_view operator*() const noexcept;
  iterator& operator++() noexcept;
  iterator operator++(int) noexcept {
    auto copy = *this;
    ++*this;
    return copy;
  }
  friend bool operator==(const iterator&, const iterator&) = default;

private:
  const char* at_ = nullptr;
};

/// Collects records into a block. One thread; reusable after `finish`.
class record_block_builder {
public:
  void add(std::uint64_t seq, std::uint32_t attempts, std::string_view payload);
  void add(std::string_view payload) { add(0, 0, payload); }
  /// All of `records`, as they are.
  void add(const record_block& records) {
    bytes_.append(records.bytes());
    count_ += records.count();
  }

  std::size_t count() const noexcept { return count_; }
  std::size_t size_bytes() const noexcept { return bytes_.size(); }
  void reserve(std::size_t size_bytes) { bytes_.reserve(size_bytes); }

  /// Returns the block and leaves the builder empty.
  record_block finish();

private:
  std::string bytes_;
  std::size_t count_ = 0;
};

/// Bytes a record takes beside its payload.
constexpr std::size_t record_overhead_bytes = 16;

} // namespace sluice
