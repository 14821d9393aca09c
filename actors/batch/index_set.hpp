#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::batch {

/// A set of small numbers that come nearly in order: kept, and written, as ranges.
class index_set {
public:
  /// False if it was in.
  bool add(std::uint32_t index);
  bool contains(std::uint32_t index) const noexcept;
  std::uint32_t count() const noexcept { return count_; }

  /// "0-12,14"
  std::string to_text() const;
  static result<index_set> from_text(std::string_view text);

  friend bool operator==(const index_set&, const index_set&) = default;

private:
  std::map<std::uint32_t, std::uint32_t> ranges_; ///< first -> last, with gaps between
  std::uint32_t count_ = 0;
};

} // namespace sluice::batch
