#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// A name that cannot be mixed up with a name of another kind.
template <class Tag>
struct strong_name {
  std::string value;

  strong_name() = default;
  explicit strong_name(std::string text) : value(std::move(text)) {}

  bool empty() const noexcept { return value.empty(); }
  friend auto operator<=>(const strong_name&, const strong_name&) = default;
  friend bool operator==(const strong_name&, const strong_name&) = default;
};

/// A number that cannot be mixed up with a number of another kind. 0 is "none".
template <class Tag>
struct strong_number {
  std::uint64_t value = 0;

  strong_number() = default;
  explicit constexpr strong_number(std::uint64_t number) noexcept : value(number) {}

  explicit operator bool() const noexcept { return value != 0; }
  friend auto operator<=>(const strong_number&, const strong_number&) = default;
  friend bool operator==(const strong_number&, const strong_number&) = default;
};

/// 128 random bits that are different each time a process starts, so that a
/// restarted process is never taken for its predecessor.
struct incarnation {
  std::array<std::uint64_t, 2> bits{};

  explicit operator bool() const noexcept { return bits[0] != 0 || bits[1] != 0; }
  friend auto operator<=>(const incarnation&, const incarnation&) = default;
  friend bool operator==(const incarnation&, const incarnation&) = default;
};

using node_id = strong_name<struct node_id_tag>;               ///< "node-3fa2c1d0", made once per state dir
using flow_name = strong_name<struct flow_name_tag>;           ///< as the user named it
using processor_name = strong_name<struct processor_name_tag>; ///< unique within its flow
using queue_name = strong_name<struct queue_name_tag>;         ///< unique within the cluster
using artifact_id = strong_name<struct artifact_id_tag>;       ///< SHA-256 of the binary, 64 hex digits

using replica_id = strong_number<struct replica_id_tag>;     ///< given by the cluster, never used twice
using host_id = strong_number<struct host_id_tag>;           ///< random, new at each start of a host process
using flow_version = strong_number<struct flow_version_tag>; ///< counts submits of one flow from 1

/// Names are lower-case letters, digits, '-', '_' and '.', begin with a letter or
/// digit and have 1 to 63 characters.
bool is_valid_name(std::string_view text) noexcept;

/// Returns 32 lower-case hex digits.
std::string to_string(const incarnation& value);

/// Hash for every strong type, for unordered containers.
struct id_hash {
  template <class Tag>
  std::size_t operator()(const strong_name<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
  template <class Tag>
  std::size_t operator()(const strong_number<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};

} // namespace sluice
