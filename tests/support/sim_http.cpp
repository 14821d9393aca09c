#include "tests/support/sim_http.hpp"

#include <algorithm>

namespace sluice::testing {

using namespace std::chrono_literals;

/// The way from an ingress to one replica, wherever it is.
class sim_http::target final : public ingress::target_port {
public:
  target(sim_http& all, replica_id replica) : all_(all), replica_(replica) {}

  void submit(exchange_ptr call) override {
    all_.world_.call_in(all_.between(50, 2000), [&all = all_, over = all_.is_over_, replica = replica_,
                                                 call = std::move(call)]() mutable {
      if (!*over)
        all.arrive(replica, std::move(call));
    });
  }

private:
  sim_http& all_;
  const replica_id replica_;
};

sim_http::sim_http(sim_cluster& world) : world_(world), random_(world.seed()) {
  world_.on_routes(
    [this](std::size_t index, const ingress::route_table& table) { take_routes(index, table); });
  tick();
}

sim_http::~sim_http() { *is_over_ = true; }

ingress::time_point sim_http::now() const { return ingress::time_point{world_.now().time_since_epoch()}; }

std::chrono::nanoseconds sim_http::between(int low_us, int high_us) {
  return std::chrono::microseconds{low_us
                                   + static_cast<int>(random_() % static_cast<unsigned>(high_us - low_us))};
}

void sim_http::take_routes(std::size_t index, const ingress::route_table& table) {
  auto& here = fronts_[index];
  if (!here.routes || here.epoch != world_.starts_of(index)) {
    here.epoch = world_.starts_of(index);
    ingress::router_options options;
    options.here = world_.id_of(index);
    options.seed = random_();
    options.reach = [this](const ingress::route_target& where) {
      return std::make_shared<target>(*this, where.replica);
    };
    options.now = [this] { return now(); };
    here.routes = std::make_unique<ingress::router>(std::move(options));
  }
  here.routes->set_routes(table);
}

const sim_host* sim_http::host_of(replica_id replica) const {
  for (const auto* host : world_.hosts())
    if (host->replicas.contains(replica))
      return host;
  return nullptr;
}

bool sim_http::is_there(host_id host) const {
  return std::ranges::any_of(world_.hosts(), [&](const sim_host* one) { return one->id == host; });
}

void sim_http::arrive(replica_id replica, exchange_ptr call) {
  const auto* host = host_of(replica);
  if (host == nullptr)
    return call->refuse({errc::unavailable, "no such replica here"});
  if (host->replicas.at(replica).phase != host::replica_phase::running)
    return call->refuse({errc::shutting_down, "it drains"});
  ++taken_;
  world_.call_in(between(500, 9000),
                 [this, over = is_over_, id = host->id, call = std::move(call)]() mutable {
                   if (*over)
                     return;
                   if (is_there(id))
                     call->respond({200, {}, {}});
                   call.reset();
                 });
}

void sim_http::tick() {
  for (auto& [index, front] : fronts_)
    if (world_.is_up(index) && front.epoch == world_.starts_of(index))
      front.routes->tick();
  world_.call_in(ingress::router::tick_interval, [this, over = is_over_] {
    if (!*over)
      tick();
  });
}

void sim_http::send_one(const std::string& path) {
  std::vector<std::size_t> up;
  for (auto& [index, front] : fronts_)
    if (world_.is_up(index) && front.epoch == world_.starts_of(index))
      up.push_back(index);
  if (up.empty())
    return;
  const auto index = up[random_() % up.size()];
  auto& front = fronts_[index];
  const auto by = sent_.size() % 2 == 0 ? method::get : method::post;
  auto call = test::fake_exchange::make(by, path, now() + limits::http_request_timeout_default);
  sent_.push_back({by, index, front.epoch, call->seen});
  front.routes->handle(call, nullptr);
}

void sim_http::load(const std::string& path, std::chrono::nanoseconds gap, std::uint64_t number) {
  if (number != load_)
    return;
  send_one(path);
  world_.call_in(gap, [this, over = is_over_, path, gap, number] {
    if (!*over)
      load(path, gap, number);
  });
}

void sim_http::start_load(std::string path, unsigned rate_per_s) {
  load(path, std::chrono::nanoseconds{1s} / rate_per_s, ++load_);
}

sim_http::outcome sim_http::result() const {
  outcome sum;
  sum.taken = taken_;
  for (const auto& one : sent_) {
    ++sum.sent;
    const auto status = one.seen->status();
    if (one.seen->refused())
      ++sum.refused;
    else if (status == 200)
      ++sum.answered;
    else if (status == 404)
      ++sum.not_found;
    else if (status == 502)
      ++(one.by == method::get ? sum.lost_get : sum.lost);
    else if (!world_.is_up(one.node) || world_.starts_of(one.node) != one.epoch)
      ++sum.gone;
    else
      ++sum.open;
  }
  sum.lost += sum.lost_get;
  for (const auto& [index, front] : fronts_)
    for (const auto& each : front.routes->statistics())
      sum.retried += each.refused_total;
  return sum;
}

} // namespace sluice::testing
