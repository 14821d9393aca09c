#include "transport/peer/request_links.hpp"

#include "transport/link/link_state.hpp"
#include "actors/inline_executor.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::peer {

namespace {

/// Spreads reconnects of many nodes to one that came back: which part of the pause is drawn.
double spread_of(const node_id& node, std::uint32_t failures) {
  return static_cast<double>((std::hash<std::string>{}(node.value) + failures * 2654435761u) % 1000) / 1000.0;
}

} // namespace

// ---- the end that has the clients ----------------------------------------------------

/// The link to one node:
///
///      1 idle       -> connecting   a request comes, and no pause is on
///      2 connecting -> up           there is a link: what waited goes out
///      3 connecting -> idle         there is none: what waited is refused, a pause begins
///      4 up         -> idle         it broke, or nobody has used it for long
class request_links::node_link : public std::enable_shared_from_this<node_link> {
public:
  node_link(std::shared_ptr<const options> with, node_id node, std::string address)
    : options_(std::move(with)), node_(std::move(node)), address_(std::move(address)) {}

  ingress::target_ptr way_to(replica_id replica) { return caller_->target_for(replica); }

  void submit(const ingress::target_ptr& way, exchange_ptr call) {
    bool must_connect = false;
    {
      std::lock_guard lock{mutex_};
      used_at_ = options_->now();
      if (phase_ == phase::idle && (is_over_ || used_at_ < pause_until_)) {
        // refused below
      } else if (phase_ != phase::up) {
        must_connect = phase_ == phase::idle;
        phase_ = phase::connecting;
        waiting_.push_back({way, std::move(call)});
      }
    }
    if (must_connect)
      connect();
    else if (call)
      way->submit(std::move(call)); // without a link it refuses
  }

  void send_room_message(const ingress::room_message& what, const std::string& body) {
    bool must_connect = false;
    bool waits = false;
    bool is_lost = false;
    {
      std::lock_guard lock{mutex_};
      used_at_ = options_->now();
      if (phase_ == phase::idle && (is_over_ || used_at_ < pause_until_)) {
        is_lost = true;
      } else if (phase_ != phase::up) {
        is_lost = room_bytes_waiting_ + body.size() > room_bytes_waiting_max;
        if (!is_lost) {
          waits = true;
          must_connect = phase_ == phase::idle;
          phase_ = phase::connecting;
          room_bytes_waiting_ += body.size();
          room_messages_waiting_.push_back({what.flow, what.processor, body});
        }
      }
    }
    if (must_connect)
      connect();
    else if (is_lost || (!waits && !caller_->send_room_message(body)))
      options_->on_room_message_lost(what.flow, what.processor);
  }

  /// Closes the link if nobody has used it for long. Returns true if nothing of it is left.
  bool close_if_unused() {
    link::connection_ptr link;
    {
      std::lock_guard lock{mutex_};
      if (phase_ == phase::connecting || options_->now() - used_at_ < options_->idle_max)
        return false;
      if (phase_ == phase::up) {
        if (!caller_->leave_if_unused())
          return false;
        phase_ = phase::idle;
        link = std::exchange(link_, nullptr);
      }
    }
    if (link)
      link->close({errc::cancelled, "nobody has used the link for long"});
    return true;
  }

  void close(const failure& why) {
    link::connection_ptr link;
    {
      std::lock_guard lock{mutex_};
      is_over_ = true;
      link = link_;
    }
    if (link)
      link->close(why);
  }

  bool is_up() const {
    std::lock_guard lock{mutex_};
    return phase_ == phase::up;
  }

private:
  enum class phase : std::uint8_t { idle, connecting, up };

  struct waiting {
    ingress::target_ptr way;
    exchange_ptr call;
  };
  struct waiting_cast {
    flow_name flow;
    processor_name processor;
    std::string body;
  };

  void connect() {
    if (!connector_)
      connector_ = options_->connector(node_, address_);
    if (!connector_)
      return settle(fail(errc::unavailable, "'" + address_ + "' is no address"));
    connector_->connect([weak = weak_from_this()](result<link::connection_ptr> made) {
      if (auto self = weak.lock())
        self->settle(std::move(made));
    });
  }

  void settle(result<link::connection_ptr> made) {
    if (made) {
      {
        std::lock_guard lock{mutex_};
        link_ = *made;
      }
      caller_->opened(*made);
      (*made)->start(
        {[caller = caller_](std::vector<link::frame> frames) {
           const inline_hold together; // collectors write what all these bring in one piece
           for (auto& each : frames)
             caller->take(each);
         },
         [self = shared_from_this(), link = made->get()](const failure& why) { self->broken(link, why); }});
    }
    std::vector<waiting> ready;
    std::vector<waiting_cast> room_messages;
    bool is_over = false;
    {
      std::lock_guard lock{mutex_};
      ready.swap(waiting_);
      room_messages.swap(room_messages_waiting_);
      room_bytes_waiting_ = 0;
      is_over = is_over_;
      used_at_ = options_->now();
      phase_ = link_ ? phase::up : phase::idle; // it may have broken already
      if (!made)
        pause();
    }
    if (made && is_over)
      (*made)->close({errc::shutting_down, "the node stops"});
    for (auto& each : room_messages)
      if (!made || !caller_->send_room_message(std::move(each.body)))
        options_->on_room_message_lost(each.flow, each.processor);
    for (auto& each : ready)
      if (made)
        each.way->submit(std::move(each.call));
      else
        each.call->refuse({errc::unavailable, "no link to " + node_.value + ": " + made.error().message});
  }

