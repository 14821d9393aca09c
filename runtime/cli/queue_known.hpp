#pragma once

#include "sdk/client/control_client.hpp"

#include <sluice/core/result.hpp>

#include <string>

namespace sluice::cli {

/// `invalid_argument`, with the rule, for what can be no queue's name.
result<void> check_queue_name(const std::string& queue);

/// `not_found`, with the name that was probably meant, unless the queue exists. To be asked where an answer
/// was empty: a queue that is not there answers as an empty one does.
result<void> check_queue_known(client::control_client& head, const std::string& queue);

} // namespace sluice::cli
