#pragma once

#include "actors/ingress/ingress_protocol.hpp"

#include <sluice/core/random.hpp>
#include <sluice/http/route.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::ingress {

// ---- which route ------------------------------------------------------------------

/// The methods of a path, as `Allow` names them.
class method_set {
public:
  /// With any method comes OPTIONS, with GET HEAD, unless what the route gets is stored: the ingress answers these two.
  void add(method value, bool with_head = true) noexcept;
  void add(const method_set& others) noexcept { bits_ = static_cast<std::uint8_t>(bits_ | others.bits_); }
  bool contains(method value) const noexcept { return (bits_ & bit(value)) != 0; }
  bool empty() const noexcept { return bits_ == 0; }
  std::string text() const; ///< "GET, HEAD, OPTIONS"

  friend bool operator==(const method_set&, const method_set&) = default;

private:
  static constexpr unsigned bit(method value) noexcept { return 1u << static_cast<unsigned>(value); }
  std::uint8_t bits_ = 0;
};

/// What a path and method lead to.
struct route_match {
  std::optional<std::size_t> route;                             ///< its index in the table
  std::vector<std::pair<std::string, std::string>> params = {}; ///< valid with `route`
  method_set allowed = {};   ///< of the path; empty = no route has it: 404. Without `route`: 405
  bool is_malformed = false; ///< a parameter does not decode: 400
};

/// All routes of a table, compiled once, as a tree of path segments.
///
/// A path is split before it is decoded, so that "%2F" is part of a segment. Segment by segment
/// a literal goes before a parameter and that before a rest; where that leads nowhere, or to no route of the
/// method, the next is tried. A '/' at the end says nothing, except to a rest. A parameter is never empty;
/// a rest may be, and has no segment "..". Work is bounded by the number of segments of all routes.
class route_matcher {
public:
  route_matcher();
  /// A route that does not parse, and the second of two with one method and shape, are
  /// left out: no request reaches them.
  explicit route_matcher(std::span<const route_entry> routes);

  /// HEAD finds the route of GET. OPTIONS finds none but `allowed`.
  /// @param path as sent, without the query
  route_match match(method wanted, std::string_view path) const;

private:
  static constexpr std::uint32_t none = 0xffff'ffff;
  static constexpr std::size_t methods = 5; ///< those a route may have

  /// Where a path may end.
  struct leaf {
    std::array<std::uint32_t, methods> route; ///< by method, `none` if there is none
    method_set allowed;
  };
  struct node {
    std::vector<std::pair<std::string, std::uint32_t>> literals; ///< sorted
    std::uint32_t parameter = none;
    std::uint32_t leaf = none;
    std::uint32_t rest_leaf = none;
  };
  struct search;

  void add(std::uint32_t index, const route_entry& route);
  std::uint32_t literal_child(std::uint32_t parent, const std::string& text);
  std::uint32_t new_node();
  std::uint32_t new_leaf();
  bool walk(search& at, std::uint32_t from, std::string_view left) const;
  bool walk_literal(search& at, const node& from, std::string_view segment, std::string_view left) const;
  bool arrive(search& at, std::uint32_t leaf_index, bool has_rest, std::string_view rest) const;

  std::vector<node> nodes_;
  std::vector<leaf> leaves_;
  std::vector<std::vector<std::string>> names_; ///< of the parameters, by route
};

/// How failures of a route of this kind are told.
constexpr error_form errors_of(pattern kind) noexcept {
  return kind == pattern::collector ? error_form::collector : error_form::plain;
}

// ---- which replica ----------------------------------------------------------------

/// Requests of a collector that may wait for the sink of one replica, beside those that user code is not done with: all
/// that come while one write is under way share the next, so its throughput is this over the time of a write.
constexpr std::uint32_t at_sink_max = 1024;

/// Requests, of what is no WebSocket, at one replica from this ingress until others wait here: one per place in
/// user code and one more each, so that none is idle between two answers. Those at the sink do not count.
constexpr std::uint32_t in_flight_max(std::uint32_t num_concurrency) noexcept {
  return num_concurrency < 1 ? 2 : 2 * num_concurrency;
}

/// Whether the replica is to say when user code is done with a request, which costs a frame each: only of those that come
/// when half the places are taken. The others keep theirs until they are answered.
/// @param occupied places, with this request
constexpr bool wants_sink_notice(std::uint32_t occupied, std::uint32_t bound) noexcept {
  return 2 * occupied >= bound;
}

/// Quick answers are sent ahead for: at a few microseconds of user code each, a request on its way to another process
/// would keep the replica waiting. A replica may have as many requests from here as it answered in `ahead_time`, so
/// that none waits there much longer than that; a slow one gets no more than `in_flight_max`.
constexpr auto ahead_time = std::chrono::milliseconds{2};
constexpr auto ahead_window = std::chrono::milliseconds{10}; ///< answers are counted over at least this
constexpr std::uint32_t ahead_max = 128; ///< per replica; a few ingresses fit into its queue

/// @param answered in `elapsed`, which is `ahead_window` or more
constexpr std::uint32_t requests_ahead(std::uint32_t answered, std::chrono::nanoseconds elapsed) noexcept {
  const auto count = std::int64_t{answered} * std::chrono::nanoseconds{ahead_time}.count() / elapsed.count();
  return count < ahead_max ? static_cast<std::uint32_t>(count) : ahead_max;
}

/// Power of two choices: of two targets picked at random the less busy one takes the request.
///
/// The first `local_count` of `count` targets are on this node; the others are asked only if none of
/// them takes any. `load_of(i)` is what is in flight at a target, or none if it takes nothing. Returns none
/// if nobody does. Looks at two targets unless both of them take nothing.
template <class LoadOf>
std::optional<std::size_t> choose_target(std::size_t local_count, std::size_t count, const LoadOf& load_of,
                                         std::uint64_t random) {
  auto among = [&](std::size_t first, std::size_t size) -> std::optional<std::size_t> {
    if (size == 0)
      return std::nullopt;
    const auto a = first + static_cast<std::size_t>((random & 0xffff'ffff) % size);
    const std::optional<std::uint32_t> load_a = load_of(a);
    if (size == 1)
      return load_a ? std::optional{a} : std::nullopt;
    const auto b = first + (a - first + 1 + static_cast<std::size_t>((random >> 32) % (size - 1))) % size;
    const std::optional<std::uint32_t> load_b = load_of(b);
    if (load_a && load_b)
      return *load_b < *load_a ? b : a;
    if (load_a || load_b)
      return load_a ? a : b;
    std::optional<std::size_t> best;
    std::uint32_t best_load = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const auto at = first + (a - first + i) % size;
      const std::optional<std::uint32_t> load = load_of(at);
      if (load && (!best || *load < best_load)) {
        best = at;
        best_load = *load;
      }
    }
    return best;
  };
  if (auto local = among(0, local_count))
    return local;
  return among(local_count, count - local_count);
}

using sluice::next_random;

} // namespace sluice::ingress
