#pragma once

#include <boost/container/small_vector.hpp>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sluice::store {

/// A checksum over several values, each with its length, so that bytes cannot move
/// from one value to its neighbour unnoticed.
class checksum {
public:
  template <class T>
  requires std::is_integral_v<T> checksum& add(T value) {
    auto wide = static_cast<std::uint64_t>(value);
    append(reinterpret_cast<const char*>(&wide), sizeof wide);
    return *this;
  }
  checksum& add(std::string_view text) {
    add(text.size());
    append(text.data(), text.size());
    return *this;
  }

  /// As SQLite stores it.
  std::int64_t value() const noexcept {
    return static_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size()));
  }

private:
  void append(const char* from, std::size_t size) { bytes_.insert(bytes_.end(), from, from + size); }

  boost::container::small_vector<char, 192> bytes_; ///< names are short: every write makes a few of these
};

/// The checksum of one record with its header, as it stands in a segment.
inline std::uint32_t record_sum(const char* at, std::size_t size) noexcept {
  return static_cast<std::uint32_t>(XXH3_64bits(at, size));
}

} // namespace sluice::store
