#pragma once

#include <sluice/http/client_port.hpp>

#include <cstddef>
#include <functional>
#include <memory>

namespace sluice::http {

/// Calls of one client at the same time, each on a thread for as long as it takes.
constexpr std::size_t client_calls_max = 128;
/// Calls that wait for one of these threads, at most until their own time is over; more are refused.
constexpr std::size_t client_calls_waiting_max = 1000;

/// Starts a thread that runs `body` to its end.
using thread_starter = std::function<void(std::function<void()> body)>;

/// The HTTP client of coroutines, on cpp-httplib: a connection per call, HTTP/1.1, https with the system's
/// certificates. Threads come with calls and end when none waits. Destroying it cuts what is under way.
std::unique_ptr<client_port> make_client(thread_starter start_thread);

} // namespace sluice::http