  void broken(const link::connection* link, const failure& why) {
    link::connection_ptr gone;
    {
      std::lock_guard lock{mutex_};
      if (link_.get() != link)
        return; // given up before
      gone.swap(link_);
      if (phase_ == phase::up)
        phase_ = phase::idle;
      failures_ = 0;
      pause();
    }
    caller_->closed(why);
  }

  void pause() {
    pause_until_ = options_->now() + link::reconnect_delay(failures_, spread_of(node_, failures_));
    ++failures_;
  }

  const std::shared_ptr<const options> options_;
  const node_id node_;
  const std::string address_;
  const std::shared_ptr<request_caller> caller_ = std::make_shared<request_caller>();
  mutable std::mutex mutex_;
  phase phase_ = phase::idle;
  link::connection_ptr link_;
  std::shared_ptr<link::connector> connector_; ///< of who has just begun to connect
  std::vector<waiting> waiting_;
  std::vector<waiting_cast> room_messages_waiting_;
  std::size_t room_bytes_waiting_ = 0;
  clock::time_point used_at_{};
  clock::time_point pause_until_ = clock::time_point::min();
  std::uint32_t failures_ = 0;
  bool is_over_ = false;
};

class request_links::remote_target final : public ingress::target_port {
public:
  remote_target(std::shared_ptr<node_link> link, replica_id replica)
    : link_(std::move(link)), way_(link_->way_to(replica)) {}

  void submit(exchange_ptr call) override { link_->submit(way_, std::move(call)); }

private:
  const std::shared_ptr<node_link> link_;
  const ingress::target_ptr way_;
};

request_links::~request_links() {
  for (auto& [key, link] : links_)
    link->close({errc::shutting_down, "the node stops"});
}

ingress::target_ptr request_links::reach(const ingress::route_target& where) {
  if (where.address.empty())
    return nullptr;
  return std::make_shared<remote_target>(link_to(where.node, where.address), where.replica);
}

std::shared_ptr<request_links::node_link> request_links::link_to(const node_id& node,
                                                                 const std::string& address) {
  std::lock_guard lock{mutex_};
  auto& link = links_[{node, address}];
  if (!link)
    link = std::make_shared<node_link>(options_, node, address);
  return link;
}

void request_links::publish(const ingress::room_message& what, const std::vector<ingress::ingress_node>& to) {
  if (to.empty())
    return;
  const auto body = encode(what);
  for (const auto& each : to)
    link_to(each.node, each.address)->send_room_message(what, body);
}

void request_links::tick() {
  std::lock_guard lock{mutex_};
  std::erase_if(links_, [](const auto& one) {
    // A target may still hold it: then it stays, to be closed again.
    return one.second->close_if_unused() && one.second.use_count() == 1;
  });
}

std::size_t request_links::open_count() const {
  std::lock_guard lock{mutex_};
  return static_cast<std::size_t>(
    std::ranges::count_if(links_, [](const auto& one) { return one.second->is_up(); }));
}

// ---- the end that has the replicas ----------------------------------------------------

struct request_door::open_links {
  std::mutex mutex;
  std::set<link::connection_ptr> all;
  bool is_over = false;
};

request_door::request_door(std::function<ingress::target_ptr(replica_id)> find,
                           std::shared_ptr<ingress::rooms_port> rooms)
  : find_(std::move(find)), rooms_(std::move(rooms)), links_(std::make_shared<open_links>()) {}

request_door::~request_door() {
  std::set<link::connection_ptr> all;
  {
    std::lock_guard lock{links_->mutex};
    links_->is_over = true;
    all = links_->all; // each leaves when it is closed
  }
  for (const auto& link : all)
    link->close({errc::shutting_down, "the node stops"});
}

void request_door::serve(link::connection_ptr link) {
  auto server = std::make_shared<request_server>(find_, rooms_);
  {
    std::lock_guard lock{links_->mutex};
    if (links_->is_over)
      return;
    links_->all.insert(link);
  }
  server->opened(link);
  auto* raw = link.get();
  link->start({[server](std::vector<link::frame> frames) {
                 for (auto& each : frames)
                   server->take(each);
               },
               [server, links = links_, raw](const failure& why) {
                 link::connection_ptr gone;
                 {
                   std::lock_guard lock{links->mutex};
                   auto at = std::ranges::find(links->all, raw, &link::connection_ptr::get);
                   if (at != links->all.end()) {
                     gone = *at;
                     links->all.erase(at);
                   }
                 }
                 server->closed(why);
               }});
}

std::size_t request_door::open_count() const {
  std::lock_guard lock{links_->mutex};
  return links_->all.size();
}

} // namespace sluice::peer
