#pragma once

#include "actors/batch/batch_port.hpp"

#include <memory>

namespace sluice::batch {

/// An executor whose coroutines run on the thread that waits for them. `client` is what their HTTP calls are sent by;
/// may be none.
std::shared_ptr<loop_executor> make_run_loop(http::client_port* client);

} // namespace sluice::batch
