// The HTTP server beside the plainest one that Boost.Beast gives, on this machine and in the same run: an
// endpoint that does nothing, keep-alive, at 1, 16, 128 and 1000 connections. Both have the same number of threads;
// the load comes from one thread of this process, which does as little per request as it can. Prints one JSON object.
//
// "sluice_threads" answers from another thread than the io thread, as a replica does. At the end as many idle
// keep-alive connections as descriptors allow (10000 at most), what each costs, and what a load of 16 feels of them.
//
// Usage: bench_http_server [SECONDS_PER_CASE [SERVER_THREADS]]

#include "transport/http/server.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using std::chrono::steady_clock;

constexpr std::string_view request_text =
  "GET /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
constexpr std::string_view body_text = "hello, world";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

double thread_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

// --- load ------------------------------------------------------------------------

struct figures {
  double per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double server_cpu_us =
    0; ///< processor time per request without the load's: what a busy machine does not change
};

int connect_to(std::uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0)
    die("connect");
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

/// Sends one request and reads its answer, to learn how long answers are.
std::size_t answer_size(std::uint16_t port) {
  int fd = connect_to(port);
  std::string got;
  char buffer[4096];
  static_cast<void>(::send(fd, request_text.data(), request_text.size(), MSG_NOSIGNAL));
  while (!got.ends_with(body_text)) {
    auto count = ::recv(fd, buffer, sizeof(buffer), 0);
    if (count <= 0)
      die("no answer");
    got.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
  return got.size();
}

struct load_connection {
  int fd = -1;
  std::size_t missing = 0; ///< bytes of the answer
  steady_clock::time_point sent;
};

figures measure(std::uint16_t port, std::size_t connections, double seconds) {
  auto size = answer_size(port);
  int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<load_connection> all(connections);
  auto send_one = [&](load_connection& c) {
    c.missing = size;
    c.sent = steady_clock::now();
    if (::send(c.fd, request_text.data(), request_text.size(), MSG_NOSIGNAL) < 0)
      die("send");
  };
  for (auto& c : all) {
    c.fd = connect_to(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, c.fd, &event);
  }
  for (auto& c : all)
    send_one(c);
  std::vector<float> taken_us;
  taken_us.reserve(1u << 20);
  std::vector<epoll_event> events(256);
  char buffer[4096];
  // The first fifth warms up and does not count.
  auto begin = steady_clock::now();
  auto counted_from =
    begin + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds / 5));
  auto until =
    counted_from + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds));
  double cpu = 0, own_cpu = 0;
  std::size_t counted = 0;
  for (bool counting = false;;) {
    auto now = steady_clock::now();
    if (!counting && now >= counted_from) {
      counting = true;
      cpu = cpu_seconds();
      own_cpu = thread_cpu_seconds();
      counted_from = now;
    }
    if (now >= until)
      break;
    auto ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < ready; ++i) {
      auto& c = *static_cast<load_connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      auto count = ::recv(c.fd, buffer, sizeof(buffer), 0);
      if (count <= 0)
        die("the server has closed");
      c.missing -= static_cast<std::size_t>(count);
      if (c.missing > 0)
        continue;
      if (counting) {
        ++counted;
        taken_us.push_back(std::chrono::duration<float, std::micro>(steady_clock::now() - c.sent).count());
      }
      send_one(c);
    }
  }
  figures out;
  auto elapsed = std::chrono::duration<double>(steady_clock::now() - counted_from).count();
  auto server_cpu = (cpu_seconds() - cpu) - (thread_cpu_seconds() - own_cpu);
  for (auto& c : all)
    ::close(c.fd);
  ::close(poll);
  out.per_s = static_cast<double>(counted) / elapsed;
  out.server_cpu_us = server_cpu * 1e6 / static_cast<double>(std::max<std::size_t>(counted, 1));
  std::sort(taken_us.begin(), taken_us.end());
  if (!taken_us.empty()) {
    out.p50_us = taken_us[taken_us.size() / 2];
    out.p99_us = taken_us[taken_us.size() * 99 / 100];
  }
  return out;
}

// --- the plainest Beast server -----------------------------------------------------

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

class bare_session : public std::enable_shared_from_this<bare_session> {
public:
  explicit bare_session(tcp::socket&& socket) : stream_(std::move(socket)) {}
  void read() {
    request_ = {};
    beast::http::async_read(stream_, buffer_, request_,
                            [self = shared_from_this()](beast::error_code ec, std::size_t) {
                              if (!ec)
                                self->answer();
                            });
  }

private:
  void answer() {
    answer_ = {beast::http::status::ok, request_.version()};
    answer_.set(beast::http::field::server, "beast");
    answer_.set(beast::http::field::content_type, "text/plain");
    answer_.keep_alive(request_.keep_alive());
    answer_.body() = body_text;
    answer_.prepare_payload();
    beast::http::async_write(stream_, answer_,
                             [self = shared_from_this()](beast::error_code ec, std::size_t) {
                               if (!ec)
                                 self->read();
                             });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::string_body> request_;
  beast::http::response<beast::http::string_body> answer_;
};

/// One io_context for each thread, connections dealt out in turn: faster than strands on a common one.
class bare_server {
public:
  explicit bare_server(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i)
      contexts_.push_back(std::make_unique<asio::io_context>(1));
    acceptor_.emplace(*contexts_[0], tcp::endpoint{asio::ip::address_v4::loopback(), 0});
    acceptor_->listen(4096);
    accept();
    for (auto& context : contexts_) {
      guards_.push_back(asio::make_work_guard(*context));
      threads_.emplace_back([&context] { context->run(); });
    }
  }
  ~bare_server() {
    for (auto& context : contexts_)
      context->stop();
    for (auto& thread : threads_)
      thread.join();
  }
  std::uint16_t port() const { return acceptor_->local_endpoint().port(); }

private:
  void accept() {
    auto& where = *contexts_[next_++ % contexts_.size()];
    acceptor_->async_accept(where, [this, &where](beast::error_code ec, tcp::socket socket) {
      if (ec)
        return;
      socket.set_option(tcp::no_delay{true});
      asio::post(where, [session = std::make_shared<bare_session>(std::move(socket))] { session->read(); });
      accept();
    });
  }

  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::optional<tcp::acceptor> acceptor_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::vector<std::thread> threads_;
  std::size_t next_ = 0;
};

