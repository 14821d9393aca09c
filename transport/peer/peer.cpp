#include "transport/peer/peer.hpp"

#include "transport/link/link_state.hpp"
#include "transport/link/send_cork.hpp"
#include "actors/inline_executor.hpp"

#include <sluice/core/limits.hpp>

#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <type_traits>
#include <unordered_map>
#include <utility>

namespace sluice::peer {

namespace {

using namespace std::chrono_literals;
using caf::actor_clock;

/// An answer that takes longer than the request's own wait and this is given up.
constexpr auto answer_deadline = 10s;
constexpr auto sweep_interval = 1s;

using sweep_atom = caf::atom_constant<caf::atom("sweep")>;
using connect_atom = caf::atom_constant<caf::atom("connect")>;

/// What the link's thread tells the actor. `generation` tells a link from the one
/// before it.
struct inbound {
  using actor_message = void;
  std::uint64_t generation = 0;
  std::vector<link::frame> frames;
};

struct link_closed {
  using actor_message = void;
  std::uint64_t generation = 0;
  failure why;
};

struct link_opened {
  using actor_message = void;
  link::connection_ptr connection;
};

using self_type =
  handle::extend<caf::reacts_to<inbound>, caf::reacts_to<link_opened>, caf::reacts_to<link_closed>,
                 caf::reacts_to<connect_atom>, caf::reacts_to<sweep_atom>>;

struct pending_request {
  actor_clock::time_point deadline;
  std::function<void(result<std::string>)> answer;
};

struct state {
  static inline const char* name = "peer";

  options opts;
  link::connection_ptr connection;
  std::uint64_t generation = 0;
  std::uint32_t attempts = 0;
  std::uint64_t last_id = 0;
  std::unordered_map<std::uint64_t, pending_request> pending;
  documents_told told;   ///< over this link
  documents_known known; ///< from it

  /// What waits behind a quick message may be to read or sign something.
  static bool may_go_on_inline() noexcept { return false; }

