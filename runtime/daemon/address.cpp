#include "runtime/daemon/address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::daemon {

namespace {

std::string own_host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

/// The first address of a family that others may reach.
std::string own_address(int family) {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0)
    return {};
  std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all{found, ::freeifaddrs};
  for (auto* each = all.get(); each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != family || (each->ifa_flags & IFF_UP) == 0
        || (each->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    const void* bytes = nullptr;
    if (family == AF_INET) {
      bytes = &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    } else {
      const auto& six = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&six)) // means nothing without the interface
        continue;
      bytes = &six;
    }
    char text[INET6_ADDRSTRLEN] = {};
    if (::inet_ntop(family, bytes, text, sizeof(text)) != nullptr)
      return text;
  }
  return {};
}

} // namespace

std::string address_for_others(const std::string& listen, std::uint16_t port) {
  auto host = listen;
  if (listen == "0.0.0.0")
    host = own_address(AF_INET);
  else if (listen == "::")
    host = own_address(AF_INET6);
  if (host.empty())
    host = own_host_name();
  if (host.find(':') != std::string::npos && host.front() != '[')
    host = "[" + host + "]";
  return host + ":" + std::to_string(port);
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

std::string listen_advice(errc code, const std::string& listen, const std::string& port_setting) {
  if (code == errc::conflict || code == errc::permission_denied)
    return "choose another with --" + port_setting + " (0 = any free one)";
  return "the setting listen is '" + listen
         + "': it must be an address of this machine, 0.0.0.0 for all of them, or 127.0.0.1 (--listen, or "
           "listen = in "
           "the configuration file)";
}

} // namespace sluice::daemon
