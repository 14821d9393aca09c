#pragma once

#include "actors/ingress/router.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// The moving parts of the router, private to this folder.
namespace sluice::ingress {

class call;

/// The queue and targets of one route with their lock, and what happens to requests outside it.
///
/// Lives as long as the table or a request needs it. No function is called under the lock but
/// `router_options::reach`, and whether a request is cancelled.
class lane : public std::enable_shared_from_this<lane> {
public:
  lane(std::shared_ptr<const router_options> options, std::uint64_t seed)
    : options_(std::move(options)), state_(seed) {}

  void update(const route_entry& entry);
  void close();
  /// Whether requests wait.
  bool tick();
  /// Lets waiting requests go on as far as targets have room.
  void pump();

  /// As `route_state::limit_rate`.
  std::optional<std::chrono::seconds> limit_rate();
  void submit(exchange_ptr client);
  /// The session of a request that is to be a WebSocket, with the rooms of this processor. It has its place at the
  /// target until it ends.
  std::shared_ptr<rooms::member> enter(std::shared_ptr<websocket_session> session, slot_ptr target);
  route_statistics statistics() const;

  // What becomes of a request at a target.
  void handed_to_sink(target_place& place) noexcept;
  /// Its results go to a queue, and `request` is answered when they are there.
  void collect(exchange_ptr request, target_place& place, queue_results results) noexcept;
  /// @param since when the request came; none: it does not tell how quick the route is
  void answered(target_place& place, unsigned status, std::optional<time_point> since = {}) noexcept;
  void refused(const std::shared_ptr<call>& request, target_place& place, failure why) noexcept;
  void lost(const std::shared_ptr<call>& request, target_place& place, bool has_begun,
            bool can_repeat) noexcept;
  void cancelled(call& request) noexcept;

private:
  void hand_over(assigned next);
  void refuse_all(const std::vector<pending_ptr>& requests, const failure& why);
  void count_unwanted(const call& request) noexcept;
  void note_waiting() const;
  std::string name() const;
  failure not_now(bool is_failed) const;
  collect::collector_ptr collector_for(const queue_name& queue);
  void look_at_sinks();

  const std::shared_ptr<const router_options> options_;
  mutable std::mutex mutex_;
  route_state state_;
  bool is_closed_ = false;
  std::set<flow_version> versions_;                                       ///< of its replicas
  std::vector<std::pair<queue_name, collect::collector_ptr>> collectors_; ///< of these versions
};

/// One request: the client's exchange and where it stands, over all attempts.
class call final : public pending, public std::enable_shared_from_this<call> {
public:
  call(exchange_ptr client, std::shared_ptr<lane> where)
    : pending(client->deadline), client(std::move(client)), where(std::move(where)),
      log(dynamic_cast<client_exchange*>(this->client.get())) {}

  const exchange_ptr client; ///< its `in` holds the request while it is at no target
  const std::shared_ptr<lane> where;
  client_exchange* const log; ///< `client`, if it wants to know who has it; else null

  /// Makes the client's going known here, once.
  void watch();
  /// What runs when the client goes; replaces the one before.
  void when_cancelled(std::function<void()> stop);
  /// The attempt it belonged to is over.
  void forget_stop();
  bool is_cancelled() const;

private:
  void on_cancelled();

  mutable std::mutex mutex_;
  std::function<void()> stop_;
  bool is_watched_ = false;
  bool is_cancelled_ = false;
};

/// A request at one target. Ends once: by an answer, by being refused, or by being dropped. One whose results are on their way to
/// a queue needs the target no more.
class attempt final : public exchange, public std::enable_shared_from_this<attempt> {
public:
  attempt(std::shared_ptr<call> whole, slot_ptr target, bool wants_sink_notice);
  ~attempt() override;

  void handed_to_sink() noexcept override;
  void collect(queue_results results) noexcept override;
  void respond(response answer) noexcept override;
  void refuse(failure why) noexcept override;
  void begin(response head) noexcept override;
  bool write(std::string part) noexcept override;
  std::size_t waiting_bytes() const noexcept override;
  void when_writable(std::function<void()> resume) noexcept override;
  void finish() noexcept override;
  /// From then on it is no request any more, but it has its place at the target until the connection ends.
  bool upgrade(std::shared_ptr<websocket_session> session) noexcept override;
  void when_cancelled(std::function<void()> stop) noexcept override;

private:
  enum class stage : std::uint8_t { taken, begun, at_sink, ended };

  bool move(stage from, stage to) noexcept { return stage_.compare_exchange_strong(from, to); }
  bool is_whole() const noexcept;

  const std::shared_ptr<call> whole_;
  target_place place_; ///< guarded by the lane's mutex
  const std::size_t body_size_;
  const std::size_t header_count_;
  std::atomic<stage> stage_{stage::taken};
  unsigned status_ = 0; ///< of a begun answer
};

} // namespace sluice::ingress
