#pragma once

#include "transport/http/server_options.hpp"
#include "actors/collect/collector_port.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/ingress/router_state.hpp"
#include "actors/ingress/target_port.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::http {
class access_log;
class server;
} // namespace sluice::http
namespace sluice::ingress {
class rooms;
class router;
} // namespace sluice::ingress

namespace sluice::runtime {

/// The public HTTP side of a process: the server, the router behind it, and the beat that tells the
/// router of time. A part of every worker node, and of local mode when the flow has routes.
///
/// Any thread, but for `stop`, which is called once, last.
class http_front {
public:
  struct settings {
    http::server_options server;
    node_id here; ///< its replicas go first
    /// Where requests for a replica go; as `ingress::router_options::reach`.
    std::function<ingress::target_ptr(const ingress::route_target&)> reach;
    std::shared_ptr<ingress::rooms> rooms = {}; ///< as `ingress::router_options::rooms`
    collect::find_collector collector = {};     ///< as `ingress::router_options::collector`
    std::filesystem::path access_log_dir = {};  ///< for a line per answered request; empty = none
    bool docs = true;                           ///< /openapi.json and /docs are served
    std::function<void()> on_beat = {};         ///< called with every beat, on its thread; must not block
  };

  /// Listens when it returns. Fails as `http::server::start` does.
  static result<std::unique_ptr<http_front>> start(settings what);

  /// Calls `stop`.
  ~http_front();
  http_front(const http_front&) = delete;
  http_front& operator=(const http_front&) = delete;

  void set_routes(const ingress::route_table& table);
  std::vector<ingress::route_statistics> statistics() const;
  std::vector<ingress::processor_load> loads() const;

  const std::vector<std::uint16_t>& ports() const noexcept;

  /// Takes no connection and no request more; returns once all that are open have ended, or false
  /// after `patience`.
  bool drain(std::chrono::milliseconds patience);

  /// As `http::server::cut_streams`.
  void cut_streams();

  void stop();

private:
  class beat;
  http_front(std::unique_ptr<http::access_log> log, std::shared_ptr<beat> pulse,
             std::unique_ptr<ingress::router> router, std::unique_ptr<http::server> server);

  std::unique_ptr<http::access_log> access_log_; ///< outlives the server, like the next
  std::unique_ptr<ingress::router> router_;
  std::unique_ptr<http::server> server_;
  std::shared_ptr<beat> beat_; ///< requests that are late may wake it still
  bool is_stopped_ = false;
};

/// Reads "HOST:PORT", "[::1]:PORT" or ":PORT". Fails with `invalid_argument`.
result<http::listen_address> parse_http_address(const std::string& text);

/// All routes of a flow whose replicas run in this process. `replicas` are those of its host.
ingress::route_table routes_of(const flow_spec& spec,
                               const std::vector<std::pair<processor_name, replica_id>>& replicas,
                               const node_id& here);

} // namespace sluice::runtime
