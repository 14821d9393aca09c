#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// When the clients of a WebSocket that drains are told to go. All at once, they would all connect again at once, to the
/// replicas that are left, each with a handshake and what user code does at the open of a connection.
namespace sluice::processor {

/// A client per 10 ms, but all within 10 s: of a drain of 30 s that leaves the last ones 20 s for what they have sent.
constexpr std::chrono::milliseconds goodbye_interval{10};
constexpr std::chrono::milliseconds goodbye_span_max{10'000};

/// How long the goodbyes to `count` clients take.
std::chrono::nanoseconds goodbye_span(std::size_t count) noexcept;

/// When client `index` of `count` is told, from the begin of the drain: at a random moment of its own part of `span`, so
/// that the rate is even and replicas that drain together (with seeds of their own) do not keep step. Grows with
/// `index`. Pure. @pre index < count
std::chrono::nanoseconds goodbye_after(std::size_t index, std::size_t count, std::uint64_t seed,
                                       std::chrono::nanoseconds span) noexcept;

} // namespace sluice::processor
