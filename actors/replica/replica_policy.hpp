#pragma once

#include <sluice/core/limits.hpp>
#include <sluice/io/source.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::replica {

/// How long a lease may wait at the queue for its first record, or a pull at another source. Also the
/// longest that an idle replica with such a source needs to notice a drain.
constexpr std::chrono::milliseconds take_wait_max{500};

/// A block is sized to take about this long: long enough to make the round trip to
/// the queue unimportant, short enough that a slow processor leaves work to others.
constexpr std::chrono::milliseconds block_duration{200};

/// A block is at most this many times the one before.
constexpr std::uint32_t block_growth_max = 8;

/// Blocks that may be in hand, taken and not settled: enough that user code goes on while
/// two commits of a few milliseconds each are on their way to a busy disk.
constexpr std::uint32_t blocks_in_hand_max = 8;

/// Bytes of records of a source that is no queue which may be in hand before no more is taken: records may be
/// large, and are kept until they are settled.
constexpr std::size_t bytes_in_hand_max = blocks_in_hand_max * limits::block_size_bytes_max;

/// A drained replica waits no longer for its setup: it has no record yet.
constexpr std::chrono::seconds setup_wait_max{10};

constexpr std::chrono::milliseconds backoff_min{100};
constexpr std::chrono::milliseconds backoff_max{5000};

/// A position as it is stored: the seq, and behind a blank the mark if there is one. Without a mark it is what every Sluice has written.
std::string position_text(const source_position& position);

/// The other way round; none if `text` is no position. Empty text is the beginning.
std::optional<source_position> read_position(std::string_view text);

/// How often a drain has a sink that fails try again, which takes a second or two.
constexpr std::uint32_t drain_push_tries_max = 5;

/// How many records to ask for next.
///
/// `previous` 0 = nothing was asked for yet: starts with one record per concurrent
/// call, because nothing is known about what a record costs. `per_record` is the mean
/// time in user code; while it is 0, unknown, the number does not grow. Always within [1, batch_size].
std::uint32_t records_next(std::uint32_t previous, std::chrono::nanoseconds per_record,
                           std::uint32_t num_concurrency, std::uint32_t batch_size) noexcept;

/// Full jitter between half of and the whole exponential delay, so that replicas which
/// failed together do not come back together. `tries` counts from 1, `random` is
/// uniform in [0, 2^32).
std::chrono::milliseconds backoff_delay(std::uint32_t tries, std::uint32_t random,
                                        std::chrono::milliseconds min,
                                        std::chrono::milliseconds max) noexcept;

/// Next number of a stream that depends only on its seed.
std::uint32_t next_random(std::uint64_t& stream) noexcept;

} // namespace sluice::replica
