#include "runtime/daemon/node_links.hpp"

#include "runtime/daemon/address.hpp"
#include "runtime/daemon/identity.hpp"
#include "runtime/daemon/log.hpp"

namespace sluice::daemon {

namespace {

using namespace std::chrono_literals;

constexpr auto tick_every = 1s;

/// A request does not wait longer than this for a node that does not answer.
constexpr auto connect_deadline = 2s;

peer::request_links::options connecting(const link::io_thread& io, link::link_options link,
                                        std::shared_ptr<ingress::rooms_port> rooms) {
  link.timing.handshake_deadline = connect_deadline;
  link.expect_role = link::peer_role::node;
  peer::request_links::options out;
  if (rooms)
    out.on_room_message_lost = [rooms = std::move(rooms)](const flow_name& flow,
                                                          const processor_name& processor) {
      rooms->note_lost(flow, processor);
    };
  out.connector = [&io, link](const node_id& node,
                              const std::string& text) -> std::shared_ptr<link::connector> {
    auto at = parse_address(text);
    if (!at)
      return nullptr;
    auto to = link;
    to.expect_name = node.value;
    return link::make_tcp_connector(io, at->host, at->port, std::move(to));
  };
  return out;
}

} // namespace

node_links::node_links(const link::io_thread& io, const settings& what)
  : id_(what.link.self.name), links_(connecting(io, what.link, what.rooms)) {
  directory_->way = what.here;
  door_ = std::make_shared<peer::request_door>(
    [directory = directory_](replica_id replica) -> ingress::target_ptr {
      std::lock_guard lock{directory->mutex};
      auto found = directory->replicas.find(replica);
      return found != directory->replicas.end() && directory->way ? directory->way(found->second) : nullptr;
    },
    what.rooms);
}

node_links::~node_links() {
  listener_.reset();
  std::lock_guard lock{directory_->mutex};
  directory_->way = nullptr;
}

result<std::unique_ptr<node_links>> node_links::start(const link::io_thread& io, settings what) {
  std::unique_ptr<node_links> made{new node_links{io, what}};
  link::listener_options listen;
  listen.at = what.listen_at;
  listen.link = what.link;
  listen.admit = [](const link::hello& other) -> result<void> {
    if (other.role != link::peer_role::node)
      return fail(errc::permission_denied, "only nodes connect here");
    return {};
  };
  listen.on_connection = [door = made->door_](link::connection_ptr link) { door->serve(std::move(link)); };
  listen.on_refused = make_refusal_log(log_level::info);
  auto listener = link::listen(io, std::move(listen));
  if (!listener)
    return fail(listener.error().code,
                listener.error().message + "; "
                  + listen_advice(listener.error().code, what.listen_at.host, "relay-port"));
  made->listener_ = std::move(*listener);
  made->address_ = address_for_others(what.listen_at.host, made->listener_->port());
  return made;
}

void node_links::set_routes(const ingress::route_table& table) {
  std::map<replica_id, ingress::route_target> replicas;
  for (const auto& route : table.routes)
    for (const auto& target : route.targets)
      if (target.node == id_)
        replicas.emplace(target.replica, target);
  auto others = std::make_shared<std::vector<ingress::ingress_node>>();
  for (const auto& each : table.nodes)
    if (each.node != id_)
      others->push_back(each);
  std::lock_guard lock{directory_->mutex};
  directory_->replicas.swap(replicas);
  directory_->others = std::move(others);
}

void node_links::publish(const ingress::room_message& what) {
  std::shared_ptr<const std::vector<ingress::ingress_node>> others;
  {
    std::lock_guard lock{directory_->mutex};
    others = directory_->others;
  }
  if (others)
    links_.publish(what, *others);
}

void node_links::tick() {
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock{tick_mutex_};
    if (now - ticked_at_ < tick_every)
      return;
    ticked_at_ = now;
  }
  links_.tick();
}

} // namespace sluice::daemon
