#include "transport/http/server.hpp"

#include "transport/http/acceptor.hpp"
#include "transport/http/environment.hpp"
#include "transport/http/worker.hpp"
#include "transport/link/socket_setup.hpp"

#include <algorithm>
#include <utility>

namespace sluice::http {

namespace {

constexpr int backlog = 4096;

} // namespace

struct server::parts {
  std::shared_ptr<environment> shared;
  std::vector<std::shared_ptr<worker>> workers;
  std::vector<std::shared_ptr<acceptor>> acceptors;
  std::vector<std::uint16_t> ports;
};

result<std::unique_ptr<server>> server::start(server_options options, ingress::http_handler& handler) {
  auto made = std::make_unique<parts>();
  made->shared = std::make_shared<environment>(std::move(options), handler);
  auto& shared = *made->shared;
  const auto& own = shared.options;
  if (own.certificate_file.empty() != own.key_file.empty())
    return fail(errc::invalid_argument, "TLS needs both a certificate and a key");
  if (!own.certificate_file.empty()) {
    auto certificate = tls_certificate::load(own.certificate_file, own.key_file);
    if (!certificate)
      return fail(certificate);
    shared.tls = std::move(*certificate);
  }
  if (own.io)
    made->workers.push_back(std::make_shared<worker>(made->shared, own.io));
  while (made->workers.size() < std::max<std::size_t>(own.threads, 1))
    made->workers.push_back(worker::start(made->shared));
  for (const auto& at : own.addresses) {
    auto fd = link::open_tcp_listener(at.host, at.port, false, backlog);
    if (!fd)
      return fail(fd.error().code,
                  fd.error().message + (own.address_hint.empty() ? "" : "; " + own.address_hint));
    made->acceptors.push_back(std::make_shared<acceptor>(made->shared, made->workers, *fd));
    made->ports.push_back(link::bound_port(*fd));
  }
  for (const auto& each : made->acceptors)
    each->start();
  return std::unique_ptr<server>{new server{std::move(made)}};
}

server::server(std::unique_ptr<parts> parts) : parts_(std::move(parts)) {}

server::~server() { stop(); }

const std::vector<std::uint16_t>& server::ports() const noexcept { return parts_->ports; }

std::size_t server::connection_count() const { return parts_->shared->ledger.count(); }

void server::stop_accepting() {
  for (const auto& each : std::exchange(parts_->acceptors, {}))
    each->stop();
}

bool server::drain(std::chrono::milliseconds patience) {
  auto until = std::chrono::steady_clock::now() + patience;
  parts_->shared->draining = true;
  stop_accepting();
  for (const auto& each : parts_->workers)
    each->close_idle();
  return parts_->shared->ledger.wait_until_empty(until);
}

void server::cut_streams() {
  for (const auto& each : parts_->workers)
    each->cut_streams();
}

void server::stop() {
  stop_accepting();
  for (const auto& each : parts_->workers)
    each->stop();
}

} // namespace sluice::http
