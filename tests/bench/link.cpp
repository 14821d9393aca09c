// The link beside the raw socket it runs on, on this machine and in the same run: one request
// at a time, and many in flight; plain and TLS; bare, and from CAF actor to CAF actor. Both ends
// run in one process with an io thread each. Prints one JSON object.
//
// Usage: bench_link [SECONDS_PER_CASE]

#include "transport/link/asio_link.hpp"
#include "actors/message.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace sluice;
using namespace sluice::link;
using std::chrono::steady_clock;

constexpr std::size_t body_bytes = 16;
constexpr std::size_t batch_frames = 500;
constexpr std::size_t in_flight_max = 64 * batch_frames;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

struct figures {
  double one_at_a_time_us = 0;
  double one_at_a_time_p99_us = 0;
  double pipelined_per_s = 0; ///< requests that were answered
  double pipelined_cpu_ns =
    0; ///< processor time per request, all threads of both ends; what a busy machine does
       ///< not change
};

/// Processor time of this process so far.
double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

/// A stretch of work and what it took.
class meter {
public:
  void into(figures& out, std::size_t count) const {
    out.pipelined_per_s = static_cast<double>(count) / seconds_since(start_);
    out.pipelined_cpu_ns = (cpu_seconds() - cpu_start_) * 1e9 / static_cast<double>(count);
  }

private:
  steady_clock::time_point start_ = steady_clock::now();
  double cpu_start_ = cpu_seconds();
};

/// Durations of round trips; filled by one thread.
class round_trips {
public:
  void begin() { began_ = steady_clock::now(); }
  void end() { taken_us_.push_back(seconds_since(began_) * 1e6); }
  void into(figures& out) {
    std::sort(taken_us_.begin(), taken_us_.end());
    out.one_at_a_time_us = taken_us_[taken_us_.size() / 2];
    out.one_at_a_time_p99_us = taken_us_[taken_us_.size() * 99 / 100];
  }

private:
  steady_clock::time_point began_;
  std::vector<double> taken_us_;
};

// --- raw TCP ---------------------------------------------------------------------

void read_all(int fd, char* into, std::size_t size) {
  while (size > 0) {
    auto count = ::recv(fd, into, size, 0);
    if (count <= 0)
      std::exit(1);
    into += count;
    size -= static_cast<std::size_t>(count);
  }
}

std::pair<int, int> tcp_pair() {
  int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  if (::bind(listening, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listening, 1) != 0)
    std::exit(1);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&at), &size);
  int client = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(client, reinterpret_cast<sockaddr*>(&at), size) != 0)
    std::exit(1);
  int server = ::accept(listening, nullptr, nullptr);
  ::close(listening);
  int on = 1;
  for (int fd : {client, server})
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return {client, server};
}

figures measure_raw_tcp(double seconds) {
  figures out;
  auto [client, server] = tcp_pair();
  constexpr std::size_t size = 36;
  std::thread echo{[fd = server] {
    char buffer[size];
    while (::recv(fd, buffer, size, MSG_WAITALL) == static_cast<ssize_t>(size))
      static_cast<void>(::send(fd, buffer, size, MSG_NOSIGNAL));
  }};
  char buffer[size] = {};
  round_trips trips;
  for (auto start = steady_clock::now(); seconds_since(start) < seconds;) {
    trips.begin();
    static_cast<void>(::send(client, buffer, size, MSG_NOSIGNAL));
    read_all(client, buffer, size);
    trips.end();
  }
  trips.into(out);
  ::close(client);
  echo.join();
  ::close(server);
  return out;
}

// --- a link's two ends -----------------------------------------------------------

hello make_hello(peer_role role, std::string name) {
  hello h;
  h.role = role;
  h.cluster_id = "bench";
  h.name = std::move(name);
  h.started.bits = {1, 2};
  return h;
}

struct ends {
  io_thread client_io, server_io;
  std::unique_ptr<listener> listens;
  connection_ptr client, server;

