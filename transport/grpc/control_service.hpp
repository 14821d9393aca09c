#pragma once

#include "transport/grpc/artifact_admission_port.hpp"
#include "actors/cluster/cluster_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace caf {
class actor_system;
}

namespace sluice::control {

/// What a worker needs to join.
struct join_token {
  std::string token;
  std::string ca_fingerprint; ///< SHA-256 of the CA certificate in hex
  std::string link_address;   ///< "HOST:PORT"
  std::chrono::system_clock::time_point expires_at;
};

/// What the service asks others for. All callbacks may be called from several threads
/// at once and must outlive the server.
struct control_backend {
  cluster::handle cluster;
  queue::admin_handle queues;
  artifact_admission_port* artifacts = nullptr;

  /// Compares in constant time.
  std::function<bool(std::string_view token)> is_token_valid;
  std::function<result<join_token>(std::chrono::seconds ttl)> create_join_token;
  std::function<result<std::string>()> show_token;
  std::string ca_fingerprint;

  /// Asks the process to end; returns at once.
  std::function<void(std::string reason)> stop;
};

struct control_server_options {
  std::string socket_path; ///< unix socket in a directory of mode 0700; empty = none
  std::string tcp_address; ///< "HOST:PORT", port 0 = any free one; empty = none
  /// The address that others reach the TCP port by, for people; none = as in `tcp_address`.
  std::function<std::string(std::uint16_t port)> address_for_others;
  /// For TCP, PEM. A certificate of the cluster's CA for the role `head`, and behind it
  /// the CA's own, so that clients can compare its fingerprint.
  std::string certificate_chain;
  std::string private_key;
};

/// The control API of a head: one RPC = parse, one request to an actor, render.
///
/// Owns its threads, at most `calls_max` of them; an idle server has two that sleep.
/// Calls over TCP need the cluster token, those over the unix socket the right to open
/// it. Ends in its destructor, which waits for running calls for at most `stop_grace`.
class control_server {
public:
  static constexpr int calls_max = 32;         ///< further calls are answered `overloaded`
  static constexpr int log_followers_max = 16; ///< each holds one of them
  static constexpr std::chrono::seconds stop_grace{2};

  virtual ~control_server() = default;

  /// The real port of the TCP listener; 0 without one.
  virtual std::uint16_t tcp_port() const noexcept = 0;
};

/// Listens and serves until the result is destroyed. `sys` must outlive it. Fails with
/// `conflict` when the port is taken and with `invalid_argument` when a socket path is
/// too long or TCP has no certificate.
result<std::unique_ptr<control_server>> start_control_server(caf::actor_system& sys, control_backend backend,
                                                             control_server_options options);

} // namespace sluice::control
