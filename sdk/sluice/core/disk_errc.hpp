#pragma once

#include <sluice/core/errc.hpp>

namespace sluice {

/// The code for a file that the system refused with this `errno`: `exhausted` where there is no space, `permission_denied`
/// where the user may not, else `otherwise`.
errc errc_of_disk(int error, errc otherwise = errc::unavailable) noexcept;

} // namespace sluice
