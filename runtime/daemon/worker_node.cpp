#include "runtime/config/state_dir.hpp"
#include "runtime/daemon/address.hpp"
#include "runtime/daemon/daemon.hpp"
#include "runtime/daemon/housekeeping.hpp"
#include "runtime/daemon/identity.hpp"
#include "runtime/daemon/log.hpp"
#include "runtime/daemon/moving_connector.hpp"
#include "runtime/daemon/signals.hpp"
#include "runtime/daemon/worker_part.hpp"
#include "runtime/run_actors.hpp"
#include "transport/link/asio_link.hpp"
#include "transport/peer/peer.hpp"

#include <sluice/core/version.hpp>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>
#include <unistd.h>

namespace sluice::daemon {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// The first link to the head, or why there is none. Later ones are only logged. Safe
/// from any thread.
class first_contact {
public:
  void up() { settle({}); }

  void down(const failure& why) {
    // Out of reach is waited for; a refusal will not change by itself.
    if (why.code != errc::unavailable && why.code != errc::timeout)
      return settle(tl::unexpected{why});
    std::lock_guard guard{mutex_};
    last_ = why;
  }

  result<void> wait(std::chrono::seconds deadline) {
    std::unique_lock guard{mutex_};
    if (changed_.wait_for(guard, deadline, [this] { return outcome_.has_value(); }))
      return *outcome_;
    return tl::unexpected{last_};
  }

private:
  void settle(result<void> what) {
    std::lock_guard guard{mutex_};
    if (!outcome_)
      outcome_ = std::move(what);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<result<void>> outcome_;
  failure last_{errc::unavailable, "it does not answer"};
};

/// A worker's parts, in the order in which they are started.
class worker_node {
public:
  explicit worker_node(const config::node_options& options) : options_(options) {}
  ~worker_node() { stop_all(); }

  result<void> start() {
    auto address = parse_address(options_.address);
    if (!address)
      return fail(address);
    auto identity = load_or_join(options_, io_, std::chrono::system_clock::now());
    if (!identity)
      return fail(identity);
    identity_ = std::move(*identity);
    auto artifacts = artifact::artifact_store::open(fs::path{options_.state_dir} / "artifacts");
    if (!artifacts)
      return fail(artifacts);
    artifacts_ = std::move(*artifacts);
    if (auto made = start_peer(*address); !made)
      return made;
    return start_worker();
  }

  config::ready_info ready() const {
    config::ready_info info;
    info.role = "worker";
    info.node_id = identity_.id.value;
    info.pid = getpid();
    info.link_address = options_.address;
    info.http_address = worker_ ? worker_->http_address() : "";
    info.state_dir = options_.state_dir;
    return info;
  }

  /// Waits until the head has taken this node in.
  result<void> wait_for_head() {
    constexpr auto deadline = 20s;
    auto met = contact_->wait(deadline);
    if (!met)
      return fail(met.error().code,
                  "cannot reach the head at " + options_.address + ": " + met.error().message);
    return met;
  }

private:
  result<void> start_peer(const host_port& address) {
    auto tls = link::tls_credentials::make(identity_.link);
    if (!tls)
      return fail(tls);
    link::link_options link;
    link.self = {.role = link::peer_role::node,
                 .cluster_id = identity_.cluster_id,
                 .name = identity_.id.value,
                 .started = started_,
                 .sluice_version = SLUICE_VERSION};
    credentials_ = *tls;
    link.tls = std::move(*tls);
    link.expect_role = link::peer_role::head;
    peer::options peer;
    peer.connector = make_connector(address, std::move(link));
    peer.random = [random = std::make_shared<std::mt19937_64>(std::random_device{}())] {
      return std::uniform_real_distribution<double>{0.0, 1.0}(*random);
    };
    peer.on_up = [contact = contact_, agent = agent_](const link::hello&, const peer::handle& self) {
      log_line("link", "the head is there");
      contact->up();
      caf::anon_send(*agent, node::head_connected{self});
    };
    peer.on_down = [contact = contact_, agent = agent_](const failure& why) {
      log_line("link", "no link to the head: " + why.message, log_level::warning);
      contact->down(why);
      caf::anon_send(*agent, node::head_lost{});
    };
    head_ = peer::spawn(sys_, std::move(peer));
    renewal_ =
      spawn_periodic(sys_, renewal_interval, [this](caf::event_based_actor* self) { renew_if_due(self); });
    return {};
  }

  /// A worker that was told an address keeps to it; one that found the head of this machine looks again each time.
  std::unique_ptr<link::connector> make_connector(const host_port& address, link::link_options link) {
    auto make = [this, link = std::move(link)](const host_port& at) {
      return link::make_tcp_connector(io_, at.host, at.port, link);
    };
    if (!options_.address_auto)
      return make(address);
    auto look_up = [base = options_.base_dir]() -> std::optional<host_port> {
      auto head = config::find_head(base);
      auto at = head ? parse_address(head->link_address) : fail(errc::not_found, "");
      return at ? std::optional{*at} : std::nullopt;
    };
    return std::make_unique<moving_connector>(address, std::move(look_up), std::move(make));
  }

