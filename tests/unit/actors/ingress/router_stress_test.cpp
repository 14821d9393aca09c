// Many threads at one router; what it counts and what clients get has to add up whatever the
// order. Worth most under ThreadSanitizer.

#include "tests/support/fake_exchange.hpp"
#include "actors/ingress/router.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <thread>

using namespace sluice;
using namespace sluice::ingress;
using namespace std::chrono_literals;
using sluice::test::fake_exchange;

namespace {

/// A replica with a thread of its own. Answers most requests, streams some, refuses and loses others.
class moody_target final : public target_port {
public:
  explicit moody_target(std::uint64_t seed) : random_(seed), thread_([this] { run(); }) {}
  ~moody_target() override {
    {
      std::lock_guard lock{mutex_};
      is_over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void submit(exchange_ptr call) override {
    {
      std::unique_lock lock{mutex_};
      if (!is_draining_ && queue_.size() < 3) {
        queue_.push_back(std::move(call));
        changed_.notify_one();
        return;
      }
    }
    call->refuse({is_draining_ ? errc::shutting_down : errc::overloaded, "full"});
  }

  void drain() { is_draining_ = true; }

private:
  void run() {
    while (true) {
      exchange_ptr call;
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return is_over_ || !queue_.empty(); });
        if (queue_.empty())
          return;
        call = std::move(queue_.front());
        queue_.pop_front();
      }
      call->when_cancelled([] {});
      const auto mood = next_random(random_) % 16;
      if (mood == 0) {
        call->refuse({errc::shutting_down, "moody"});
      } else if (mood == 1) {
        call.reset();
      } else if (mood == 2) {
        call->begin({200, {}, "a"});
        call->write("b");
        call->finish();
      } else {
        call->respond({200, {}, std::move(call->in.path)});
      }
    }
  }

  std::uint64_t random_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<exchange_ptr> queue_;
  bool is_over_ = false;
  std::atomic<bool> is_draining_ = false;
  std::thread thread_;
};

route_table table_of(const std::vector<std::uint64_t>& replicas) {
  route_entry made;
  made.flow = flow_name{"f"};
  made.processor = processor_name{"p"};
  made.http.route = "/{id}";
  made.http.max_queued_requests = 8;
  for (auto number : replicas)
    made.targets.push_back({replica_id{number}, flow_version{1}, node_id{"here"}, {}});
  auto posts = made;
  posts.http.method = method::post;
  return {{made, posts}};
}

} // namespace

TEST_CASE("every request ends exactly once while threads send, replicas fail and tables change") {
  constexpr std::size_t clients = 3;
  constexpr std::size_t requests_each = 1500;

  std::mutex mutex;
  std::map<std::uint64_t, std::shared_ptr<moody_target>> targets;
  // Until the end: the last to let go of a target may be its own thread, which cannot join itself.
  std::vector<std::shared_ptr<moody_target>> replaced;
  auto target = [&](std::uint64_t number) {
    std::lock_guard lock{mutex};
    auto& place = targets[number];
    if (!place)
      place = std::make_shared<moody_target>(number);
    return place;
  };

  router_options options;
  options.here = node_id{"here"};
  options.reach = [&](const route_target& where) { return target(where.replica.value); };
  options.now = [] { return std::chrono::steady_clock::now(); };
  router routes{options};
  routes.set_routes(table_of({1, 2, 3}));

  std::vector<std::vector<std::shared_ptr<test::fake_answer>>> seen(clients);
  std::vector<std::thread> senders;
  for (std::size_t c = 0; c < clients; ++c)
    senders.emplace_back([&, c] {
      for (std::size_t i = 0; i < requests_each; ++i) {
        const auto by = i % 3 == 0 ? method::post : method::get;
        auto call = fake_exchange::make(by, "/" + std::to_string(i), std::chrono::steady_clock::now() + 60s);
        seen[c].push_back(call->seen);
        auto decision = routes.decide(call->in);
        routes.handle(call, decision.route);
        if (i % 50 == 7)
          call->cancel();
      }
    });

  std::atomic<bool> is_over = false;
  std::thread keeper{[&] {
    for (std::uint64_t round = 0; !is_over; ++round) {
      if (round % 64 == 0) {
        const auto first = round / 64 % 5 + 1;
        target(first)->drain();
        {
          std::lock_guard lock{mutex};
          replaced.push_back(std::move(targets[first]));
          targets.erase(first);
        }
        routes.set_routes(table_of({first, first % 5 + 1, (first + 1) % 5 + 1}));
      }
      routes.tick();
      static_cast<void>(routes.statistics());
      std::this_thread::yield();
    }
  }};
  for (auto& sender : senders)
    sender.join();

  auto in_the_router = [&] {
    std::uint32_t sum = 0;
    for (const auto& each : routes.statistics())
      sum += each.waiting + each.in_flight;
    return sum;
  };
  while (in_the_router() != 0)
    std::this_thread::yield();
  is_over = true;
  keeper.join();
  targets.clear();

  std::size_t answered = 0;
  for (const auto& all : seen)
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool may_have_none = i % 50 == 7; // its client went while it waited
      const auto ends = all[i]->ends();
      CHECK((ends == 1 || (ends == 0 && may_have_none)));
      answered += all[i]->status() == 200 ? 1 : 0;
    }
  CHECK(answered > 0);
  std::uint64_t counted = 0;
  for (const auto& each : routes.statistics())
    for (auto count : each.answered_total)
      counted += count;
  CHECK(counted == clients * requests_each);
}

namespace {

/// Keeps the request it was given.
struct holding_target final : target_port {
  exchange_ptr held;
  void submit(exchange_ptr call) override {
    call->when_cancelled([] {});
    held = std::move(call);
  }
};

} // namespace

TEST_CASE("a request whose client goes while its replica gives it back does not wait") {
  constexpr int rounds = 3000;
  for (const bool is_lost : {false, true}) {
    auto target = std::make_shared<holding_target>();
    router_options options;
    options.here = node_id{"here"};
    options.reach = [&](const route_target&) { return target; };
    options.now = [] { return time_point{1h}; }; // the replica stays closed to what was given back
    std::atomic<int> round = 0;
    std::atomic<int> done = 0;
    std::shared_ptr<fake_exchange> client;
    std::thread goer{[&] {
      for (int mine = 1; mine <= rounds; ++mine) {
        while (round < mine)
          std::this_thread::yield();
        client->cancel();
        done = mine;
      }
    }};
    std::uint32_t waiting = 0;
    for (int mine = 1; mine <= rounds; ++mine) {
      router routes{options};
      routes.set_routes(table_of({1}));
      client = fake_exchange::make(method::get, "/x", time_point::max());
      routes.handle(client, nullptr);
      auto call = std::move(target->held);
      round = mine;
      if (is_lost)
        call.reset();
      else
        call->refuse({errc::overloaded, "full"});
      while (done < mine)
        std::this_thread::yield();
      waiting += routes.statistics().at(0).waiting;
    }
    goer.join();
    CHECK(waiting == 0);
  }
}
