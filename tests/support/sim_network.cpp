#include "tests/support/sim_network.hpp"

#include "transport/link/frame_codec.hpp"
#include "transport/link/hello_codec.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>

namespace sluice::testing {

namespace {

using link::connection_ptr;
using link::frame;
using path_key = std::pair<std::string, std::string>;

std::size_t size_of(const std::vector<frame>& frames) {
  std::size_t bytes = 0;
  for (const auto& f : frames)
    bytes += link::frame_header_bytes + f.body.size();
  return bytes;
}

/// One end of a link.
struct wire_end {
  std::string place;
  link::hello self;
  link::receiver to;
  bool started = false;
  bool closed = false;   ///< nothing is sent or delivered any more
  bool dead = false;     ///< its process is gone: no callback
  bool vanished = false; ///< and nobody will say so
  std::vector<frame> early;
  std::optional<failure> untold; ///< closed before it was started

  // What this end has on its way to the other.
  sim_time last_arrival{};
  std::size_t bytes_on_way = 0;
  bool refused = false;
  std::uint64_t silence_checked = 0; ///< only the newest check counts
};

struct wire {
  wire_end ends[2];
};
using wire_ptr = std::shared_ptr<wire>;

/// From one place to another.
struct path {
  sim_time delay_min = std::chrono::microseconds{100};
  sim_time delay_max = std::chrono::milliseconds{1};
  bool blocked = false;
  std::deque<std::function<void()>> held; ///< in order
};

} // namespace

class sim_network::impl : public std::enable_shared_from_this<sim_network::impl> {
public:
  impl(std::uint64_t seed, link::link_timing timing) : random_(seed), timing_(timing) {}

  // Time

  void at(sim_time when, std::function<void()> what) {
    agenda_.emplace(std::pair{std::max(when, now_), ++sequence_}, std::move(what));
  }

  void run_until(sim_time until) {
    while (!agenda_.empty() && agenda_.begin()->first.first <= until) {
      auto next = agenda_.extract(agenda_.begin());
      now_ = next.key().first;
      next.mapped()();
    }
    now_ = std::max(now_, until);
  }

  /// Something travels: it arrives after a delay, not before what went before it, and is held
  /// while the path is blocked.
  void travel(const path_key& way, sim_time& last_arrival, std::function<void()> arrive) {
    auto& taken = paths_[way];
    last_arrival = std::max(last_arrival, now_ + draw(taken.delay_min, taken.delay_max));
    at(last_arrival, [this, way, arrive = std::move(arrive)]() mutable {
      auto& found = paths_[way];
      if (found.blocked)
        found.held.push_back(std::move(arrive));
      else
        arrive();
    });
  }

  sim_time draw(sim_time min, sim_time max) {
    auto span = static_cast<std::uint64_t>(std::max(sim_time{}, max - min).count());
    return min + sim_time{static_cast<sim_time::rep>(random_() % (span + 1))};
  }

  bool chance(unsigned one_in) { return random_() % one_in == 0; }

  void note(std::uint64_t what) {
    for (auto value : {what, static_cast<std::uint64_t>(now_.count())})
      trace_ = (trace_ ^ value) * 0x100000001b3ull;
  }

  // Links

  void connect(const std::string& from, const link::hello& self, const std::string& to,
               std::function<void(result<connection_ptr>)> done);
  connection_ptr make_handle(const wire_ptr& made, int side);
  result<void> send(const wire_ptr& on, int side, std::vector<frame> frames);
  void start(const wire_ptr& on, int side, link::receiver to);
  void close(const wire_ptr& on, int side, failure why);
  void break_link(const wire_ptr& on);
  void end_here(const wire_ptr& on, int side, failure why);
  void lose_process(const std::string& place, bool silently);
  void expect_silence(const wire_ptr& on, int side);
  void forget_closed();

  path_key way_from(const wire& on, int side) const { return {on.ends[side].place, on.ends[1 - side].place}; }

  struct listening {
    link::hello self;
    on_connection accept;
  };

  std::mt19937_64 random_;
  link::link_timing timing_;
  sim_time now_{};
  std::uint64_t sequence_ = 0;
  std::map<std::pair<sim_time, std::uint64_t>, std::function<void()>> agenda_;
  std::map<path_key, path> paths_;
  std::map<std::string, listening> listeners_;
  std::set<std::string> vanished_;
  std::map<std::string, std::uint64_t> lives_; ///< of a place: counts crashes
  std::vector<wire_ptr> wires_;
  std::function<fate(const std::string&, const std::string&, const frame&)> fate_;
  counters counts_;
  std::uint64_t trace_ = 0xcbf29ce484222325ull;

private:
  void deliver(const wire_ptr& on, int to_side, std::vector<frame> frames);
  void arrive(const wire_ptr& on, int to_side, std::vector<frame> frames);
  void tell_closed(const wire_ptr& on, int side, failure why);
};

namespace {

class sim_connection final : public link::connection {
public:
  sim_connection(std::weak_ptr<sim_network::impl> in, wire_ptr on, int side)
    : in_(std::move(in)), on_(std::move(on)), side_(side) {}

