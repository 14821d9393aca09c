// Messages per second and latency of a WebSocket: a typed echo at 1, 16 and 128 connections, each with one message under way,
// and a room of 100 in which one speaks and all hear it, with one and with 16 messages under way. In local mode, and through a
// node's ingress to a host process; beside them, in the same run and under the same load, a bare Boost.Beast server that
// does the same by hand. Every server is a process of its own; the load is one thread of this one.
//
// Prints one JSON object. Of the room every delivery counts: "per_s" is what all members hear in a second, the times are from
// sending to hearing. "cpu_us" is the processor time of all processes of a server per message, or per delivery.
//
// Usage: bench_websocket [SECONDS_PER_CASE]
#include "tests/bench/plain_websocket.hpp"
#include "tests/bench/servers.hpp"
#include "tests/support/http_load.hpp"
#include "tests/support/websocket_frame.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using namespace bench;
using sluice::testing::client_frame;
using sluice::testing::websocket_opening;
using clock = std::chrono::steady_clock;

constexpr std::array<std::size_t, 3> connection_counts = {1, 16, 128};
constexpr std::array<std::size_t, 2> under_way_counts = {1, 16};
constexpr std::size_t members = 100;
constexpr unsigned text_opcode = 1;

figures measure_echo(const served& who, std::size_t connections, double seconds) {
  sluice::testing::load_options load;
  load.connections = connections;
  load.opening = websocket_opening("/echo");
  load.requests = {client_frame(text_opcode, R"({"id":"A-10231","amount":129.5,"count":3})")};
  return measure(who, std::move(load), seconds);
}

/// The members of a room and the one of them who speaks. One thread.
class crowd {
public:
  explicit crowd(std::uint16_t port) : poll_(::epoll_create1(EPOLL_CLOEXEC)), all_(members) {
    for (auto& each : all_) {
      each.fd = sluice::testing::connect_websocket(port, websocket_opening("/room"));
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &each;
      ::epoll_ctl(poll_, EPOLL_CTL_ADD, each.fd, &event);
    }
  }
  ~crowd() {
    for (auto& each : all_)
      ::close(each.fd);
    ::close(poll_);
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  /// Until everybody is in the room: who opened is not in it at once.
  void gather() {
    for (int i = 0; i < 100; ++i) {
      say();
      for (const auto until = clock::now() + 200ms; under_way_ > 0 && clock::now() < until;)
        turn();
      if (std::exchange(under_way_, 0) == 0)
        return;
      first_ = said_;
    }
    throw std::runtime_error{"the room does not get full"};
  }

  /// Keeps so many messages under way. Returns how long what counts took.
  double talk(std::size_t under_way, double warm_up_s, double seconds) {
    const auto begin = clock::now() + in_ns(warm_up_s);
    const auto end = begin + in_ns(seconds);
    for (auto now = clock::now(); now < end; now = clock::now()) {
      counting_ = now >= begin;
      while (under_way_ < under_way)
        say();
      turn();
    }
    return seconds;
  }

  std::vector<float> taken_us = {}; ///< of each delivery that counts
  std::uint64_t heard = 0;          ///< deliveries, all of them

private:
  static constexpr std::size_t payload_bytes = 64;
  static constexpr std::size_t frame_bytes = 2 + payload_bytes;
  static constexpr std::size_t digits = 8;

  struct member {
    int fd = -1;
    std::string in = {};
  };
  struct message {
    clock::time_point sent{};
    std::size_t heard = 0;
  };

  void say() {
    auto number = std::to_string(said_);
    number.insert(0, digits - number.size(), '0');
    const auto frame = client_frame(text_opcode, number + std::string(payload_bytes - digits, 'x'));
    recent_[said_++ % recent_.size()] = {clock::now(), 0};
    ++under_way_;
    if (::send(all_[0].fd, frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size()))
      throw std::runtime_error{"the speaker was cut off"};
  }

  void turn() {
    std::array<epoll_event, 256> events;
    const int ready = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 10);
    for (int i = 0; i < ready; ++i)
      listen(*static_cast<member*>(events[static_cast<std::size_t>(i)].data.ptr));
  }

