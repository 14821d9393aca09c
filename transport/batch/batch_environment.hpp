#pragma once

#include "actors/batch/batch_port.hpp"

#include <memory>

namespace sluice::batch {

/// The real environment. `client` is what HTTP calls of coroutines are sent by; outlives it; may be none.
std::shared_ptr<environment_port> make_environment(http::client_port* client);

} // namespace sluice::batch
