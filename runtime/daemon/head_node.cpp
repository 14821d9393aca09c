#include "runtime/daemon/address.hpp"
#include "runtime/daemon/daemon.hpp"
#include "runtime/daemon/head_news.hpp"
#include "runtime/daemon/housekeeping.hpp"
#include "runtime/daemon/identity.hpp"
#include "runtime/daemon/link_port.hpp"
#include "runtime/daemon/log.hpp"
#include "runtime/daemon/signals.hpp"
#include "runtime/daemon/worker_part.hpp"
#include "runtime/run_actors.hpp"
#include "transport/artifact/artifact_admission.hpp"
#include "transport/grpc/control_service.hpp"
#include "transport/link/asio_link.hpp"
#include "transport/peer/peer.hpp"
#include "transport/store/head_stores.hpp"
#include "transport/store/queue_store_thread.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/queue/queue.hpp"

#include <sluice/core/version.hpp>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <filesystem>
#include <random>
#include <unistd.h>

namespace sluice::daemon {

namespace {

namespace fs = std::filesystem;

/// For purging on a full disk: as much as the log of the queues may have to move into their file, twice.
constexpr std::uint64_t queue_room_bytes = 32u << 20;

std::function<std::chrono::system_clock::time_point()> wall_clock() {
  return [] { return std::chrono::system_clock::now(); };
}

/// The head's parts. Members stand in the order in which they are started; `stop` ends
/// them in reverse.
class head_node {
public:
  head_node(const config::node_options& options, stop_signal& stop) : options_(options), stop_(stop) {}
  ~head_node() { stop_all(); }

  result<void> start() {
    auto now = std::chrono::system_clock::now();
    auto identity = load_head_identity(options_.state_dir, now);
    if (!identity)
      return fail(identity);
    identity_ = std::move(*identity);
    auto artifacts = artifact::artifact_store::open(fs::path{options_.state_dir} / "artifacts");
    if (!artifacts)
      return fail(artifacts);
    artifacts_ = std::move(*artifacts);
    for (auto step : {&head_node::open_stores, &head_node::start_queue, &head_node::start_cluster,
                      &head_node::start_listener, &head_node::start_control, &head_node::start_worker,
                      &head_node::start_renewal})
      if (auto done = (this->*step)(); !done)
        return done;
    return {};
  }

  config::ready_info ready() {
    config::ready_info info;
    info.role = "head";
    info.node_id = worker_ ? identity_.id.value : "";
    info.pid = getpid();
    info.link_address = link_address();
    info.control_address = address_for_others(options_.listen, control_->tcp_port());
    info.control_socket = socket_path();
    info.http_address = worker_ ? worker_->http_address() : "";
    info.state_dir = options_.state_dir;
    info.ca_fingerprint = identity_.ca_fingerprint;
    info.warning = port_warning_;
    if (!stores_.warning.empty())
      info.warning += (info.warning.empty() ? "" : "\nwarning: ") + stores_.warning;
    if (auto token =
          identity_.join_tokens->create(identity_.ca_fingerprint, std::chrono::system_clock::now()))
      info.join_token = pki::to_string(*token);
    return info;
  }

private:
  std::string link_address() const { return address_for_others(options_.listen, listener_->port()); }
  std::string socket_path() const { return (fs::path{options_.state_dir} / "control.sock").string(); }

  result<void> open_stores() {
    store::queue_store_options queues;
    queues.on_damage = [](const std::string& what) { log_line("queue", what, log_level::error); };
    queues.size_bytes_max = options_.queue_bytes_max;
    queues.room_bytes = queue_room_bytes;
    auto opened = store::open_head_stores(options_.state_dir, std::move(queues), options_.accept_loss);
    if (!opened)
      return fail(opened);
    stores_ = std::move(*opened);
    if (!stores_.warning.empty())
      log_line("head", stores_.warning, log_level::warning);
    return {};
  }

