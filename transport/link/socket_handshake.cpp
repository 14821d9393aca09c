#include "transport/link/socket_link.hpp"
#include "transport/pki/openssl.hpp"

namespace sluice::link {

/// TLS is up, or there is none: the client speaks first.
void socket_link::after_tls() {
  step_ = step::hello;
  bool join_ok = with_.join || (with_.on_join && with_.tls && with_.tls->peer_uri().empty());
  parser_.set_body_max(join_ok ? limits::join_size_bytes_max : limits::hello_size_bytes_max);
  if (with_.join)
    push_control(join_kind, 0, encode_join(*with_.join));
  else if (with_.side == link_side::client)
    push_control(hello_kind, 0, encode_hello(with_.options.self));
  flush();
}

result<void> socket_link::on_first_frame(frame& first) {
  if (first.kind == goodbye_kind) {
    goodbye_ = decode_goodbye(first.body);
    return {};
  }
  if (with_.join)
    return on_grant(first);
  if (with_.side == link_side::server && with_.tls && with_.tls->peer_uri().empty())
    return on_join(first);
  return on_hello(first);
}

result<void> socket_link::on_hello(const frame& first) {
  if (first.kind != hello_kind)
    return fail(errc::corrupt, "the peer did not begin with a hello");
  auto peer = decode_hello(first.body);
  if (!peer)
    return fail(peer);
  if (auto checked = check_peer(*peer); !checked)
    return checked;
  peer_ = std::move(*peer);
  if (with_.side == link_side::server)
    push_control(hello_kind, 0, encode_hello(with_.options.self));
  establish();
  return {};
}

result<void> socket_link::check_peer(const hello& peer) {
  const auto& options = with_.options;
  if (auto checked = check_hello(options.self, peer); !checked)
    return checked;
  if (with_.tls) {
    auto role = std::string{to_string(peer.role)};
    auto uri = pki::to_uri({options.self.cluster_id, role, peer.name});
    if (!uri)
      return fail(uri);
    if (with_.tls->peer_uri() != *uri)
      return fail(errc::permission_denied,
                  "the peer says it is " + *uri + ", but its certificate is for " + with_.tls->peer_uri());
  }
  if (options.expect_role && peer.role != *options.expect_role)
    return fail(errc::permission_denied, "'" + peer.name + "' is a " + std::string{to_string(peer.role)}
                                           + ", not a " + std::string{to_string(*options.expect_role)});
  if (!options.expect_name.empty() && peer.name != options.expect_name)
    return fail(errc::permission_denied,
                "the peer is '" + peer.name + "', not '" + options.expect_name + "'");
  return with_.admit ? with_.admit(*this, peer) : result<void>{};
}

/// Transition 1 of `link_state`. Reading stops until somebody listens.
void socket_link::establish() {
  parser_.set_body_max(limits::frame_size_bytes_max);
  open_link(state_, std::chrono::steady_clock::now());
  timer_.cancel();
  arm_timer();
  step_ = step::await_start;
  established_ = true;
  auto done = std::exchange(with_.done, nullptr);
  with_.on_down = nullptr;
  with_.admit = nullptr;
  with_.on_join = nullptr;
  done(*this, connection_ptr{std::make_shared<socket_connection>(shared_from_this())});
}

result<void> socket_link::on_join(const frame& first) {
  if (first.kind != join_kind || !with_.on_join)
    return fail(errc::unauthenticated, "the peer has no certificate: it may ask for one with a join token, "
                                       "and nothing else");
  auto request = decode_join(first.body);
  if (!request)
    return fail(request);
  step_ = step::joining;
  auto reply = [link = weak_from_this(), core = with_.core](result<join_grant> grant) {
    auto shared = std::make_shared<result<join_grant>>(std::move(grant));
    core->post([link, shared] {
      if (auto self = link.lock())
        self->send_grant(std::move(*shared));
    });
  };
  with_.on_join(std::move(*request), std::move(reply));
  return {};
}

void socket_link::send_grant(result<join_grant> grant) {
  if (step_ != step::joining)
    return;
  if (grant)
    push_control(grant_kind, 0, encode_grant(*grant));
  close(grant ? failure{errc::cancelled, "the join request is answered"} : grant.error());
}

result<void> socket_link::on_grant(const frame& first) {
  if (first.kind != grant_kind)
    return fail(errc::corrupt, "the answer to the join request is something else");
  auto grant = decode_grant(first.body);
  if (grant && with_.on_grant)
    std::exchange(with_.on_grant, nullptr)(std::move(*grant));
  goodbye_ = failure{errc::cancelled, "joined"};
  return grant ? result<void>{} : fail(grant);
}

/// Tells whoever waits that nothing came of it.
void socket_link::finish_handshake(failure why) {
  if (with_.on_grant)
    std::exchange(with_.on_grant, nullptr)(tl::unexpected{why});
  if (with_.done)
    std::exchange(with_.done, nullptr)(*this, tl::unexpected{std::move(why)});
}

} // namespace sluice::link