  /// The key stays; the certificate is replaced on disk and for the next links.
  void renew_if_due(caf::event_based_actor* self) {
    auto facts = pki::inspect(identity_.link.certificate_pem);
    if (facts && !pki::renewal_due(*facts, std::chrono::system_clock::now()))
      return;
    auto cannot = [](const failure& why) {
      log_line("link", "cannot renew this node's certificate, tries again later: " + why.message,
               log_level::warning);
    };
    auto request = pki::make_request(identity_.link.key_pem, "node");
    if (!request)
      return cannot(request.error());
    self->request(head_, renewal_answer_within, peer::certificate_request{std::move(*request)})
      .then(
        [this, cannot](const peer::certificate_grant& grant) {
          auto adopted = adopt_renewal(options_.state_dir, identity_, grant.certificate_pem);
          auto done = adopted ? credentials_->update(adopted->link) : result<void>{fail(adopted)};
          if (!done)
            return cannot(done.error());
          identity_.link = std::move(adopted->link);
          log_line("link", "this node's certificate is renewed");
        },
        [cannot](const caf::error& why) { cannot(from_caf(why)); });
  }

  result<void> start_worker() {
    worker_part::settings settings;
    settings.options = options_;
    settings.id = identity_.id;
    settings.started = started_;
    settings.cluster_id = identity_.cluster_id;
    settings.credentials = credentials_;
    settings.relay_host = options_.listen;
    // Nodes on other machines must get here: unless told otherwise, where the head sees this one.
    if (auto head = parse_address(options_.address); head && !options_.listen_given)
      settings.relay_host = local_address_towards(*head).value_or(options_.listen);
    settings.queue = head_;
    settings.artifacts = artifacts_.get();
    settings.read_artifact = [this](const artifact_id& id, std::uint64_t offset, std::size_t size_bytes_max) {
      return read_artifact(id, offset, size_bytes_max);
    };
    auto worker = worker_part::start(sys_, io_, std::move(settings));
    if (!worker)
      return fail(worker);
    worker_ = std::move(*worker);
    *agent_ = worker_->agent();
    peer::services local;
    local.node = worker_->agent();
    caf::anon_send(head_, peer::begin{std::move(local)});
    return {};
  }

  /// Runs on the fetcher's thread.
  result<std::string> read_artifact(const artifact_id& id, std::uint64_t offset, std::size_t size_bytes_max) {
    constexpr auto answer_within = 15s;
    peer::artifact_request request{
      id, offset, static_cast<std::uint32_t>(std::min(size_bytes_max, limits::artifact_chunk_bytes))};
    result<std::string> data;
    caf::scoped_actor self{sys_};
    self->request(head_, answer_within, std::move(request))
      .receive([&](peer::artifact_chunk& chunk) { data = std::move(chunk.data); },
               [&](const caf::error& why) { data = tl::unexpected{from_caf(why)}; });
    return data;
  }

  void stop_all() {
    if (worker_)
      worker_->stop();
    worker_.reset();
    if (renewal_) { // waited for: it uses parts of this
      caf::scoped_actor self{sys_};
      self->send_exit(renewal_, caf::exit_reason::user_shutdown);
      self->wait_for(renewal_);
    }
    renewal_ = caf::actor{};
    if (head_)
      caf::anon_send_exit(head_, caf::exit_reason::user_shutdown);
    head_ = peer::handle{};
    *agent_ = node::agent_handle{};
    io_.stop();
  }

  const config::node_options& options_;
  const incarnation started_ = make_incarnation();
  worker_identity identity_;
  runtime::actor_config caf_config_;
  caf::actor_system sys_{caf_config_};
  link::io_thread io_;
  std::unique_ptr<artifact::artifact_store> artifacts_;
  std::shared_ptr<first_contact> contact_ = std::make_shared<first_contact>();
  std::shared_ptr<node::agent_handle> agent_ = std::make_shared<node::agent_handle>();
  std::shared_ptr<link::tls_credentials> credentials_;
  peer::handle head_;
  caf::actor renewal_;
  std::unique_ptr<worker_part> worker_;
};

} // namespace

result<void> run_worker(const config::node_options& options, const on_ready& ready) {
  stop_signal stop;
  set_log_level(options.log_level);
  worker_node node{options};
  if (auto started = node.start(); !started)
    return started;
  if (auto met = node.wait_for_head(); !met)
    return met;
  log_line("worker", "serves");
  ready(node.ready());
  stop.wait();
  log_line("worker", "stops");
  return {};
}

} // namespace sluice::daemon