  ~sim_connection() override { close({errc::cancelled, "the connection was dropped by its owner"}); }

  const link::hello& peer() const override { return on_->ends[1 - side_].self; }
  void start(link::receiver to) override {
    if (auto in = in_.lock())
      in->start(on_, side_, std::move(to));
  }
  result<void> send(std::vector<frame> frames) override {
    auto in = in_.lock();
    return in ? in->send(on_, side_, std::move(frames)) : fail(errc::unavailable, "the network is gone");
  }
  void close(failure why) override {
    if (auto in = in_.lock())
      in->close(on_, side_, std::move(why));
  }

private:
  std::weak_ptr<sim_network::impl> in_;
  wire_ptr on_;
  int side_;
};

class sim_connector final : public link::connector {
public:
  sim_connector(std::weak_ptr<sim_network::impl> in, std::string from, link::hello self, std::string to)
    : in_(std::move(in)), from_(std::move(from)), self_(std::move(self)), to_(std::move(to)) {}

  void connect(std::function<void(result<connection_ptr>)> done) override {
    if (auto in = in_.lock())
      in->connect(from_, self_, to_, std::move(done));
  }

private:
  std::weak_ptr<sim_network::impl> in_;
  std::string from_;
  link::hello self_;
  std::string to_;
};

} // namespace

void sim_network::impl::connect(const std::string& from, const link::hello& self, const std::string& to,
                                std::function<void(result<connection_ptr>)> done) {
  struct attempt {
    std::function<void(result<connection_ptr>)> done;
    sim_time there{}, back{};
  };
  auto trying = std::make_shared<attempt>();
  trying->done = std::move(done);
  auto finish = [this, trying, from, life = lives_[from]](result<connection_ptr> outcome) {
    if (lives_[from] == life && !vanished_.contains(from))
      if (auto told = std::exchange(trying->done, nullptr))
        told(std::move(outcome));
  };
  at(now_ + timing_.handshake_deadline,
     [finish, to] { finish(fail(errc::timeout, "no answer from " + to + " in time")); });
  travel({from, to}, trying->there, [=, this] {
    auto answer = [=, this](std::function<void()> arrive) {
      travel({to, from}, trying->back, std::move(arrive));
    };
    if (vanished_.contains(to) || !trying->done)
      return;
    auto found = listeners_.find(to);
    if (found == listeners_.end())
      return answer([=] { finish(fail(errc::unavailable, "nobody listens at " + to)); });
    if (auto checked = link::check_hello(found->second.self, self); !checked)
      return answer([=] { finish(fail(checked)); });
    auto made = std::make_shared<wire>();
    made->ends[0].place = from;
    made->ends[0].self = self;
    made->ends[1].place = to;
    made->ends[1].self = found->second.self;
    wires_.push_back(made);
    ++counts_.links_made;
    note(1);
    expect_silence(made, 0);
    expect_silence(made, 1);
    answer([=, this] {
      if (made->ends[0].closed || !trying->done)
        return close(made, 0, {errc::timeout, "the attempt was given up"});
      finish(make_handle(made, 0));
    });
    auto accept = found->second.accept;
    accept(make_handle(made, 1));
  });
}

connection_ptr sim_network::impl::make_handle(const wire_ptr& made, int side) {
  return std::make_shared<sim_connection>(weak_from_this(), made, side);
}

result<void> sim_network::impl::send(const wire_ptr& on, int side, std::vector<frame> frames) {
  auto& from = on->ends[side];
  if (from.closed || from.dead)
    return fail(errc::unavailable, "the link to '" + on->ends[1 - side].self.name + "' is closed");
  auto bytes = size_of(frames);
  if (from.bytes_on_way + bytes > limits::link_window_bytes) {
    from.refused = true;
    return fail(errc::overloaded, "'" + on->ends[1 - side].self.name + "' takes its frames too slowly");
  }
  from.bytes_on_way += bytes;
  // One read may bring half of what one write sent.
  if (frames.size() > 1 && chance(4)) {
    auto middle = frames.begin() + static_cast<std::ptrdiff_t>(1 + random_() % (frames.size() - 1));
    std::vector<frame> second(std::make_move_iterator(middle), std::make_move_iterator(frames.end()));
    frames.erase(middle, frames.end());
    deliver(on, 1 - side, std::move(frames));
    deliver(on, 1 - side, std::move(second));
  } else {
    deliver(on, 1 - side, std::move(frames));
  }
  return {};
}

void sim_network::impl::deliver(const wire_ptr& on, int to_side, std::vector<frame> frames) {
  auto shared = std::make_shared<std::vector<frame>>(std::move(frames));
  travel(way_from(*on, 1 - to_side), on->ends[1 - to_side].last_arrival,
         [this, on, to_side, shared] { arrive(on, to_side, std::move(*shared)); });
}

void sim_network::impl::arrive(const wire_ptr& on, int to_side, std::vector<frame> frames) {
  auto& to = on->ends[to_side];
  auto& from = on->ends[1 - to_side];
  from.bytes_on_way -= std::min(from.bytes_on_way, size_of(frames));
  if (to.closed || to.dead) {
    counts_.frames_lost += frames.size();
    return;
  }
  if (fate_) {
    std::vector<frame> decided;
    for (auto& f : frames) {
      auto what = fate_(from.place, to.place, f);
      counts_.frames_lost += what == fate::lose ? 1 : 0;
      if (what == fate::twice)
        decided.push_back(f);
      if (what != fate::lose)
        decided.push_back(std::move(f));
    }
    frames = std::move(decided);
  }
  if (frames.empty())
    return;
  counts_.frames_delivered += frames.size();
  note(frames.size() << 8 | 2);
  if (!to.started) {
    to.early.insert(to.early.end(), std::make_move_iterator(frames.begin()),
                    std::make_move_iterator(frames.end()));
  } else if (to.to.on_frames) {
    auto call = to.to.on_frames; // it may close the link
    call(std::move(frames));
  }
  if (from.refused && !from.closed && !from.dead && from.bytes_on_way <= limits::link_window_bytes / 2) {
    from.refused = false;
    if (auto call = from.to.on_writable)
      call();
  }
}

void sim_network::impl::start(const wire_ptr& on, int side, link::receiver to) {
  on->ends[side].to = std::move(to);
  at(now_, [this, on, side] {
    auto& end = on->ends[side];
    if (end.dead)
      return;
    end.started = true;
    if (!end.early.empty() && end.to.on_frames) {
      auto call = end.to.on_frames;
      call(std::exchange(end.early, {}));
    }
    if (end.untold)
      tell_closed(on, side, *std::exchange(end.untold, std::nullopt));
  });
}

/// By its owner: what was sent still arrives, then the reason.
void sim_network::impl::close(const wire_ptr& on, int side, failure why) {
  auto& end = on->ends[side];
  if (end.closed || end.dead)
    return;
  end.closed = true;
  travel(way_from(*on, side), end.last_arrival, [this, on, side, why] { end_here(on, 1 - side, why); });
  at(now_, [this, on, side, why] { tell_closed(on, side, why); });
  forget_closed();
}

/// The end learns that its link is over.
void sim_network::impl::end_here(const wire_ptr& on, int side, failure why) {
  auto& end = on->ends[side];
  if (end.closed || end.dead)
    return;
  end.closed = true;
  ++counts_.links_broken;
  note(3);
  tell_closed(on, side, std::move(why));
  forget_closed();
}

void sim_network::impl::tell_closed(const wire_ptr& on, int side, failure why) {
  auto& end = on->ends[side];
  if (end.dead)
    return;
  if (!end.started) {
    end.untold = std::move(why);
    return;
  }
  auto to = std::exchange(end.to, {});
  if (to.on_closed)
    to.on_closed(std::move(why));
}

/// Both ends learn of it, each after its own time; until then, what is on its way may arrive.
void sim_network::impl::break_link(const wire_ptr& on) {
  for (int side : {0, 1}) {
    const auto& taken = paths_[way_from(*on, 1 - side)];
    auto learns = chance(2) ? now_ : now_ + draw(sim_time{}, 2 * taken.delay_max);
    at(learns, [this, on, side] { end_here(on, side, {errc::unavailable, "the link broke"}); });
  }
}

void sim_network::impl::lose_process(const std::string& place, bool silently) {
  listeners_.erase(place);
  ++lives_[place];
  if (silently)
    vanished_.insert(place);
  for (const auto& on : std::vector<wire_ptr>{wires_})
    for (int side : {0, 1}) {
      auto& gone = on->ends[side];
      if (gone.place != place || gone.dead)
        continue;
      bool open = !gone.closed;
      gone.dead = gone.closed = true;
      gone.to = {};
      if (!open)
        continue;
      gone.vanished = silently;
      if (silently)
        expect_silence(on, 1 - side);
      else
        travel(way_from(*on, side), gone.last_arrival, [this, on, side] {
          end_here(on, 1 - side, {errc::unavailable, "the peer closed the link"});
        });
    }
  forget_closed();
}

/// From now on the end at `side` may hear nothing; if so for long enough, it gives up. As pings
/// go all the time, it hears its peer exactly while the path is open and the peer is there.
void sim_network::impl::expect_silence(const wire_ptr& on, int side) {
  auto check = ++on->ends[side].silence_checked;
  at(now_ + timing_.silence_timeout, [this, on, side, check] {
    auto& end = on->ends[side];
    const auto& other = on->ends[1 - side];
    bool silent = other.vanished || paths_[{other.place, end.place}].blocked;
    if (end.closed || end.silence_checked != check || !silent)
      return;
    // What this end says to the other in parting travels as everything else does.
    travel(way_from(*on, side), end.last_arrival, [this, on, side] {
      end_here(on, 1 - side, {errc::unavailable, "the peer closed the link"});
    });
    end_here(on, side, {errc::unavailable, "the peer said nothing for too long"});
  });
}

void sim_network::impl::forget_closed() {
  std::erase_if(wires_, [](const wire_ptr& on) { return on->ends[0].closed && on->ends[1].closed; });
}

// --- the public face

sim_network::sim_network(std::uint64_t seed, link::link_timing timing)
  : impl_(std::make_shared<impl>(seed, timing)) {}

/// Events own links and links own receivers, which may own connections: let go in this order.
sim_network::~sim_network() {
  auto agenda = std::exchange(impl_->agenda_, {});
  for (auto& [key, taken] : impl_->paths_)
    taken.held.clear();
  impl_->listeners_.clear();
  for (const auto& on : std::exchange(impl_->wires_, {}))
    for (auto& end : on->ends) {
      end.closed = end.dead = true;
      auto gone = std::exchange(end.to, {});
    }
  auto last = std::exchange(impl_, nullptr);
}

void sim_network::listen(const std::string& place, const link::hello& self, on_connection accept) {
  impl_->vanished_.erase(place);
  impl_->listeners_[place] = {self, std::move(accept)};
}

void sim_network::stop_listening(const std::string& place) { impl_->listeners_.erase(place); }

std::unique_ptr<link::connector> sim_network::make_connector(const std::string& from, const link::hello& self,
                                                             const std::string& to) {
  impl_->vanished_.erase(from);
  return std::make_unique<sim_connector>(impl_, from, self, to);
}

void sim_network::set_delay(const std::string& one, const std::string& other, sim_time min, sim_time max) {
  for (const auto& way : {path_key{one, other}, path_key{other, one}}) {
    impl_->paths_[way].delay_min = min;
    impl_->paths_[way].delay_max = std::max(min, max);
  }
}

void sim_network::block(const std::string& from, const std::string& to) {
  auto& taken = impl_->paths_[{from, to}];
  if (std::exchange(taken.blocked, true))
    return;
  for (const auto& on : impl_->wires_)
    for (int side : {0, 1})
      if (on->ends[side].place == to && on->ends[1 - side].place == from)
        impl_->expect_silence(on, side);
}

void sim_network::block_both(const std::string& one, const std::string& other) {
  block(one, other);
  block(other, one);
}

void sim_network::heal(const std::string& one, const std::string& other) {
  for (const auto& way : {path_key{one, other}, path_key{other, one}}) {
    auto& taken = impl_->paths_[way];
    if (!std::exchange(taken.blocked, false))
      continue;
    // Sent again by then, in the old order.
    auto arrives = impl_->now_ + impl_->draw(taken.delay_min, taken.delay_max);
    for (auto& waiting : std::exchange(taken.held, {}))
      impl_->at(arrives, std::move(waiting));
    for (const auto& on : impl_->wires_)
      for (int side : {0, 1})
        if (impl_->way_from(*on, side) == way) {
          on->ends[side].last_arrival = std::max(on->ends[side].last_arrival, arrives);
          if (!on->ends[side].vanished)
            ++on->ends[1 - side].silence_checked; // it is heard again
        }
  }
}

void sim_network::cut(const std::string& one, const std::string& other) {
  for (const auto& on : std::vector<wire_ptr>{impl_->wires_})
    if (std::set{on->ends[0].place, on->ends[1].place} == std::set{one, other})
      impl_->break_link(on);
}

void sim_network::crash(const std::string& place) { impl_->lose_process(place, false); }

void sim_network::vanish(const std::string& place) { impl_->lose_process(place, true); }

void sim_network::set_fate(
  std::function<fate(const std::string& from, const std::string& to, const link::frame& f)> decide) {
  impl_->fate_ = std::move(decide);
}

sim_time sim_network::now() const { return impl_->now_; }

std::optional<sim_time> sim_network::next_due() const {
  return impl_->agenda_.empty() ? std::nullopt : std::optional{impl_->agenda_.begin()->first.first};
}

void sim_network::run_until(sim_time until) { impl_->run_until(until); }

const sim_network::counters& sim_network::counts() const { return impl_->counts_; }

std::uint64_t sim_network::trace() const { return impl_->trace_; }

} // namespace sluice::testing
