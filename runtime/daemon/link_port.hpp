#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

/// Which port a head listens on for its links. Its workers know no other than the one it had when they
/// joined, so a head keeps it over restarts, in `<state>/link-port`.
namespace sluice::daemon {

struct link_port_choice {
  std::uint16_t port = 0;                    ///< 0 = any free one
  bool or_any = false;                       ///< any free one will do if it is taken
  std::optional<std::uint16_t> earlier = {}; ///< of the earlier start, if there was one

  friend bool operator==(const link_port_choice&, const link_port_choice&) = default;
};

/// @param is_given somebody chose `wanted`: it is no default
/// @param earlier what an earlier start stored
link_port_choice choose_link_port(std::uint16_t wanted, bool is_given, std::optional<std::uint16_t> earlier);

/// Why a head whose chosen port failed with `why` does not start, and what to do.
failure cannot_listen(const link_port_choice& choice, const failure& why, const std::string& listen);

/// What to tell when the head serves on `port`: the workers that look for it at the earlier one. Empty = nothing.
std::string moved_warning(const link_port_choice& choice, std::uint16_t port,
                          const std::string& link_address);

/// The port of the last start; nullopt when there is none that makes sense.
std::optional<std::uint16_t> read_link_port(const std::filesystem::path& state_dir);
/// Stores it, in one step, if it is another than before.
result<void> keep_link_port(const std::filesystem::path& state_dir, std::uint16_t port);

} // namespace sluice::daemon
