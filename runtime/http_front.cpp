#include "runtime/http_front.hpp"

#include "transport/http/access_log.hpp"
#include "transport/http/server.hpp"
#include "actors/ingress/router.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/http/docs_page.hpp>
#include <sluice/http/openapi.hpp>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

namespace sluice::runtime {

/// Calls `router::tick` at its interval, which is long while nobody waits: an idle process costs nothing.
class http_front::beat {
public:
  explicit beat(std::function<void()> also) : also_(std::move(also)) {}
  void start(ingress::router& router) {
    thread_ = std::thread{[this, &router] { run(router); }};
  }
  ~beat() { stop(); }
  beat(const beat&) = delete;
  beat& operator=(const beat&) = delete;

  void stop() {
    {
      std::lock_guard lock{mutex_};
      ended_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable())
      thread_.join();
  }

  /// Somebody waits. Any thread; costs something only at the end of an idle time.
  void wake() {
    if (!is_idle_.load() || !is_idle_.exchange(false))
      return;
    std::lock_guard lock{mutex_};
    changed_.notify_one();
  }

private:
  void run(ingress::router& router) {
    std::unique_lock lock{mutex_};
    while (!ended_) {
      if (is_idle_)
        changed_.wait_for(lock, ingress::router::idle_tick_interval, [this] { return ended_ || !is_idle_; });
      else
        changed_.wait_for(lock, ingress::router::tick_interval, [this] { return ended_; });
      if (ended_)
        return;
      lock.unlock();
      is_idle_ = true; // before the look: who begins to wait after it wakes this one
      if (router.tick())
        is_idle_ = false;
      if (also_)
        also_();
      lock.lock();
    }
  }

  const std::function<void()> also_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> is_idle_{false};
  bool ended_ = false;
  std::thread thread_;
};

namespace {

/// All routes of the table, or those of one flow, as an OpenAPI document.
response openapi_of(const ingress::route_table& table, const std::optional<flow_name>& flow) {
  std::vector<http::documented_processor> all;
  for (const auto& route : table.routes)
    if (!flow || route.flow == *flow)
      all.push_back({route.flow, route.processor, route.kind, route.http});
  return {200,
          {{"Content-Type", "application/json"}},
          http::openapi_document(flow ? flow->value : std::string{"Sluice"}, all)};
}

} // namespace

result<std::unique_ptr<http_front>> http_front::start(settings what) {
  ingress::router_options options;
  options.here = std::move(what.here);
  options.seed = std::random_device{}();
  options.reach = std::move(what.reach);
  options.rooms = std::move(what.rooms);
  options.collector = std::move(what.collector);
  options.now = [] { return std::chrono::steady_clock::now(); };
  if (what.docs) {
    options.openapi = openapi_of;
    options.docs = [](const ingress::route_table&, const std::optional<flow_name>&) {
      return http::docs_page();
    };
  }
  auto pulse = std::make_shared<beat>(std::move(what.on_beat));
  options.on_waiting = [to = pulse] { to->wake(); };
  auto router = std::make_unique<ingress::router>(std::move(options));
  std::unique_ptr<http::access_log> log;
  if (!what.access_log_dir.empty()) {
    log = std::make_unique<http::access_log>(http::access_log_options{std::move(what.access_log_dir)});
    what.server.on_access = [to = log.get()](const http::access_entry& entry) { to->add(entry); };
  }
  what.server.address_hint = "--http HOST:PORT chooses another, port 0 any free one";
  auto server = http::server::start(std::move(what.server), *router);
  if (!server)
    return fail(server);
  return std::unique_ptr<http_front>{
    new http_front{std::move(log), std::move(pulse), std::move(router), std::move(*server)}};
}

http_front::http_front(std::unique_ptr<http::access_log> log, std::shared_ptr<beat> pulse,
                       std::unique_ptr<ingress::router> router, std::unique_ptr<http::server> server)
  : access_log_(std::move(log)), router_(std::move(router)), server_(std::move(server)),
    beat_(std::move(pulse)) {
  beat_->start(*router_);
}

http_front::~http_front() { stop(); }

void http_front::set_routes(const ingress::route_table& table) { router_->set_routes(table); }
std::vector<ingress::route_statistics> http_front::statistics() const { return router_->statistics(); }
std::vector<ingress::processor_load> http_front::loads() const { return router_->loads(); }
const std::vector<std::uint16_t>& http_front::ports() const noexcept { return server_->ports(); }

bool http_front::drain(std::chrono::milliseconds patience) { return server_->drain(patience); }

void http_front::cut_streams() { server_->cut_streams(); }

void http_front::stop() {
  if (std::exchange(is_stopped_, true))
    return;
  router_->close();
  server_->stop();
  beat_->stop();
}

result<http::listen_address> parse_http_address(const std::string& text) {
  auto wrong = [&] {
    return fail(errc::invalid_argument, "'" + text + "' is no address; write HOST:PORT, for example "
                                          + "127.0.0.1:8000, where port 0 picks a free one");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos)
    return wrong();
  http::listen_address out;
  auto host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (!host.empty())
    out.host = host;
  const auto* begin = text.data() + colon + 1;
  const auto* end = text.data() + text.size();
  auto [at, error] = std::from_chars(begin, end, out.port);
  if (error != std::errc{} || at != end || begin == end)
    return wrong();
  return out;
}

ingress::route_table routes_of(const flow_spec& spec,
                               const std::vector<std::pair<processor_name, replica_id>>& replicas,
                               const node_id& here) {
  ingress::route_table out;
  for (const auto& processor : spec.processors) {
    if (!processor.http)
      continue;
    ingress::route_entry route;
    route.flow = spec.name;
    route.processor = processor.name;
    route.kind = processor.kind;
    route.http = *processor.http;
    route.num_concurrency = processor.num_concurrency;
    route.timeout = processor.timeout;
    route.output_type = processor.output_type;
    for (const auto& [name, id] : replicas) {
      if (name == processor.name)
        route.targets.push_back({id, flow_version{1}, here, {}, spec.name});
    }
    out.routes.push_back(std::move(route));
  }
  return out;
}

} // namespace sluice::runtime
