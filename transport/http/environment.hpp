#pragma once

#include "transport/http/channel.hpp"
#include "transport/http/client_rates.hpp"
#include "transport/http/server_options.hpp"
#include "actors/ingress/http_port.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

struct sockaddr_storage;

/// What the threads of one server share. For this folder.
namespace sluice::http {

/// Who is connected, as far as its count is bounded: an IPv4 address or an IPv6 /64.
struct client_key {
  std::array<unsigned char, 8> bytes = {};
  bool bounded = false; ///< loopback is not

  friend auto operator<=>(const client_key&, const client_key&) = default;
};

client_key key_of(const sockaddr_storage& client) noexcept;

/// "127.0.0.1:80", "[::1]:80".
std::string text_of(const sockaddr_storage& client);

/// Counts the open connections. Any thread.
class connection_ledger {
public:
  enum class verdict { welcome, full, client_full };

  verdict enter(const client_key& client, const server_limits& within);
  void leave(const client_key& client);

  std::size_t count() const;
  /// False if there still are some at `until`.
  bool wait_until_empty(std::chrono::steady_clock::time_point until);

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
  std::map<client_key, std::size_t> per_client_;
};

struct environment {
  environment(server_options options, ingress::http_handler& handler)
    : options(std::move(options)), handler(handler) {}

  server_options options;
  ingress::http_handler& handler;
  std::shared_ptr<const tls_certificate> tls = {};
  /// Draining: connections end with the answer at hand.
  std::atomic<bool> draining{false};
  /// Descriptors are short: the same, until they are not.
  std::atomic<bool> pressed{false};
  connection_ledger ledger = {};
  std::mutex rates_mutex = {};
  client_rates rates{{options.limits.client_rate_max, options.limits.client_burst_max}};
  /// Of answers that are made and that clients have not taken, over all connections.
  std::atomic<std::size_t> answer_bytes{0};

  bool keeps_alive() const noexcept {
    return !draining.load(std::memory_order_relaxed) && !pressed.load(std::memory_order_relaxed);
  }
  /// Counts a request of this client; none if it may come in, else when to try again.
  std::optional<std::chrono::seconds> limit_rate(const client_key& client, client_rates::time_point now) {
    if (options.limits.client_rate_max <= 0)
      return std::nullopt;
    std::lock_guard lock{rates_mutex};
    return rates.take(client.bytes, now);
  }
  bool out_of_answer_bytes() const noexcept {
    return answer_bytes.load(std::memory_order_relaxed) > options.limits.answers_bytes_max;
  }
  void trouble(std::string_view what) const {
    if (options.on_trouble)
      options.on_trouble(what);
  }
};

} // namespace sluice::http
