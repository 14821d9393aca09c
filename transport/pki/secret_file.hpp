#pragma once

#include <sluice/core/result.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::pki {

/// Writes a file that only its owner may read (0600): to a new file beside it, synced,
/// then renamed over it, so that a reader sees the old text or the new one and a crash
/// leaves one of them whole. Fails with `unavailable`, naming the path.
result<void> write_secret(const std::filesystem::path& path, std::string_view text);

/// Reads what `write_secret` wrote. Fails with `not_found` when there is no such file, and with
/// `permission_denied`, naming the path and the command that mends it, when it cannot be
/// read, belongs to another user or is open to others: never goes on without.
result<std::string> read_secret(const std::filesystem::path& path);

} // namespace sluice::pki
