#include "runtime/daemon/node_links.hpp"

#include "runtime/daemon/log.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

using namespace std::chrono_literals;

constexpr auto tick_every = 1s;

/// A request does not wait longer than this for a node that does not answer.
constexpr auto connect_deadline = 2s;

peer::request_links::options connecting(const link::io_thread& io, link::link_options link) {
  link.timing.handshake_deadline = connect_deadline;
  link.expect_role = link::peer_role::node;
  peer::request_links::options out;
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
  : id_(what.link.self.name), links_(connecting(io, what.link)) {
  directory_->way = what.here;
  door_ =
    std::make_shared<peer::request_door>([directory = directory_](replica_id replica) -> ingress::target_ptr {
      std::lock_guard lock{directory->mutex};
      auto found = directory->replicas.find(replica);
      return found != directory->replicas.end() && directory->way ? directory->way(found->second) : nullptr;
    });
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
  listen.on_refused = [](const failure& why) { log_line("link", "refused: " + why.message); };
  auto listener = link::listen(io, std::move(listen));
  if (!listener)
    return fail(listener);
  made->listener_ = std::move(*listener);
  const auto host = reachable_host(what.listen_at.host);
  made->address_ = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":"
                   + std::to_string(made->listener_->port());
  return made;
}

void node_links::set_routes(const ingress::route_table& table) {
  std::map<replica_id, ingress::route_target> replicas;
  for (const auto& route : table.routes)
    for (const auto& target : route.targets)
      if (target.node == id_)
        replicas.emplace(target.replica, target);
  std::lock_guard lock{directory_->mutex};
  directory_->replicas.swap(replicas);
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

std::string reachable_host(const std::string& listen) {
  if (listen != "0.0.0.0" && listen != "::")
    return listen;
  const int family = listen == "::" ? AF_INET6 : AF_INET;
  ifaddrs* all = nullptr;
  std::string found = family == AF_INET ? "127.0.0.1" : "::1";
  if (getifaddrs(&all) != 0)
    return found;
  for (auto* one = all; one != nullptr; one = one->ifa_next) {
    const bool is_fit = one->ifa_addr != nullptr && one->ifa_addr->sa_family == family
                        && (one->ifa_flags & IFF_UP) != 0 && (one->ifa_flags & IFF_LOOPBACK) == 0;
    if (!is_fit)
      continue;
    const void* address =
      family == AF_INET
        ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr)
        : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr);
    char text[INET6_ADDRSTRLEN];
    const bool is_link_local =
      family == AF_INET6
      && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr);
    if (!is_link_local && inet_ntop(family, address, text, sizeof text) != nullptr) {
      found = text;
      break;
    }
  }
  freeifaddrs(all);
  return found;
}

std::optional<std::string> local_address_towards(const host_port& to) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM; // connected, it has a source address, and nothing is sent
  addrinfo* all = nullptr;
  if (getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &all) != 0)
    return std::nullopt;
  std::optional<std::string> found;
  for (auto* one = all; one != nullptr && !found; one = one->ai_next) {
    const int fd = socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
      continue;
    sockaddr_storage mine{};
    socklen_t size = sizeof mine;
    char text[NI_MAXHOST];
    if (connect(fd, one->ai_addr, one->ai_addrlen) == 0
        && getsockname(fd, reinterpret_cast<sockaddr*>(&mine), &size) == 0
        && getnameinfo(reinterpret_cast<const sockaddr*>(&mine), size, text, sizeof text, nullptr, 0,
                       NI_NUMERICHOST)
             == 0)
      found = text;
    close(fd);
  }
  freeaddrinfo(all);
  return found;
}

} // namespace sluice::daemon
