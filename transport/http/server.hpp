#pragma once

#include "transport/http/server_options.hpp"
#include "actors/ingress/http_port.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::http {

/// An HTTP/1.1 server: listens, reads requests within bounds, refuses what is dangerous, hands the
/// rest to a handler and sends the answers (`transport/http/README.md` says what exactly).
///
/// Ends gracefully by `stop_accepting`, then `drain`, then `stop`; each may be left out and
/// repeated. May be called from any thread but the server's own.
class server {
public:
  /// Listens on all addresses when it returns. `handler` outlives the server. Fails with `conflict` for an
  /// address in use, `invalid_argument` for one that is none and for certificates that do not fit.
  static result<std::unique_ptr<server>> start(server_options options, ingress::http_handler& handler);

  /// Stops, cutting what is open.
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// The ports listened on, in the order of `addresses`.
  const std::vector<std::uint16_t>& ports() const noexcept;
  std::size_t connection_count() const;

  /// Closes the listening sockets; open connections go on.
  void stop_accepting();

  /// Stops accepting, closes idle connections at once and the others with their current answer
  /// (`Connection: close`). Returns true when none is open any more, false when `patience` was
  /// over before.
  bool drain(std::chrono::milliseconds patience);

  /// Cuts streamed answers: they often end with their client only. Returns at once.
  void cut_streams();

  /// Closes what is open. No callback runs once this has returned; exchanges may be answered later,
  /// to no effect.
  void stop();

private:
  struct parts;
  explicit server(std::unique_ptr<parts> parts);
  std::unique_ptr<parts> parts_;
};

} // namespace sluice::http
