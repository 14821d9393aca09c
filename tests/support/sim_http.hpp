#pragma once

#include "tests/support/fake_exchange.hpp"
#include "tests/support/sim_cluster.hpp"
#include "actors/ingress/router.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace sluice::testing {

/// HTTP in a simulated cluster: every node has a real router, fed by its real agent; clients send
/// requests to all of them, which simulated replicas answer after some milliseconds.
///
/// A replica takes requests while it runs and refuses them otherwise; what a host has when it
/// is killed is lost. A node's router goes with its process.
class sim_http {
public:
  /// @pre no node has been added yet
  explicit sim_http(sim_cluster& world);
  ~sim_http();
  sim_http(const sim_http&) = delete;
  sim_http& operator=(const sim_http&) = delete;

  /// Starts `rate_per_s` requests a second for `path`, GET and POST in turn, spread over the nodes that are up.
  void start_load(std::string path, unsigned rate_per_s);
  void stop_load() { ++load_; }

  struct outcome {
    std::size_t sent = 0;
    std::size_t answered = 0;  ///< 200
    std::size_t lost = 0;      ///< 502, of which
    std::size_t lost_get = 0;  ///< were harmless to repeat
    std::size_t refused = 0;   ///< 503 and 504
    std::size_t not_found = 0; ///< 404
    std::size_t open = 0;      ///< no answer yet
    std::size_t gone = 0;      ///< with their node
    std::uint64_t taken = 0;   ///< by replicas
    std::uint64_t retried = 0; ///< refused by one replica, then given to another
  };
  outcome result() const;

private:
  struct sent_request {
    method by;
    std::size_t node;
    std::uint64_t epoch; ///< of the node's router
    std::shared_ptr<test::fake_answer> seen;
  };
  struct front {
    std::uint64_t epoch = 0;
    std::unique_ptr<ingress::router> routes;
  };
  class target;

  ingress::time_point now() const;
  std::chrono::nanoseconds between(int low_us, int high_us);
  void take_routes(std::size_t index, const ingress::route_table& table);
  void send_one(const std::string& path);
  void load(const std::string& path, std::chrono::nanoseconds gap, std::uint64_t number);
  void tick();
  const sim_host* host_of(replica_id replica) const;
  bool is_there(host_id host) const;
  void arrive(replica_id replica, exchange_ptr call);

  sim_cluster& world_;
  std::shared_ptr<bool> is_over_ = std::make_shared<bool>(false);
  std::mt19937_64 random_;
  std::map<std::size_t, front> fronts_;
  std::vector<sent_request> sent_;
  std::uint64_t load_ = 0;
  std::uint64_t taken_ = 0;
};

} // namespace sluice::testing
