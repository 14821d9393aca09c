#pragma once

#include "actors/collect/collector_port.hpp"
#include "actors/ingress/http_port.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/ingress/rooms.hpp"
#include "actors/ingress/router_state.hpp"
#include "actors/ingress/target_port.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace sluice::ingress {

/// Makes the answer of `/openapi.json` or `/docs`; `flow` if one was asked for, which is in the table. Called
/// once per table and flow, on the thread of the first request for it.
using page_maker = std::function<response(const route_table& table, const std::optional<flow_name>& flow)>;

struct router_options {
  node_id here;           ///< targets of this node go first
  std::uint64_t seed = 1; ///< spreads load; any number

  /// Where the requests for a replica go, none if it is out of reach now. Kept until the target moves. Any
  /// thread, under a lock: must not block nor call back.
  std::function<target_ptr(const route_target&)> reach;

  /// The clock. Any thread.
  std::function<time_point()> now;

  /// Of the WebSockets here; none = the router makes its own, which no other ingress knows.
  std::shared_ptr<ingress::rooms> rooms = {};
  /// Whose sink is a queue; any thread. None = no route has one.
  collect::find_collector collector = {};
  /// Called whenever a request begins to wait: `tick` is needed again. Any thread; must not block nor call back.
  std::function<void()> on_waiting = {};

  page_maker openapi = {}; ///< none = 404, as for `docs`
  page_maker docs = {};
};

/// Brings requests to replicas: finds their route, picks a replica, lets them wait while all are busy
/// and gives them to another one if theirs refuses them or ends.
///
/// An object and no actor, since every request passes it. Made and owned by who runs the HTTP server, fed by the
/// node actor with `set_routes`; any thread. It may be destroyed while requests are in flight: they end as
/// they would, but nobody waits any more, so empty it with `close` first.
///
/// A request is answered here with 404 or 405 (no such route), 429 (its route's rate), 503 (queue full, its flow drains, or no routes
/// are known yet), 504 (deadline passed while it waited) and 502 (its replica ended with it and it must not be repeated, or
/// `losses_max` replicas have). A deadline that passes at the replica is the server's affair.
class router final : public http_handler {
public:
  explicit router(router_options options);
  ~router() override;

  /// Takes over a complete table. Waiting requests of a route that is gone or drains are refused.
  void set_routes(const route_table& table);

  head_decision decide(request& head) override;
  /// @param route of `decide`; null = looked up again
  void handle(exchange_ptr call, std::shared_ptr<const void> route) override;

  /// Refuses requests whose deadline has passed and looks again at targets that had a pause. Nothing else
  /// notices time: to be called every `tick_interval`, and after it has returned false, which says that
  /// nobody waits, every `idle_tick_interval` until `on_waiting`.
  bool tick();
  static constexpr auto tick_interval = std::chrono::milliseconds{20};
  static constexpr auto idle_tick_interval = std::chrono::milliseconds{500};

  /// Refuses all that wait and all that come (`errc::shutting_down`); what is at a replica goes on.
  void close();

  /// Of all routes in the table.
  std::vector<route_statistics> statistics() const;
  /// The same by processor, as a node reports it.
  std::vector<processor_load> loads() const;

private:
  struct table_view;
  using key = std::tuple<flow_name, processor_name, method, std::string>;

  std::shared_ptr<const table_view> view() const;
  head_decision answer_unmatched(const request& head, const table_view& table,
                                 const route_match& match) const;
  static error_form form_of_path(const table_view& table, std::string_view path);
  static method_set methods_like(const table_view& table, std::size_t route, std::string_view path);
  std::optional<response> page(const request& head, const table_view& table) const;

  const std::shared_ptr<const router_options> options_;
  std::mutex updates_; ///< held by `set_routes` and `close`
  std::map<key, std::shared_ptr<class lane>> lanes_;
  std::uint64_t seeds_;
  bool is_closed_ = false;
  mutable std::mutex mutex_; ///< guards `view_`, for the time of a copy
  std::shared_ptr<const table_view> view_;
};

} // namespace sluice::ingress
