#pragma once

#include <sluice/core/result.hpp>

#include <cstddef>
#include <functional>
#include <string_view>

namespace sluice {

/// The reduce step of a batch with the types rubbed off: values by key, of which two of a key are
/// merged. One thread; refers to the body that made it.
///
/// Holds every key in memory until `write`.
class reduction {
public:
  virtual ~reduction() = default;

  /// Decodes a record, calls the user's function and keeps what it returned apart; fails as
  /// `processor_body::process` does, and then nothing is kept. Sync bodies only.
  virtual result<void> map(std::string_view payload) = 0;

  /// Merges what `map` kept. A failure is the merge function's: some values may be in and some not, so
  /// the whole reduction is to be thrown away.
  virtual result<void> take_mapped() = 0;
  virtual std::size_t mapped_count() const noexcept = 0;

  /// Merges one encoded value: a result of an async body, or what `write` gave. Fails as `take_mapped`.
  virtual result<void> merge(std::string_view encoded) = 0;

  virtual std::size_t key_count() const noexcept = 0;

  /// Gives each value, encoded, in the order of the keys, then holds none.
  virtual result<void> write(const std::function<result<void>(std::string_view)>& give) = 0;
};

} // namespace sluice
