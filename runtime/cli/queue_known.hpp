#pragma once

#include "sdk/client/control_client.hpp"

#include <sluice/core/result.hpp>

#include <string>

namespace sluice::cli {

/// `not_found`, with the name that was probably meant, unless the queue exists. To be asked where an answer
/// was empty: a queue that is not there answers as an empty one does.
result<void> check_queue_known(client::control_client& head, const std::string& queue);

} // namespace sluice::cli
