#include <sluice/core/errc.hpp>

namespace sluice {

std::string_view to_string(errc code) noexcept {
  switch (code) {
  case errc::ok:
    return "ok";
  case errc::invalid_argument:
    return "invalid_argument";
  case errc::not_found:
    return "not_found";
  case errc::conflict:
    return "conflict";
  case errc::unauthenticated:
    return "unauthenticated";
  case errc::permission_denied:
    return "permission_denied";
  case errc::unavailable:
    return "unavailable";
  case errc::timeout:
    return "timeout";
  case errc::overloaded:
    return "overloaded";
  case errc::shutting_down:
    return "shutting_down";
  case errc::stale:
    return "stale";
  case errc::corrupt:
    return "corrupt";
  case errc::exhausted:
    return "exhausted";
  case errc::unsupported:
    return "unsupported";
  case errc::cancelled:
    return "cancelled";
  case errc::internal:
    return "internal";
  }
  return "unknown";
}

} // namespace sluice
