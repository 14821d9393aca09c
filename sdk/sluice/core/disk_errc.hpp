#pragma once

#include <sluice/core/errc.hpp>

namespace sluice {

/// Returns the code for a file that the system refused with this `errno`: `exhausted` where there is no space,
/// `permission_denied` where the user may not, else `unavailable`.
errc errc_of_disk(int error) noexcept;

} // namespace sluice