  result<void> start_queue() {
    queue_thread_ = std::make_shared<store::queue_store_thread>(std::move(stores_.queues));
    queue::options queue;
    queue.store = queue_thread_;
    queue.wall_clock = wall_clock();
    queue.jitter = [random = std::make_shared<std::mt19937_64>(std::random_device{}())] {
      return std::uniform_real_distribution<double>{0.0, 1.0}(*random);
    };
    // After a failed sync nothing on disk can be trusted but what the next start reads.
    queue.on_broken = [this](const failure& why) { give_up("queue", why); };
    queue.report = [this](const std::string& what) {
      log_line("queue", what, log_level::warning);
      news_.tell("error", what);
    };
    queue.on_trouble = [this](const std::string& why) {
      const auto text = why.empty() ? "the queues can store again" : "the queues store nothing: " + why;
      log_line("queue", text, why.empty() ? log_level::info : log_level::error);
      news_.tell(why.empty() ? "info" : "error", text);
    };
    queue_ = queue::spawn(sys_, std::move(queue));
    return {};
  }

  result<void> start_cluster() {
    cluster::options cluster;
    cluster.cluster_id = identity_.cluster_id;
    cluster.wall_clock = wall_clock();
    cluster.on_artifacts = collect_unused(housekeeping_, *artifacts_);
    cluster.on_broken = [this](const failure& why) { give_up("head", why); };
    cluster.report = [](const std::string& what) { log_line("head", what, log_level::warning); };
    auto spawned = cluster::spawn(sys_, std::move(cluster), std::move(stores_.cluster), queue_);
    if (!spawned)
      return fail(spawned);
    cluster_ = std::move(*spawned);
    news_.begin(cluster_);
    return {};
  }

  result<void> start_listener() {
    auto tls = link::tls_credentials::make(identity_.link);
    if (!tls)
      return fail(tls);
    link_credentials_ = *tls;
    link::listener_options listen;
    listen.at = {options_.listen, 0, {}};
    listen.link.self = {.role = link::peer_role::head,
                        .cluster_id = identity_.cluster_id,
                        .name = "head",
                        .started = started_,
                        .sluice_version = SLUICE_VERSION};
    listen.link.tls = std::move(*tls);
    listen.admit = [](const link::hello& peer) -> result<void> {
      if (peer.role != link::peer_role::node)
        return fail(errc::permission_denied, "only nodes connect here");
      return {};
    };
    listen.on_connection = [this](link::connection_ptr made) { serve_node(std::move(made)); };
    listen.on_join = [this](const link::join_request& request, auto reply) {
      reply(grant_join(identity_, request, std::chrono::system_clock::now()));
    };
    listen.on_refused = make_refusal_log(log_level::warning);
    return listen_at_known_port(std::move(listen));
  }

  /// Links that are up stay up; new ones see the new certificates.
  void renew_certificates() {
    auto now = std::chrono::system_clock::now();
    auto facts = pki::inspect(identity_.link.certificate_pem);
    if (facts && !pki::renewal_due(*facts, now))
      return;
    if (auto done = issue_certificates(identity_, now); !done)
      return log_line("link", "cannot renew the head's certificates: " + done.error().message,
                      log_level::error);
    for (const auto& [credentials, fresh] :
         {std::pair{link_credentials_, &identity_.link}, std::pair{node_credentials_, &identity_.node}})
      if (auto done = credentials ? credentials->update(*fresh) : result<void>{}; !done)
        log_line("link", "cannot use a renewed certificate: " + done.error().message, log_level::error);
    log_line("link", "the head's certificates are renewed");
  }

