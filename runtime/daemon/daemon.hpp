#pragma once

#include "runtime/config/options.hpp"

#include <sluice/core/result.hpp>

#include <filesystem>
#include <functional>

/// The two node processes, composed: each builds its parts, starts them in order, waits
/// for SIGTERM, SIGINT or SIGHUP and stops them in reverse.
namespace sluice::daemon {

using on_ready = std::function<void(const config::ready_info&)>;

/// Runs the head of a cluster, with a worker in the same process unless the options say
/// otherwise, until it is told to stop. Everything it knows is under
/// `options.state_dir`, which the caller has claimed. Fails when it cannot serve, with
/// what was missing; `ready` is called once it does. Call it from the main thread
/// before other threads are made: it blocks the signals that end it.
result<void> run_head(const config::node_options& options, const on_ready& ready);

/// Runs a worker in the same way. Joins the cluster first if it has no certificate yet.
result<void> run_worker(const config::node_options& options, const on_ready& ready);

/// Whether the worker of `state_dir` has a certificate that has not expired.
bool has_joined(const std::filesystem::path& state_dir);

} // namespace sluice::daemon