  explicit ends(bool tls) {
    std::promise<connection_ptr> accepted, connected;
    listener_options at;
    at.link.self = make_hello(peer_role::head, "head");
    link_options by;
    by.self = make_hello(peer_role::node, "node");
    if (tls) {
      auto now = std::chrono::system_clock::now();
      auto authority = pki::make_authority("bench", now).value();
      auto credentials = [&](const char* role, const char* name) {
        return tls_credentials::make(
                 pki::issue(authority, {"bench", role, name}, pki::valid_from(now)).value())
          .value();
      };
      at.link.tls = credentials("head", "head");
      by.tls = credentials("node", "node");
    }
    at.on_connection = [&](connection_ptr made) { accepted.set_value(std::move(made)); };
    listens = listen(server_io, at).value();
    auto connects = make_tcp_connector(client_io, "127.0.0.1", listens->port(), by);
    connects->connect([&](result<connection_ptr> made) { connected.set_value(made.value()); });
    client = connected.get_future().get();
    server = accepted.get_future().get();
  }

  /// No callback runs any more once this has returned.
  void stop() {
    client_io.stop();
    server_io.stop();
  }
};

std::vector<frame> make_batch(std::size_t count) {
  std::vector<frame> frames(count);
  for (auto& f : frames) {
    f.kind = frame_kind::request;
    f.method = 7;
    f.body.assign(body_bytes, 'x');
  }
  return frames;
}

void must(const result<void>& outcome) {
  if (!outcome) {
    std::fprintf(stderr, "%s\n", outcome.error().message.c_str());
    std::exit(1);
  }
}

std::vector<frame> answered(std::vector<frame> frames) {
  for (auto& f : frames)
    f.kind = frame_kind::reply;
  return frames;
}

figures measure_link(bool tls, double seconds) {
  figures out;
  for (bool pipelined : {false, true}) {
    ends link{tls};
    auto* server = link.server.get();
    server->start({[server](std::vector<frame> frames) {
                     // Fails once the client has seen enough and closes.
                     static_cast<void>(server->send(answered(std::move(frames))));
                   },
                   [](failure) {}});
    auto* client = link.client.get();
    std::promise<void> done;
    round_trips trips;
    std::size_t got = 0;
    std::size_t batches_owed = 0;
    bool over = false;
    auto start = steady_clock::now();
    meter spent;
    client->start({[&](std::vector<frame> frames) {
                     got += frames.size();
                     if (over)
                       return;
                     if (seconds_since(start) >= seconds) {
                       over = true;
                       return done.set_value();
                     }
                     if (!pipelined) {
                       trips.end();
                       trips.begin();
                       return must(client->send(make_batch(1)));
                     }
                     for (batches_owed += frames.size(); batches_owed >= batch_frames;
                          batches_owed -= batch_frames)
                       must(client->send(make_batch(batch_frames)));
                   },
                   [](failure) {}});
    trips.begin();
    for (std::size_t sent = 0; sent < (pipelined ? in_flight_max : 1); sent += batch_frames)
      must(client->send(make_batch(pipelined ? batch_frames : 1)));
    done.get_future().wait();
    if (pipelined)
      spent.into(out, got);
    else
      trips.into(out);
    link.stop();
  }
  return out;
}

/// One way and unanswered: what a sink of frames takes.
figures measure_one_way(bool tls, double seconds) {
  figures out;
  ends link{tls};
  std::atomic<std::size_t> got{0};
  link.server->start(
    {[&](std::vector<frame> frames) { got.fetch_add(frames.size(), std::memory_order_relaxed); },
     [](failure) {}});
  link.client->start({[](std::vector<frame>) {}, [](failure) {}});
  std::size_t sent = 0;
  auto start = steady_clock::now();
  meter spent;
  while (seconds_since(start) < seconds) {
    if (sent - got.load(std::memory_order_relaxed) > 4 * in_flight_max) {
      std::this_thread::yield();
      continue;
    }
    must(link.client->send(make_batch(batch_frames)));
    sent += batch_frames;
  }
  spent.into(out, got);
  link.stop();
  return out;
}