// --- ours --------------------------------------------------------------------------

sluice::response hello() { return {200, {{"Content-Type", "text/plain"}}, std::string{body_text}}; }

class inline_handler : public sluice::ingress::http_handler {
public:
  sluice::ingress::head_decision decide(sluice::request&) override { return {}; }
  void handle(sluice::exchange_ptr call, std::shared_ptr<const void>) override { call->respond(hello()); }
};

/// Answers from one thread of its own.
class thread_handler : public sluice::ingress::http_handler {
public:
  thread_handler() : thread_([this] { run(); }) {}
  ~thread_handler() override {
    {
      std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  sluice::ingress::head_decision decide(sluice::request&) override { return {}; }
  void handle(sluice::exchange_ptr call, std::shared_ptr<const void>) override {
    bool first = false;
    {
      std::lock_guard lock{mutex_};
      first = calls_.empty();
      calls_.push_back(std::move(call));
    }
    if (first)
      changed_.notify_one();
  }

private:
  void run() {
    std::vector<sluice::exchange_ptr> taken;
    for (;;) {
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return stopping_ || !calls_.empty(); });
        if (stopping_)
          return;
        taken.swap(calls_);
      }
      for (auto& call : taken)
        call->respond(hello());
      taken.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<sluice::exchange_ptr> calls_;
  bool stopping_ = false;
  std::thread thread_;
};

std::unique_ptr<sluice::http::server> start_ours(sluice::ingress::http_handler& handler,
                                                 std::size_t threads) {
  sluice::http::server_options options;
  options.threads = threads;
  auto started = sluice::http::server::start(options, handler);
  if (!started)
    die(started.error().message.c_str());
  return std::move(*started);
}

/// Memory of this process that is in RAM.
double resident_bytes() {
  long pages = 0, all = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &all, &pages) != 2)
      pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Opens connections that have had one answer and ask no more.
std::vector<int> open_idle(std::uint16_t port, std::size_t count) {
  auto size = answer_size(port);
  std::vector<int> idle;
  char buffer[4096];
  while (idle.size() < count) {
    idle.push_back(connect_to(port));
    static_cast<void>(::send(idle.back(), request_text.data(), request_text.size(), MSG_NOSIGNAL));
    for (std::size_t got = 0; got < size;) {
      auto part = ::recv(idle.back(), buffer, sizeof(buffer), 0);
      if (part <= 0)
        die("no answer");
      got += static_cast<std::size_t>(part);
    }
  }
  return idle;
}

/// Both ends of each connection are in this process.
std::size_t idle_count() {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = now.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &now);
  return std::min<std::size_t>(10000, now.rlim_cur * 4 / 10);
}

void print(const char* name, const figures& f) {
  std::printf("\"%s\": {\"per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"server_cpu_us\": %.2f}", name,
              f.per_s, f.p50_us, f.p99_us, f.server_cpu_us);
}

} // namespace

int main(int argc, char** argv) {
  auto idle_max = idle_count();
  double seconds = argc > 1 ? std::atof(argv[1]) : 2.0;
  std::size_t threads = argc > 2 ? static_cast<std::size_t>(std::atoi(argv[2])) : 1;
  bare_server bare{threads};
  inline_handler at_once;
  thread_handler elsewhere;
  auto ours = start_ours(at_once, threads);
  auto threaded = start_ours(elsewhere, threads);
  std::printf("{\n  \"server_threads\": %zu,\n  \"cases\": [\n", threads);
  const std::size_t counts[] = {1, 16, 128, 1000};
  for (auto count : counts) {
    // In turns, so that what else the machine does falls on each alike.
    figures best[3];
    for (int round = 0; round < 3; ++round) {
      const figures now[3] = {measure(bare.port(), count, seconds / 3),
                              measure(ours->ports()[0], count, seconds / 3),
                              measure(threaded->ports()[0], count, seconds / 3)};
      for (int i = 0; i < 3; ++i)
        if (now[i].per_s > best[i].per_s)
          best[i] = now[i];
    }
    std::printf("    {\"connections\": %zu,\n     ", count);
    print("bare_beast", best[0]);
    std::printf(",\n     ");
    print("sluice", best[1]);
    std::printf(",\n     ");
    print("sluice_threads", best[2]);
    std::printf(",\n     \"ratio\": %.2f, \"cpu_ratio\": %.2f}%s\n", best[1].per_s / best[0].per_s,
                best[1].server_cpu_us / best[0].server_cpu_us, count == counts[3] ? "" : ",");
    std::fflush(stdout);
  }
  std::printf("  ],\n  \"idle\": {");
  auto before = resident_bytes();
  auto idle = open_idle(ours->ports()[0], idle_max);
  std::printf("\"connections\": %zu, \"bytes_each\": %.0f,\n     ", idle.size(),
              (resident_bytes() - before) / static_cast<double>(idle.size()));
  print("sluice", measure(ours->ports()[0], 16, seconds));
  std::printf("}\n}\n");
}