  void listen(member& one) {
    char buffer[16384];
    const auto count = ::recv(one.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count <= 0)
      throw std::runtime_error{"a member of the room was cut off"};
    one.in.append(buffer, static_cast<std::size_t>(count));
    const auto now = clock::now();
    std::size_t at = 0;
    for (; one.in.size() - at >= frame_bytes; at += frame_bytes) {
      if (one.in[at + 1] != static_cast<char>(payload_bytes))
        throw std::runtime_error{"a member of the room got another frame"};
      hear(std::strtoul(one.in.substr(at + 2, digits).c_str(), nullptr, 10), now);
    }
    one.in.erase(0, at);
  }

  void hear(std::size_t number, clock::time_point now) {
    ++heard;
    if (number < first_)
      return;
    auto& what = recent_[number % recent_.size()];
    if (counting_)
      taken_us.push_back(std::chrono::duration<float, std::micro>(now - what.sent).count());
    if (++what.heard == members)
      --under_way_;
  }

  const int poll_;
  std::vector<member> all_;
  std::array<message, 1024> recent_ = {}; ///< by number; far more than are under way
  std::size_t said_ = 0;
  std::size_t first_ = 0; ///< those before it did not find everybody
  std::size_t under_way_ = 0;
  bool counting_ = false;
};

figures measure_room(const served& who, std::size_t under_way, double seconds) {
  crowd room{who.port};
  room.gather();
  const auto cpu_before = cpu_seconds(who.pids);
  const auto heard_before = room.heard;
  const auto took_s = room.talk(under_way, seconds / 4, seconds);
  const auto cpu_s = cpu_seconds(who.pids) - cpu_before;
  auto& taken = room.taken_us;
  if (taken.empty())
    throw std::runtime_error{who.name + ": nothing was heard"};
  std::sort(taken.begin(), taken.end());
  auto quantile = [&](double part) {
    return taken[static_cast<std::size_t>(part * static_cast<double>(taken.size() - 1))];
  };
  return {static_cast<double>(taken.size()) / took_s, quantile(0.5), quantile(0.99),
          cpu_s * 1e6 / static_cast<double>(room.heard - heard_before), 0};
}

int run(double seconds) {
  sluice::testing::raise_descriptor_limit();
  char name[] = "/tmp/sluice-bench-XXXXXX";
  const fs::path home = ::mkdtemp(name);
  {
    servers all;
    all.push_back(start_plain("beast", home));
    all.back()->is_foreign = true;
    all.push_back(start_local(home, "websocket_bench_flow"));
    all.push_back(std::make_unique<node_server>(home, "websocket_bench_flow"));
    std::printf("{\n  \"io_threads\": %zu,\n  \"echo\": [\n", io_threads());
    for (auto count : connection_counts) {
      print_case(all, "\"connections\": " + std::to_string(count),
                 [&](const served& who) { return measure_echo(who, count, seconds / rounds); });
      std::printf(count == connection_counts.back() ? "\n" : ",\n");
    }
    std::printf("  ],\n  \"room\": [\n");
    for (auto count : under_way_counts) {
      print_case(all, "\"members\": " + std::to_string(members) + ", \"under_way\": " + std::to_string(count),
                 [&](const served& who) { return measure_room(who, count, seconds / rounds); });
      std::printf(count == under_way_counts.back() ? "\n" : ",\n");
    }
    std::printf("  ]\n}\n");
  }
  fs::remove_all(home);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::string{argv[1]} == "--serve")
      beast_server<beast_websocket>{io_threads()}.run();
    return run(argc > 1 ? std::atof(argv[1]) : 1.5);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "websocket: %s\n", e.what());
    return 1;
  }
}