  result<void> listen_at_known_port(link::listener_options listen) {
    const auto choice =
      choose_link_port(options_.link_port, options_.link_port_given, read_link_port(options_.state_dir));
    listen.at.port = choice.port;
    auto listener = link::listen(io_, listen);
    if (!listener && choice.or_any && listener.error().code == errc::conflict) {
      listen.at.port = 0;
      listener = link::listen(io_, std::move(listen));
    }
    if (!listener)
      return tl::unexpected{cannot_listen(choice, listener.error(), options_.listen)};
    listener_ = std::move(*listener);
    port_warning_ = moved_warning(choice, listener_->port(), link_address());
    if (!port_warning_.empty())
      log_line("link", port_warning_, log_level::warning);
    if (auto kept = keep_link_port(options_.state_dir, listener_->port()); !kept)
      log_line("link", kept.error().message + "; after a restart workers may not find this head",
               log_level::warning);
    return {};
  }

  /// What nodes fetch. Any thread.
  result<std::string> read_artifact(const artifact_id& id, std::uint64_t offset,
                                    std::size_t size_bytes_max) const {
    auto data = artifacts_->read_chunk(id, offset, std::min(size_bytes_max, limits::artifact_chunk_bytes));
    if (!data && (data.error().code == errc::corrupt || data.error().code == errc::not_found))
      return fail(data.error().code, "the head's " + data.error().message + "; submit the flow again");
    return data;
  }

  void serve_node(link::connection_ptr made) {
    peer::options peer;
    peer.local.cluster = cluster_;
    peer.local.queue = queue_;
    peer.local.artifacts = [this](const peer::artifact_request& request) -> result<peer::artifact_chunk> {
      auto data = read_artifact(request.artifact, request.offset, request.size_bytes);
      if (!data)
        return fail(data);
      return peer::artifact_chunk{std::move(*data)};
    };
    peer.local.certificates =
      [this](const node_id& who, const peer::certificate_request& what) -> result<peer::certificate_grant> {
      auto signed_one = sign_renewal(identity_, who, what.request_pem, std::chrono::system_clock::now());
      if (!signed_one)
        return fail(signed_one);
      log_line("link", "renewed the certificate of " + who.value);
      return peer::certificate_grant{std::move(*signed_one)};
    };
    peer.established = std::move(made);
    peer::spawn(sys_, std::move(peer));
  }

  result<void> start_control() {
    admission_ = std::make_unique<artifact::artifact_admission>(*artifacts_, SLUICE_VERSION);
    control::control_backend backend;
    backend.cluster = cluster_;
    backend.queues = queue_;
    backend.artifacts = admission_.get();
    backend.is_token_valid = [hash = pki::hash_secret(identity_.cluster_token)](std::string_view shown) {
      return pki::is_token(shown, hash);
    };
    backend.create_join_token = [this](std::chrono::seconds ttl) { return make_join_token(ttl); };
    backend.show_token = [this]() -> result<std::string> { return identity_.cluster_token; };
    backend.ca_fingerprint = identity_.ca_fingerprint;
    backend.stop = [this](const std::string& reason) {
      log_line("head", "told to stop: " + reason);
      stop_.raise();
    };
    control::control_server_options server;
    server.socket_path = socket_path();
    const bool is_ipv6 = options_.listen.find(':') != std::string::npos;
    server.tcp_address =
      (is_ipv6 ? "[" + options_.listen + "]" : options_.listen) + ":" + std::to_string(options_.control_port);
    server.address_for_others = [listen = options_.listen](std::uint16_t port) {
      return address_for_others(listen, port);
    };
    server.certificate_chain = identity_.control.certificate_pem + identity_.control.ca_pem;
    server.private_key = identity_.control.key_pem;
    auto started = control::start_control_server(sys_, std::move(backend), std::move(server));
    if (!started)
      return fail(started);
    control_ = std::move(*started);
    return {};
  }

  result<control::join_token> make_join_token(std::chrono::seconds ttl) {
    auto now = std::chrono::system_clock::now();
    auto made = identity_.join_tokens->create(identity_.ca_fingerprint, now, ttl);
    if (!made)
      return fail(made);
    return control::join_token{pki::to_string(*made), identity_.ca_fingerprint, link_address(), now + ttl};
  }

