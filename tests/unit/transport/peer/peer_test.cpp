// Goal: a process elsewhere is an actor here: what is asked of it is answered there, as who
// the link says the asker is, and a broken link fails what is out.
#include "transport/link/memory_link.hpp"
#include "transport/peer/peer.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

/// A bound for broken code, never an expectation.
constexpr auto patience = 20s;

/// Answers what it was asked with: the owner's replica as the count.
queue::handle::behavior_type echo_queue(queue::handle::pointer self) {
  return {
    [](const queue::append_request& x) -> caf::result<queue::append_reply> {
      if (x.queue == queue_name{"full"})
        return to_caf({errc::overloaded, "queue full is full"});
      return queue::append_reply{x.records.count()};
    },
    [self](const queue::lease_request&) -> caf::result<queue::lease_reply> {
      return self->make_response_promise<queue::lease_reply>(); // never answered
    },
    [](const queue::commit_request& x) { return queue::commit_reply{x.acks}; },
    [](const queue::renew_request& x) { return queue::count_reply{x.owner.host.value}; },
    [](const queue::release_request& x) { return queue::count_reply{x.owner.replica.value}; },
    [](const queue::cursor_request& x) { return x.key; },
  };
}

link::hello hello_of(link::peer_role role, std::string name) {
  link::hello it;
  it.role = role;
  it.name = std::move(name);
  it.started = {{7, 9}};
  return it;
}

struct two_processes {
  caf::actor_system_config here_config;
  caf::actor_system_config there_config;
  caf::actor_system here{here_config};
  caf::actor_system there{there_config};
  queue::handle queue = there.spawn(echo_queue);
  link::connection_ptr there_end;
  peer::handle there_peer; ///< stands for this side, over there
  peer::handle peer;       ///< stands for that side, here

  explicit two_processes(std::optional<queue::owner_id> acts_as = {}, bool serves_queue = true) {
    auto [mine, theirs] = link::make_memory_link_pair(hello_of(link::peer_role::host, "5"),
                                                      hello_of(link::peer_role::node, "node-a"));
    there_end = theirs;
    peer::options remote;
    remote.established = theirs;
    if (serves_queue)
      remote.local.queue = queue;
    remote.acts_as = acts_as;
    there_peer = peer::spawn(there, std::move(remote));
    peer::options local;
    local.established = mine;
    peer = peer::spawn(here, std::move(local));
  }

  ~two_processes() {
    // One by one: the threads of each side run the peer of the other.
    end(here, peer);
    end(there, there_peer);
    end(there, queue);
  }

  template <class Handle>
  static void end(caf::actor_system& its, const Handle& actor) {
    caf::scoped_actor self{its};
    self->send_exit(actor, caf::exit_reason::kill);
    self->wait_for(actor);
  }

  template <class Reply, class Request>
  result<Reply> ask(Request request) {
    result<Reply> answer;
    caf::scoped_actor self{here};
    self->request(peer, patience, std::move(request))
      .receive([&](Reply& reply) { answer = std::move(reply); },
               [&](const caf::error& why) { answer = tl::unexpected{from_caf(why)}; });
    return answer;
  }
};

queue::append_request append_of(std::string queue) {
  record_block_builder records;
  records.add("one");
  records.add("two");
  return {queue_name{std::move(queue)}, records.finish(), "", 0};
}

} // namespace

TEST_CASE("a request is answered by the actor on the other side") {
  two_processes both;
  auto reply = both.ask<queue::append_reply>(append_of("in"));
  REQUIRE(reply);
  CHECK(reply->count == 2);
  CHECK(both.ask<std::string>(queue::cursor_request{"key"}) == result<std::string>{"key"});
}

TEST_CASE("a failure keeps its code and text across the link") {
  two_processes both;
  auto reply = both.ask<queue::append_reply>(append_of("full"));
  REQUIRE_FALSE(reply);
  CHECK(reply.error() == failure{errc::overloaded, "queue full is full"});
}

TEST_CASE("a host is who its link says, whatever it claims") {
  two_processes both{queue::owner_id{node_id{"node-a"}, host_id{42}, {}}};
  auto renewed =
    both.ask<queue::count_reply>(queue::renew_request{{node_id{"node-b"}, host_id{1}, replica_id{3}}});
  REQUIRE(renewed);
  CHECK(renewed->count == 42);
  auto released = both.ask<queue::count_reply>(
    queue::release_request{{node_id{"node-b"}, host_id{1}, replica_id{3}}, false, "", {}, {}});
  REQUIRE(released);
  CHECK(released->count == 3);
}

TEST_CASE("what a side does not serve it refuses") {
  two_processes both{std::nullopt, false};
  auto reply = both.ask<queue::append_reply>(append_of("in"));
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == errc::unsupported);
  auto log = both.ask<node::log_chunk>(node::log_request{});
  REQUIRE_FALSE(log);
  CHECK(log.error().code == errc::unsupported);
}

TEST_CASE("when the link breaks, what is out fails as unavailable, and so does what comes later") {
  two_processes both;
  caf::scoped_actor asker{both.here};
  queue::lease_request lease;
  lease.queue = queue_name{"in"};
  auto asked = asker->request(both.peer, patience, std::move(lease));
  // Answered after the lease request has arrived over there: requests keep their order.
  REQUIRE(both.ask<std::string>(queue::cursor_request{"after"}));
  both.there_end->close({errc::shutting_down, "the other side ends"});
  result<queue::lease_reply> reply;
  asked.receive([&](queue::lease_reply& x) { reply = std::move(x); },
                [&](const caf::error& why) { reply = tl::unexpected{from_caf(why)}; });
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == errc::unavailable);
  CHECK_FALSE(both.ask<queue::append_reply>(append_of("in")));
}