// --- from actor to actor -----------------------------------------------------------

struct arrived {
  using actor_message = void;
  std::vector<frame> frames;
};

struct config : caf::actor_system_config {
  config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 2);
    set("scheduler.max-throughput", 200);
  }
};

receiver deliver_to(const caf::actor& to) {
  return {[to](std::vector<frame> frames) { caf::anon_send(to, arrived{std::move(frames)}); },
          [](failure) {}};
}

caf::behavior answering(caf::event_based_actor*, connection_ptr link) {
  return {[link](arrived& in) { static_cast<void>(link->send(answered(std::move(in.frames)))); }};
}

struct asking_state {
  round_trips trips;
  std::size_t got = 0;
  std::size_t owed = 0;
  steady_clock::time_point start = steady_clock::now();
  meter spent;
};

caf::behavior asking(caf::event_based_actor* self, connection_ptr link, bool pipelined, double seconds,
                     figures* out, std::shared_ptr<std::promise<void>> done) {
  auto state = std::make_shared<asking_state>();
  state->trips.begin();
  for (std::size_t sent = 0; sent < (pipelined ? in_flight_max : 1); sent += batch_frames)
    must(link->send(make_batch(pipelined ? batch_frames : 1)));
  return {[=](arrived& in) {
    state->got += in.frames.size();
    if (seconds_since(state->start) >= seconds) {
      if (pipelined)
        state->spent.into(*out, state->got);
      else
        state->trips.into(*out);
      self->quit();
      return done->set_value();
    }
    if (!pipelined) {
      state->trips.end();
      state->trips.begin();
      return must(link->send(make_batch(1)));
    }
    for (state->owed += in.frames.size(); state->owed >= batch_frames; state->owed -= batch_frames)
      must(link->send(make_batch(batch_frames)));
  }};
}

figures measure_actors(bool tls, double seconds) {
  figures out;
  for (bool pipelined : {false, true}) {
    config client_config, server_config;
    caf::actor_system clients{client_config}, servers{server_config};
    ends link{tls};
    auto done = std::make_shared<std::promise<void>>();
    auto server = servers.spawn(answering, link.server);
    auto client = clients.spawn(asking, link.client, pipelined, seconds, &out, done);
    link.server->start(deliver_to(server));
    link.client->start(deliver_to(client));
    done->get_future().wait();
    link.stop();
    caf::anon_send_exit(server, caf::exit_reason::user_shutdown);
  }
  return out;
}

void print(const char* name, const figures& f, const char* end) {
  std::printf("  \"%s\": {", name);
  if (f.one_at_a_time_us > 0)
    std::printf("\"one_at_a_time_us\": %.1f, \"one_at_a_time_p99_us\": %.1f%s", f.one_at_a_time_us,
                f.one_at_a_time_p99_us, f.pipelined_per_s > 0 ? ", " : "");
  if (f.pipelined_per_s > 0)
    std::printf("\"pipelined_per_s\": %.0f, \"pipelined_cpu_ns\": %.0f", f.pipelined_per_s,
                f.pipelined_cpu_ns);
  std::printf("}%s\n", end);
  std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
  double seconds = argc > 1 ? std::atof(argv[1]) : 2.0;
  std::printf("{\n  \"body_bytes\": %zu,\n  \"batch_frames\": %zu,\n  \"in_flight_max\": %zu,\n", body_bytes,
              batch_frames, in_flight_max);
  print("raw_tcp", measure_raw_tcp(seconds), ",");
  print("link_plain", measure_link(false, seconds), ",");
  print("link_tls", measure_link(true, seconds), ",");
  print("one_way_plain", measure_one_way(false, seconds), ",");
  print("one_way_tls", measure_one_way(true, seconds), ",");
  print("actors_plain", measure_actors(false, seconds), ",");
  print("actors_tls", measure_actors(true, seconds), "");
  std::printf("}\n");
}