  result<void> start_worker() {
    if (!options_.worker)
      return {};
    worker_part::settings settings;
    settings.options = options_;
    settings.id = identity_.id;
    settings.started = started_;
    settings.cluster_id = identity_.cluster_id;
    auto node = link::tls_credentials::make(identity_.node);
    if (!node)
      return fail(node);
    node_credentials_ = *node;
    settings.credentials = std::move(*node);
    settings.relay_host = options_.listen;
    settings.is_head = true;
    settings.queue = queue_;
    settings.artifacts = artifacts_.get();
    settings.read_artifact = [this](const artifact_id& id, std::uint64_t offset, std::size_t size_bytes_max) {
      return read_artifact(id, offset,
                           size_bytes_max); // it has been looked for there: this says why it is not
    };
    auto worker = worker_part::start(sys_, io_, std::move(settings));
    if (!worker)
      return fail(worker);
    worker_ = std::move(*worker);
    caf::anon_send(worker_->agent(), node::head_connected{cluster_});
    return {};
  }

  result<void> start_renewal() {
    renewal_ =
      spawn_periodic(sys_, renewal_interval, [this](caf::event_based_actor*) { renew_certificates(); });
    return {};
  }

  void give_up(const char* part, const failure& why) {
    log_line(part, "cannot go on, the head stops: " + why.message, log_level::error);
    broken_ = true;
    stop_.raise();
  }

  void stop_all() {
    control_.reset();
    if (worker_ && !broken_)
      worker_->stop();
    worker_.reset();
    if (renewal_) { // waited for: it uses parts of this
      caf::scoped_actor self{sys_};
      self->send_exit(renewal_, caf::exit_reason::user_shutdown);
      self->wait_for(renewal_);
    }
    renewal_ = caf::actor{};
    listener_.reset();
    news_.end();
    for (const auto& end : {caf::actor_cast<caf::actor>(cluster_), caf::actor_cast<caf::actor>(queue_)})
      if (end)
        caf::anon_send_exit(end, caf::exit_reason::user_shutdown);
    if (cluster_) { // it uses what goes before the actor system
      caf::scoped_actor self{sys_};
      self->wait_for(cluster_);
    }
    cluster_ = cluster::handle{};
    queue_ = queue::admin_handle{};
    io_.stop();
    if (queue_thread_)
      queue_thread_->stop();
  }

  const config::node_options& options_;
  stop_signal& stop_;
  const incarnation started_ = make_incarnation();
  std::atomic<bool> broken_{false};
  head_identity identity_;
  /// Before the actors: the peers of nodes read from it to their end.
  std::unique_ptr<artifact::artifact_store> artifacts_;
  runtime::actor_config caf_config_;
  caf::actor_system sys_{caf_config_};
  link::io_thread io_;
  process::work_thread housekeeping_{housekeeping_jobs_max}; ///< uses the store
  std::shared_ptr<link::tls_credentials> link_credentials_;
  std::shared_ptr<link::tls_credentials> node_credentials_; ///< none without a worker
  caf::actor renewal_;
  store::head_stores stores_; ///< until the parts that use them have taken them
  std::shared_ptr<store::queue_store_thread> queue_thread_;
  queue::admin_handle queue_;
  head_news news_;
  cluster::handle cluster_;
  std::unique_ptr<link::listener> listener_;
  std::string port_warning_;
  std::unique_ptr<artifact::artifact_admission> admission_;
  std::unique_ptr<control::control_server> control_;
  std::unique_ptr<worker_part> worker_;
};

} // namespace

result<void> run_head(const config::node_options& options, const on_ready& ready) {
  stop_signal stop;
  set_log_level(options.log_level);
  head_node node{options, stop};
  if (auto started = node.start(); !started)
    return started;
  auto info = node.ready();
  log_line("head", "serves at " + info.link_address);
  ready(info);
  stop.wait();
  log_line("head", "stops");
  return {};
}

} // namespace sluice::daemon
