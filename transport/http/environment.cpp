#include "transport/http/environment.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::http {

namespace {

const sockaddr_in& as_v4(const sockaddr_storage& at) noexcept {
  return reinterpret_cast<const sockaddr_in&>(at);
}
const sockaddr_in6& as_v6(const sockaddr_storage& at) noexcept {
  return reinterpret_cast<const sockaddr_in6&>(at);
}

} // namespace

client_key key_of(const sockaddr_storage& client) noexcept {
  client_key key;
  if (client.ss_family == AF_INET) {
    std::memcpy(key.bytes.data(), &as_v4(client).sin_addr, 4);
    key.bounded = key.bytes[0] != 127;
  } else if (client.ss_family == AF_INET6) {
    const auto& address = as_v6(client).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
      std::memcpy(key.bytes.data(), address.s6_addr + 12, 4);
      key.bounded = key.bytes[0] != 127;
    } else {
      std::memcpy(key.bytes.data(), address.s6_addr, 8); // who has one address of a /64 has them all
      key.bounded = !IN6_IS_ADDR_LOOPBACK(&address);
    }
  }
  return key;
}

std::string text_of(const sockaddr_storage& client) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (client.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &as_v4(client).sin_addr, text.data(), text.size());
    return std::string{text.data()} + ":" + std::to_string(ntohs(as_v4(client).sin_port));
  }
  if (client.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &as_v6(client).sin6_addr, text.data(), text.size());
    return "[" + std::string{text.data()} + "]:" + std::to_string(ntohs(as_v6(client).sin6_port));
  }
  return "unknown";
}

connection_ledger::verdict connection_ledger::enter(const client_key& client, const server_limits& within) {
  std::lock_guard lock{mutex_};
  if (count_ >= within.connections_max)
    return verdict::full;
  if (client.bounded) {
    auto& mine = per_client_[client];
    if (mine >= std::max<std::size_t>(within.connections_per_client_max, 1))
      return verdict::client_full;
    ++mine;
  }
  ++count_;
  return verdict::welcome;
}

void connection_ledger::leave(const client_key& client) {
  std::lock_guard lock{mutex_};
  if (client.bounded)
    if (auto mine = per_client_.find(client); mine != per_client_.end() && --mine->second == 0)
      per_client_.erase(mine);
  if (--count_ == 0)
    changed_.notify_all();
}

std::size_t connection_ledger::count() const {
  std::lock_guard lock{mutex_};
  return count_;
}

bool connection_ledger::wait_until_empty(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock{mutex_};
  return changed_.wait_until(lock, until, [this] { return count_ == 0; });
}

} // namespace sluice::http
