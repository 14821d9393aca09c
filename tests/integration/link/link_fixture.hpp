#pragma once

#include "transport/link/asio_link.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::link::testing {

using namespace std::chrono_literals;

/// What callbacks of the io thread put in and the test takes out, waiting for it.
template <class T>
class inbox {
public:
  void put(T value) {
    std::lock_guard lock{mutex_};
    values_.push_back(std::move(value));
    changed_.notify_all();
  }

  /// The oldest value; nullopt when none came in time, which fails the test.
  std::optional<T> take(std::chrono::seconds wait_max = 30s) {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, wait_max, [&] { return !values_.empty(); }))
      return std::nullopt;
    auto value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

  std::size_t count() const {
    std::lock_guard lock{mutex_};
    return values_.size();
  }

  bool wait_count(std::size_t count, std::chrono::seconds wait_max = 60s) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, wait_max, [&] { return values_.size() >= count; });
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

inline hello make_hello(peer_role role, std::string name, std::uint64_t incarnation_bits = 1) {
  hello h;
  h.role = role;
  h.cluster_id = "c1";
  h.name = std::move(name);
  h.started.bits = {incarnation_bits, incarnation_bits};
  h.sluice_version = "0.1.0";
  return h;
}

/// One end of a link with all that arrives there.
struct end_point {
  connection_ptr link;
  std::shared_ptr<inbox<frame>> frames = std::make_shared<inbox<frame>>();
  std::shared_ptr<inbox<failure>> closed = std::make_shared<inbox<failure>>();
  std::shared_ptr<inbox<int>> writable = std::make_shared<inbox<int>>();

  end_point() = default;
  explicit end_point(connection_ptr made) : link(std::move(made)) {
    link->start({[in = frames](std::vector<frame> got) {
                   for (auto& f : got)
                     in->put(std::move(f));
                 },
                 [in = closed](failure why) { in->put(std::move(why)); }, [in = writable] { in->put(1); }});
  }

  result<void> send(std::uint64_t id, std::string body = {}) {
    std::vector<frame> frames(1);
    frames[0] = {frame_kind::request, 1, id, 0, std::move(body)};
    return link->send(std::move(frames));
  }
};

/// A listener whose links and refusals the test takes from inboxes.
struct server {
  inbox<connection_ptr> links;
  inbox<failure> refusals;
  std::unique_ptr<listener> listens;

  server(const io_thread& io, listener_options options) {
    options.on_connection = [this](connection_ptr made) { links.put(std::move(made)); };
    options.on_refused = [this](const failure& why) { refusals.put(why); };
    auto made = listen(io, std::move(options));
    if (made)
      listens = std::move(*made);
    else
      refusals.put(made.error());
  }

  std::uint16_t port() const { return listens->port(); }
};

inline listener_options plain_listener(link_timing timing = {}) {
  listener_options options;
  options.link.self = make_hello(peer_role::head, "head");
  options.link.timing = timing;
  return options;
}

inline link_options plain_client(std::string name = "node-1", std::uint64_t incarnation_bits = 1) {
  link_options options;
  options.self = make_hello(peer_role::node, std::move(name), incarnation_bits);
  return options;
}

/// One attempt, waited for.
inline result<connection_ptr> connect(connector& by) {
  auto made = std::make_shared<inbox<result<connection_ptr>>>();
  by.connect([made](result<connection_ptr> outcome) { made->put(std::move(outcome)); });
  auto outcome = made->take();
  return outcome ? std::move(*outcome) : fail(errc::internal, "the connector never answered");
}

inline result<connection_ptr> connect(const io_thread& io, std::uint16_t port, link_options options) {
  auto by = make_tcp_connector(io, "127.0.0.1", port, std::move(options));
  return connect(*by);
}

/// Sends on `to` what comes on `from`, from where that is handed over.
inline void forward(const connection_ptr& from, const connection_ptr& to) {
  from->start({[weak = std::weak_ptr{to}](std::vector<frame> got) {
                 if (auto open = weak.lock())
                   static_cast<void>(open->send(std::move(got)));
               },
               [](const failure&) {}});
}

/// What comes from one of two nodes goes to the other: all of it, in order, short frames and long ones, both ways at once.
inline void check_forwarding(server& middle, const connection_ptr& first, const connection_ptr& second) {
  auto one = middle.links.take().value();
  auto other = middle.links.take().value();
  forward(one, other);
  forward(other, one);
  end_point a{first};
  end_point b{second};
  constexpr std::uint64_t count = 3000;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string body(i % 100 == 0 ? 70'000 : i % 50, 'x');
    REQUIRE(a.send(i, body));
    REQUIRE(b.send(i, body));
  }
  for (auto* at : {&a, &b})
    for (std::uint64_t i = 0; i < count; ++i) {
      auto got = at->frames->take();
      REQUIRE(got);
      REQUIRE(got->id == i);
      REQUIRE(got->body.size() == (i % 100 == 0 ? 70'000 : i % 50));
    }
}

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
    ++count;
  return count;
}

} // namespace sluice::link::testing