  ~state() {
    if (connection)
      connection->close({errc::shutting_down, "the process at the other end stops"});
  }
};

using self_ptr = inline_actor<self_type::stateful_base<state>>*;

std::chrono::milliseconds wait_of(const queue::lease_request& x) { return x.wait_max; }
template <class T>
std::chrono::milliseconds wait_of(const T&) {
  return 0ms;
}

// ---- outgoing -------------------------------------------------------------------

/// A message with nothing behind it is written by this thread, which spares it the way over the thread of the links. Of many
/// in a row that one makes few system calls.
result<void> send_frame(self_ptr self, const link::connection_ptr& to, link::frame frame) {
  std::vector<link::frame> frames;
  frames.push_back(std::move(frame));
  if (!self->mailbox().empty())
    return to->send(std::move(frames));
  link::send_cork cork;
  return to->send(std::move(frames));
}

failure no_link() { return {errc::unavailable, "there is no link to the other process at the moment"}; }

template <class T>
std::string body_of(state&, const T& message) {
  return encode(message);
}
std::string body_of(state& st, const node::desired_state& message) { return encode(message, st.told); }

template <class T>
result<void> read_body(state&, std::string_view body, T& message) {
  return decode(body, message);
}
result<void> read_body(state& st, std::string_view body, node::desired_state& message) {
  return decode(body, message, st.known);
}

template <class T>
void send_notice(self_ptr self, const T& message) {
  auto& st = self->state;
  if (!st.connection)
    return;
  std::vector<link::frame> frames(1);
  frames[0] = {link::frame_kind::notice, static_cast<std::uint16_t>(wire<T>::id), 0, 0, body_of(st, message)};
  // A full or broken link drops it: notices repeat.
  if (!st.connection->send(std::move(frames)))
    st.told.clear();
}

template <class T>
caf::typed_response_promise<typename wire<T>::reply> send_request(self_ptr self, const T& message) {
  using reply_type = typename wire<T>::reply;
  auto promise = self->make_response_promise<reply_type>();
  auto& st = self->state;
  if (!st.connection) {
    promise.deliver(to_caf(no_link()));
    return promise;
  }
  auto wait = wait_of(message) + answer_deadline;
  auto id = ++st.last_id;
  link::frame frame{link::frame_kind::request, static_cast<std::uint16_t>(wire<T>::id), id,
                    static_cast<std::uint32_t>(std::chrono::milliseconds{wait}.count()), encode(message)};
  if (auto sent = send_frame(self, st.connection, std::move(frame)); !sent) {
    promise.deliver(to_caf(sent.error()));
    return promise;
  }
  auto answer = [promise](result<std::string> body) mutable {
    reply_type reply{};
    if (body)
      if (auto ok = decode(*body, reply); !ok)
        body = fail(ok);
    if (body)
      promise.deliver(std::move(reply));
    else
      promise.deliver(to_caf(body.error()));
  };
  st.pending.emplace(id, pending_request{self->clock().now() + wait, std::move(answer)});
  return promise;
}

void settle(state& st, std::uint64_t id, result<std::string> body) {
  auto found = st.pending.find(id);
  if (found == st.pending.end())
    return; // given up before
  auto answer = std::move(found->second.answer);
  st.pending.erase(found);
  answer(std::move(body));
}

void fail_all(state& st, const failure& why) {
  for (auto& [id, request] : std::exchange(st.pending, {}))
    request.answer(tl::unexpected{why});
}

// ---- incoming -------------------------------------------------------------------

void reply_with(self_ptr self, const link::connection_ptr& to, link::frame_kind kind, std::uint64_t id,
                std::string body) {
  // When the link broke or is full, the asker's deadline or its closed link tells it.
  static_cast<void>(send_frame(self, to, {kind, 0, id, 0, std::move(body)}));
}

/// A peer speaks only for itself: names that it claims are replaced by who it is.
template <class T>
void stamp(self_ptr self, T& message) {
  auto& st = self->state;
  const auto& other = st.connection->peer();
  if constexpr (requires { message.owner.host; }) {
    if (st.opts.acts_as) {
      message.owner.node = st.opts.acts_as->node;
      message.owner.host = st.opts.acts_as->host;
    } else if (other.role == link::peer_role::node) {
      message.owner.node = node_id{other.name};
    }
  }
  if constexpr (requires { message.node.value; }) {
    if (other.role == link::peer_role::node)
      message.node = node_id{other.name};
  }
  if constexpr (std::is_same_v<T, cluster::register_node>) {
    message.info.id = node_id{other.name};
    message.info.started = other.started;
    message.agent = caf::actor_cast<node::handle>(handle{self});
  }
}

template <class T, class Target>
void serve(self_ptr self, link::frame& in, const Target& target) {
  auto from = self->state.connection;
  auto refuse = [&](const failure& why) {
    if (in.kind == link::frame_kind::request)
      reply_with(self, from, link::frame_kind::error, in.id, encode_failure(why));
  };
  if (!target)
    return refuse({errc::unsupported, "the other process does not answer this kind of request"});
  T message;
  if (auto ok = read_body(self->state, in.body, message); !ok)
    return refuse(ok.error());
  stamp(self, message);
  if constexpr (std::is_void_v<typename wire<T>::reply>) {
    self->send(target, std::move(message));
  } else {
    // Without a timeout, which would cost the clock of all actors two turns: who asks gives up by itself, and what comes later
    // is not missed.
    self->request(target, caf::infinite, std::move(message))
      .then(
        [self, from, id = in.id](const typename wire<T>::reply& reply) {
          reply_with(self, from, link::frame_kind::reply, id, encode(reply));
        },
        [self, from, id = in.id](const caf::error& why) {
          reply_with(self, from, link::frame_kind::error, id, encode_failure(from_caf(why)));
        });
  }
}

/// Answers at once with what `call`, which need not be there, returns.
template <class Request, class Call>
void serve_now(self_ptr self, const link::frame& in, const char* missing, const Call& call) {
  const auto& to = self->state.connection;
  Request request;
  result<typename wire<Request>::reply> outcome = fail(errc::unsupported, missing);
  if (auto ok = decode(in.body, request); !ok)
    outcome = fail(ok);
  else if (call)
    outcome = call(request);
  if (outcome)
    reply_with(self, to, link::frame_kind::reply, in.id, encode(*outcome));
  else
    reply_with(self, to, link::frame_kind::error, in.id, encode_failure(outcome.error()));
}

void serve_artifact(self_ptr self, const link::frame& in) {
  serve_now<artifact_request>(self, in, "the other process keeps no artifacts",
                              self->state.opts.local.artifacts);
}

void serve_certificate(self_ptr self, const link::frame& in) {
  const auto& sign = self->state.opts.local.certificates;
  const auto& other = self->state.connection->peer();
  std::function<result<certificate_grant>(const certificate_request&)> call;
  if (sign && other.role == link::peer_role::node) // it gets its own name again, whatever it asks for
    call = [&](const certificate_request& what) { return sign(node_id{other.name}, what); };
  serve_now<certificate_request>(self, in, "the other process signs no certificates", call);
}

void dispatch(self_ptr self, link::frame& in) {
  auto& local = self->state.opts.local;
  switch (static_cast<method>(in.method)) {
  case method::register_node:
    return serve<cluster::register_node>(self, in, local.cluster);
  case method::node_report:
    return serve<node::node_report>(self, in, local.cluster);
  case method::node_leaves:
    return serve<cluster::node_leaves>(self, in, local.cluster);
  case method::host_ended:
    return serve<cluster::host_ended>(self, in, local.cluster);
  case method::desired_state:
    return serve<node::desired_state>(self, in, local.node);
  case method::read_log:
    return serve<node::log_request>(self, in, local.node);
  case method::log_sources:
    return serve<node::log_sources_request>(self, in, local.node);
  case method::desired_replicas:
    return serve<host::desired_replicas>(self, in, local.host);
  case method::host_report:
    return serve<host::host_report>(self, in, local.host_owner);
  case method::append:
    return serve<queue::append_request>(self, in, local.queue);
  case method::lease:
    return serve<queue::lease_request>(self, in, local.queue);
  case method::commit:
    return serve<queue::commit_request>(self, in, local.queue);
  case method::renew:
    return serve<queue::renew_request>(self, in, local.queue);
  case method::release:
    return serve<queue::release_request>(self, in, local.queue);
  case method::cursor:
    return serve<queue::cursor_request>(self, in, local.queue);
  case method::artifact_chunk:
    return serve_artifact(self, in);
  case method::renew_certificate:
    return serve_certificate(self, in);
  case method::http_request:
  case method::http_begin:
  case method::http_part:
  case method::http_end:
  case method::http_cancel:
  case method::http_taken:
  case method::http_handed_to_sink:
  case method::http_collected:
  case method::websocket_accept:
  case method::websocket_opened:
  case method::websocket_text:
  case method::websocket_binary:
  case method::websocket_taken:
  case method::websocket_close:
  case method::websocket_closed:
  case method::websocket_join:
  case method::websocket_leave:
  case method::websocket_cast:
  case method::websocket_release:
  case method::room_message:
    break; // whoever serves them has a side channel
  }
  // From a newer neighbour.
  if (in.kind == link::frame_kind::request)
    reply_with(
      self, self->state.connection, link::frame_kind::error, in.id,
      encode_failure({errc::unsupported, "this version does not know request " + std::to_string(in.method)}));
}

void handle_frame(self_ptr self, link::frame& in) {
  switch (in.kind) {
  case link::frame_kind::request:
  case link::frame_kind::notice:
    return dispatch(self, in);
  case link::frame_kind::reply:
    return settle(self->state, in.id, std::move(in.body));
  case link::frame_kind::error:
    return settle(self->state, in.id, tl::unexpected{decode_failure(in.body)});
  }
}

/// Frames whose bodies are longer together are not read by the thread of the links, which others wait for.
constexpr std::size_t inline_bytes_max = 64u << 10;

/// The queue's requests, and all answers: none takes this actor long, or may wait for a disk.
bool is_quick(const link::frame& in) {
  if ((in.id & side_channel_id) != 0 || in.kind == link::frame_kind::notice)
    return false;
  if (in.kind != link::frame_kind::request)
    return true;
  switch (static_cast<method>(in.method)) {
  case method::append:
  case method::lease:
  case method::commit:
  case method::renew:
  case method::release:
  case method::cursor:
    return true;
  default:
    return false;
  }
}

std::vector<link::frame> take_quick(std::vector<link::frame>& from) {
  std::vector<link::frame> quick;
  std::erase_if(from, [&](link::frame& each) {
    if (!is_quick(each))
      return false;
    quick.push_back(std::move(each));
    return true;
  });
  return quick;
}

std::size_t size_of(const std::vector<link::frame>& frames) {
  std::size_t total = 0;
  for (const auto& each : frames)
    total += each.body.size();
  return total;
}

// ---- the link's life --------------------------------------------------------------

void open_link(self_ptr self, link::connection_ptr connection) {
  auto& st = self->state;
  st.connection = std::move(connection);
  st.attempts = 0;
  st.told.clear();
  st.known.clear();
  auto generation = ++st.generation;
  self_type me{self};
  auto beside = st.opts.beside;
  if (beside)
    beside->opened(st.connection);
  st.connection->start({
    [me, generation, beside](std::vector<link::frame> frames) {
      // What the queue is asked and answers goes first: the disk is to be at work while the rest is done.
      auto quick = take_quick(frames);
      const bool is_short = size_of(quick) <= inline_bytes_max;
      if (!quick.empty() && is_short)
        send_inline(me, inbound{generation, std::move(quick)});
      else if (!quick.empty())
        caf::anon_send(me, inbound{generation, std::move(quick)});
      if (beside) {
        const inline_hold together; // collectors write what all these bring in one piece
        std::erase_if(frames, [&](link::frame& each) { return beside->take(each); });
      }
      if (!frames.empty())
        caf::anon_send(me, inbound{generation, std::move(frames)});
    },
    [me, generation, beside](failure why) {
      if (beside)
        beside->closed(why);
      caf::anon_send(me, link_closed{generation, std::move(why)});
    },
  });
  if (st.opts.on_up)
    st.opts.on_up(st.connection->peer(), handle{self});
}

void tell_cluster_unreachable(self_ptr self) {
  auto& st = self->state;
  const auto& other = st.connection->peer();
  if (st.opts.local.cluster && other.role == link::peer_role::node)
    self->send(st.opts.local.cluster, cluster::node_unreachable{node_id{other.name}, other.started});
}

void lose_link(self_ptr self, const failure& why) {
  auto& st = self->state;
  if (st.connection)
    tell_cluster_unreachable(self);
  st.connection.reset();
  fail_all(st, {errc::unavailable, why.message});
  if (st.opts.on_down)
    st.opts.on_down(why);
  if (!st.opts.connector) {
    self->quit();
    return;
  }
  auto delay = link::reconnect_delay(st.attempts++, st.opts.random());
  self->delayed_send(self, delay, connect_atom::value);
}

void try_connect(self_ptr self) {
  self_type me{self};
  self->state.opts.connector->connect([me](result<link::connection_ptr> made) {
    if (made)
      caf::anon_send(me, link_opened{std::move(*made)});
    else
      caf::anon_send(me, link_closed{0, made.error()});
  });
}

void sweep(self_ptr self) {
  auto& st = self->state;
  auto now = self->clock().now();
  std::vector<std::uint64_t> late;
  for (auto& [id, request] : st.pending)
    if (request.deadline <= now)
      late.push_back(id);
  for (auto id : late)
    settle(st, id, fail(errc::timeout, "the other process did not answer in time"));
  self->delayed_send(self, sweep_interval, sweep_atom::value);
}

template <class T>
auto notice(self_ptr self) {
  return [self](const T& message) { send_notice(self, message); };
}

template <class T>
auto request(self_ptr self) {
  return [self](const T& message) { return send_request(self, message); };
}

self_type::behavior_type run(self_ptr self, options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  if (st.opts.established)
    open_link(self, std::exchange(st.opts.established, nullptr));
  self->delayed_send(self, sweep_interval, sweep_atom::value);
  return {
    request<cluster::register_node>(self),
    notice<node::node_report>(self),
    notice<cluster::node_leaves>(self),
    // Only the head's own side of a link says this, and it says it to the cluster.
    [](const cluster::node_unreachable&) {},
    notice<cluster::host_ended>(self),
    notice<node::desired_state>(self),
    request<node::log_request>(self),
    request<node::log_sources_request>(self),
    notice<host::desired_replicas>(self),
    notice<host::host_report>(self),
    request<queue::append_request>(self),
    request<queue::lease_request>(self),
    request<queue::commit_request>(self),
    request<queue::renew_request>(self),
    request<queue::release_request>(self),
    request<queue::cursor_request>(self),
    request<artifact_request>(self),
    request<certificate_request>(self),
    [self](begin& now) {
      self->state.opts.local = std::move(now.local);
      try_connect(self);
    },
    [self](inbound& in) {
      if (in.generation == self->state.generation && self->state.connection)
        for (auto& frame : in.frames)
          handle_frame(self, frame);
    },
    [self](link_opened& opened) { open_link(self, std::move(opened.connection)); },
    [self](const link_closed& closed) {
      // 0: an attempt failed. Otherwise only the current link counts.
      if (closed.generation == 0 || closed.generation == self->state.generation)
        lose_link(self, closed.why);
    },
    [self](connect_atom) { try_connect(self); },
    [self](sweep_atom) { sweep(self); },
  };
}

} // namespace

handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::peer
