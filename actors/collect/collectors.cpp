#include "actors/collect/collectors.hpp"

#include "actors/collect/collect_calls.hpp"
#include "actors/inline_executor.hpp"
#include "actors/message.hpp"
#include "actors/replica/replica_port.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace sluice::collect {

namespace {

/// Resolution of back-off and deadlines.
constexpr std::chrono::milliseconds tick_interval{100};

using look_atom = caf::atom_constant<caf::atom("look")>;
using tick_atom = caf::atom_constant<caf::atom("tick")>;
using end_atom = caf::atom_constant<caf::atom("end")>;

using handle =
  caf::typed_actor<caf::reacts_to<look_atom>, caf::reacts_to<tick_atom>, caf::reacts_to<end_atom>>;

/// What the actor says of its queue.
class trouble_note {
public:
  void set(std::string text) {
    std::lock_guard lock{mutex_};
    text_ = std::move(text);
  }
  std::string get() const {
    std::lock_guard lock{mutex_};
    return text_;
  }

private:
  mutable std::mutex mutex_;
  std::string text_;
};

struct settings {
  queue::handle queue;
  queue_name to;
  std::string whose;    ///< "flow/processor"
  std::string producer; ///< of writes without a key; no other collector ever has it
  std::uint64_t seed = 0;
  std::shared_ptr<collect_inbox> way_in;
  std::shared_ptr<trouble_note> trouble;
};

class state {
public:
  static inline const char* name = "collector"; // shown in logs and metrics

  handle::behavior_type start(handle::pointer self, settings with) {
    self_ = self;
    with_ = std::move(with);
    collect_calls::options how;
    how.knows_repeats = true;
    how.seed = with_.seed;
    how.inbox = with_.way_in;
    how.write = [this](std::uint64_t id) { write(id); };
    calls_.emplace(std::move(how));
    return {
      [this](look_atom) { turn(); },
      [this](tick_atom) {
        is_ticking_ = false;
        calls_->on_tick(now());
        turn();
      },
      [this](end_atom) {
        is_ending_ = true;
        turn();
      },
    };
  }

private:
  time_point now() const { return self_->clock().now(); }

  void turn() {
    calls_->turn(now());
    if (std::exchange(is_trouble_told_, calls_->is_failing()) || calls_->is_failing())
      with_.trouble->set(calls_->is_failing() ? calls_->last_error() : std::string{});
    if (is_ending_ && !calls_->is_wanted(now()))
      return self_->quit();
    if (!calls_->empty() && !std::exchange(is_ticking_, true))
      self_->delayed_send(self_, tick_interval, tick_atom::value);
  }

  void write(std::uint64_t id) {
    const auto& group = calls_->group(id);
    queue::append_request request;
    request.queue = with_.to;
    request.records = group.records;
    request.producer = group.key.empty() ? with_.producer : "key/" + with_.whose + "/" + group.key;
    request.fingerprint = group.fingerprint;
    request.producer_seq = group.seq;
    auto ended = [this, id](const result<void>& outcome) {
      calls_->on_stored(id, outcome, now());
      turn();
    };
    // The timeouts of the actor system would cost its clock two turns for each write; the tick looks after those.
    self_->request(with_.queue, caf::infinite, std::move(request))
      .then([ended](const queue::append_reply&) { ended({}); },
            [ended](const caf::error& why) { ended(tl::unexpected{from_caf(why)}); });
  }

  handle::pointer self_ = nullptr;
  settings with_;
  std::optional<collect_calls> calls_;
  bool is_ticking_ = false;
  bool is_trouble_told_ = false;
  bool is_ending_ = false; ///< nothing more comes
};

handle::behavior_type run(inline_actor<handle::stateful_base<state>>* self, settings with) {
  return self->state.start(self, std::move(with));
}

class collector final : public collector_port {
public:
  collector(std::shared_ptr<collect_inbox> way_in, std::shared_ptr<const trouble_note> trouble, handle actor)
    : way_in_(std::move(way_in)), trouble_(std::move(trouble)), actor_(std::move(actor)) {}
  ~collector() override { caf::anon_send(actor_, end_atom::value); }

  void add(exchange_ptr call, queue_results results) override {
    if (way_in_->add(
          {std::move(call), std::move(results.records), {std::move(results.key), results.fingerprint}}))
      send_inline(actor_, look_atom::value);
  }

  bool is_full() const noexcept override {
    return way_in_->held_bytes() > replica::results_waiting_bytes_max;
  }
  std::string trouble() const override { return trouble_->get(); }

private:
  const std::shared_ptr<collect_inbox> way_in_;
  const std::shared_ptr<const trouble_note> trouble_;
  const handle actor_;
};

} // namespace

collectors::collectors(caf::actor_system& sys, queue::handle queue, std::uint64_t incarnation)
  : sys_(sys), incarnation_(incarnation), queue_(std::move(queue)) {}

void collectors::close() {
  std::lock_guard lock{mutex_};
  is_closed_ = true;
  queue_ = queue::handle{};
  for (const auto& each : std::exchange(actors_, {}))
    if (auto actor = caf::actor_cast<caf::actor>(each))
      caf::anon_send_exit(actor, caf::exit_reason::kill);
}

collector_ptr collectors::find(const flow_name& flow, const processor_name& processor,
                               const queue_name& queue) {
  std::lock_guard lock{mutex_};
  if (is_closed_)
    return nullptr;
  auto known = open_.find({flow, processor, queue});
  if (auto open = known == open_.end() ? nullptr : known->second.lock())
    return open;
  std::erase_if(open_, [](const auto& each) { return each.second.expired(); });
  std::erase_if(actors_, [](const auto& each) { return caf::actor_cast<caf::actor>(each) == nullptr; });
  auto way_in = std::make_shared<collect_inbox>();
  auto trouble = std::make_shared<trouble_note>();
  settings with{queue_, queue,  flow.value + "/" + processor.value, {}, incarnation_ + ++made_,
                way_in, trouble};
  with.producer =
    "collector/" + with.whose + "/" + std::to_string(incarnation_) + "/" + std::to_string(made_);
  auto actor = sys_.spawn(run, std::move(with));
  actors_.push_back(actor->address());
  auto made = std::make_shared<collector>(std::move(way_in), std::move(trouble), std::move(actor));
  open_[{flow, processor, queue}] = made;
  return made;
}

} // namespace sluice::collect
