#pragma once

#include "runtime/daemon/identity.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::daemon {

/// "HOST:PORT" that another process can connect to when this one listens on `listen`. Where that is
/// every address (0.0.0.0 or ::), it is the first of this machine's own that is not
/// loopback, or its host name when it has none.
std::string address_for_others(const std::string& listen, std::uint16_t port);

/// What to change when listening on `listen` failed so: the port, whose setting is named, or the address.
std::string listen_advice(errc code, const std::string& listen, const std::string& port_setting);

/// The address that this machine has towards `to`: a loopback one for itself. None if there is no
/// way there. Looks names up, so it may wait.
std::optional<std::string> local_address_towards(const host_port& to);

} // namespace sluice::daemon
