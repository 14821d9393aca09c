#include "transport/http/connection.hpp"

#include "transport/http/server_exchange.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <sys/uio.h>
#include <utility>

namespace sluice::http {

namespace {

constexpr auto half_close_patience = std::chrono::seconds{1}; ///< with a request whose client sends no more
constexpr auto linger = std::chrono::seconds{2};              ///< for the client to read its last answer
constexpr std::size_t lingering_bytes_max = 4u << 20;         ///< that it still sends meanwhile
constexpr std::size_t pipelined_answer_bytes_max = 1u << 20;  ///< unread answers until no request is begun
constexpr std::size_t kept_input_bytes_max = 4u << 10;        ///< of memory, by a connection that rests
constexpr int reads_per_turn = 16;                            ///< then other connections get theirs
constexpr std::size_t pieces_per_write = 16;

std::chrono::milliseconds time_for(std::size_t bytes, std::uint32_t rate) {
  return std::chrono::milliseconds{bytes * 1000 / std::max<std::uint32_t>(rate, 1)};
}

} // namespace

connection::connection(worker& home, int fd, const client_key& key, std::string client)
  : home_(home.shared_from_this()), key_(key), client_(std::move(client)), channel_(std::in_place, fd),
    watch_(home.context(), fd), timer_(*this), reader_(home.shared().options.limits) {}

connection::~connection() = default;

connection& connection::of(timer_wheel::entry& timer) noexcept {
  return static_cast<owned_timer&>(timer).owner;
}

void connection::start() {
  if (const auto& tls = home_->shared().tls) {
    if (!channel_->begin_tls(*tls))
      return close();
    phase_ = phase::handshake;
    set_deadline(home_->now() + within().handshake_deadline);
  } else {
    phase_ = phase::head;
    set_deadline(home_->now() + within().head_deadline);
  }
  wait_readable();
}

void connection::close() {
  if (phase_ == phase::closed)
    return;
  auto self = shared_from_this();
  auto cut = std::exchange(phase_, phase::closed) == phase::handling;
  if (auto call = cut ? exchange_.lock() : nullptr) {
    replica_ = call->replica();
    attempts_ = call->attempts();
  }
  answer_bytes_ -= std::min(answer_bytes_, std::uint64_t{out_.bytes()}); // nobody takes what is left
  if (cut)
    log(home_->now());
  log_answered();
  count_answer_bytes();
  home_->set_timer(timer_, timer_wheel::never);
  gate_.shut();
  watch_.release();
  channel_.reset();
  home_->shared().ledger.leave(key_);
  home_->remove(*this);
  if (websocket_)
    report_close(websocket_code::lost, {});
  if (auto call = exchange_.lock())
    call->client_gone();
}

void connection::close_if_idle() {
  auto resting = [&] {
    return (phase_ == phase::idle || (phase_ == phase::head && requests_ == 0)) && in_.empty()
           && out_.bytes() == 0;
  };
  if (phase_ == phase::handshake)
    return close();
  if (phase_ == phase::websocket && home_->shared().draining) {
    say_going_away();
    return flush();
  }
  if (!resting())
    return;
  read_some(); // a request may have come in by now
  if (resting())
    close();
}

/// An answer that has begun and goes on.
void connection::close_if_streaming() {
  if (phase_ == phase::handling && status_ != 0)
    close();
}

// --- in --------------------------------------------------------------------------

void connection::wait_readable() {
  if (waiting_readable_ || phase_ == phase::closed || reading_paused())
    return;
  waiting_readable_ = true;
  home_->io().wait_later(shared_from_this());
}

void connection::begin_wait() {
  watch_.async_wait(watch_.wait_read,
                    [self = shared_from_this()](const boost::system::error_code& cancelled) {
                      self->waiting_readable_ = false;
                      if (cancelled || self->phase_ == phase::closed)
                        return;
                      self->home_->take_deliveries();
                      if (self->phase_ != phase::closed)
                        self->on_readable();
                    });
}

bool connection::reading_paused() const noexcept {
  return input_ended_ || in_.size() >= reader_.unread_bytes_max()
         || (phase_ == phase::websocket && websocket_is_full());
}

void connection::on_readable() {
  if (phase_ == phase::handshake && !shake_hands())
    return;
  read_some();
}

/// True once TLS stands.
bool connection::shake_hands() {
  switch (channel_->handshake()) {
  case channel::state::ok:
    phase_ = phase::head;
    set_deadline(home_->now() + within().head_deadline);
    return true;
  case channel::state::waiting:
    channel_->wants_write() ? wait_writable() : wait_readable();
    return false;
  default:
    close();
    return false;
  }
}

void connection::read_some() {
  read_cut_ = false;
  for (int turn = 0; !reading_paused(); ++turn) {
    if (turn == reads_per_turn) {
      read_cut_ = true;
      boost::asio::post(home_->context(), [self = shared_from_this()] {
        self->home_->look_at_clock();
        self->pump();
      });
      break;
    }
    auto buffer = home_->buffer();
    auto got = channel_->read(buffer);
    if (got.what == channel::state::broken)
      return close();
    if (got.what == channel::state::ended)
      on_end_of_input();
    else if (got.what == channel::state::ok)
      consume({buffer.data(), got.bytes});
    if (phase_ == phase::closed)
      return;
    // What a plain socket has left wakes us again; what TLS holds does not.
    if (got.what == channel::state::waiting || (!channel_->secure() && got.bytes < buffer.size()))
      break;
  }
  read_cut_ = read_cut_ || (reading_paused() && !input_ended_);
  flush();
  if (phase_ == phase::closed)
    return;
  if (input_ended_)
    return settle_end_of_input();
  wait_readable();
}

/// The client has gone, or only sends no more: what does not answer soon is called off, and if an answer comes it is sent.
void connection::on_end_of_input() {
  input_ended_ = true;
  watch_for_reset();
  if (phase_ != phase::handling)
    return;
  if (gate_.note_input())
    home_->take_deliveries_later();
  if (deadline_ != timer_wheel::never)
    set_deadline(std::min(deadline_, home_->now() + half_close_patience));
  else if (auto call = exchange_.lock()) // it has begun
    call->input_ended();
}

/// Nothing is read any more, which would tell.
void connection::watch_for_reset() {
  watch_.async_wait(watch_.wait_error,
                    [self = shared_from_this()](const boost::system::error_code& cancelled) {
                      if (cancelled)
                        return;
                      self->home_->look_at_clock();
                      self->close();
                    });
}

/// The client sends no more: serves what it did send, then closes.
void connection::settle_end_of_input() {
  if (phase_ == phase::handling)
    return;
  if (phase_ == phase::websocket && websocket_is_full())
    return; // there is more for the session
  if (phase_ == phase::idle && !in_.empty() && out_.bytes() > 0)
    return; // there are requests left, and answers to be read first
  if (out_.bytes() == 0)
    return close();
  closing_ = true;
  phase_ = phase::lingering;
}

void connection::pump() {
  if (phase_ == phase::closed)
    return;
  if (!in_.empty())
    consume({});
  if (phase_ == phase::closed)
    return;
  if (read_cut_ && !reading_paused()) {
    read_some();
    return end_if_drained();
  }
  flush();
  if (phase_ == phase::closed)
    return;
  if (input_ended_)
    return settle_end_of_input();
  end_if_drained();
  wait_readable();
}

/// An answer that began before the drain did not say that it is the last.
void connection::end_if_drained() {
  if (phase_ != phase::idle || !home_->shared().draining || !in_.empty() || out_.bytes() > 0)
    return;
  closing_ = true;
  phase_ = phase::lingering;
  on_all_sent();
}

/// What is not consumed stays in `in_`.
void connection::consume(std::string_view bytes) {
  if (in_.empty()) {
    auto used = consume_requests(bytes);
    in_.assign(bytes.substr(used));
  } else {
    in_.append(bytes);
    auto used = consume_requests(in_);
    in_.erase(0, used);
    if (in_.empty() && in_.capacity() > kept_input_bytes_max)
      in_ = {};
  }
  if (phase_ == phase::handling && !in_.empty() && gate_.note_input())
    home_->take_deliveries_later();
}

std::size_t connection::consume_requests(std::string_view bytes) {
  auto rest = bytes;
  auto used = [&] { return bytes.size() - rest.size(); };
  auto skip_empty_lines = [&] { // before a request, of old clients (RFC 9112 §2.2)
    while (rest.starts_with("\r\n"))
      rest.remove_prefix(2);
  };
  for (;;) {
    switch (phase_) {
    case phase::idle:
      skip_empty_lines();
      if (rest.empty() || out_.bytes() > pipelined_answer_bytes_max)
        return used();
      phase_ = phase::head;
      set_deadline(home_->now() + within().head_deadline);
      break;
    case phase::head:
      skip_empty_lines();
      if (auto refused = reader_.read_head(rest)) {
        begin_refused();
        refuse(*refused);
        break;
      }
      if (!reader_.head_done())
        return used();
      rest.remove_prefix(reader_.head_bytes());
      begin_request(!rest.empty());
      break;
    case phase::body: {
      if (rest.empty())
        return used();
      std::size_t taken = 0;
      auto refused = reader_.read_body(rest, taken);
      rest.remove_prefix(taken);
      body_received_ += taken;
      if (refused)
        refuse(*refused);
      else if (reader_.done())
        dispatch();
      else {
        set_deadline(body_began_ + within().body_deadline + time_for(body_received_, within().body_rate_min));
        return used();
      }
      break;
    }
    case phase::websocket:
      rest.remove_prefix(read_websocket(rest));
      if (phase_ == phase::websocket || phase_ == phase::closed)
        return used();
      break;
    case phase::lingering:
      discarded_ += rest.size();
      if (discarded_ > lingering_bytes_max)
        close();
      return bytes.size();
    case phase::handling:
    case phase::handshake:
    case phase::closed:
      return used();
    }
  }
}

// --- out -------------------------------------------------------------------------

void connection::flush() {
  write_out();
  if (out_.bytes() == 0)
    log_answered();
}

void connection::write_out() {
  if (out_.bytes() == 0 || phase_ == phase::closed)
    return;
  while (out_.bytes() > 0) {
    std::array<iovec, pieces_per_write> pieces;
    auto count = out_.gather(pieces);
    auto sent = channel_->write({pieces.data(), count});
    if (sent.what == channel::state::waiting) {
      count_answer_bytes();
      if (home_->shared().out_of_answer_bytes())
        return close(); // who reads slowly gives way
      is_answer_late_ = answered_at_.has_value();
      if (!blocked_since_) {
        blocked_since_ = home_->now();
        sent_since_ = 0;
      }
      update_timer();
      return channel_->wants_write() ? wait_writable() : wait_readable();
    }
    if (sent.what != channel::state::ok)
      return close();
    on_sent(sent.bytes);
  }
  on_all_sent();
}

/// The server's sum of what its clients have not taken.
void connection::count_answer_bytes() {
  const auto bytes = phase_ == phase::closed ? 0 : out_.bytes();
  if (bytes == counted_bytes_)
    return;
  home_->shared().answer_bytes.fetch_add(bytes - counted_bytes_,
                                         std::memory_order_relaxed); // wraps, as it should
  counted_bytes_ = bytes;
}

void connection::on_sent(std::size_t bytes) {
  out_.drop(bytes);
  sent_since_ += bytes;
  auto earlier = std::min(before_stream_, bytes);
  before_stream_ -= earlier;
  if (auto window = bytes > earlier ? window_.lock() : nullptr)
    window->taken(bytes - earlier);
}

void connection::on_all_sent() {
  count_answer_bytes();
  blocked_since_.reset();
  if (closing_) {
    if (input_ended_)
      return close();
    channel_->finish();
    return set_deadline(home_->now() + linger);
  }
  if (phase_ == phase::idle)
    deadline_ = home_->now() + within().idle_timeout;
  update_timer();
  if (phase_ == phase::idle && !in_.empty()) // requests that waited for room
    boost::asio::post(home_->context(), [self = shared_from_this()] {
      self->home_->look_at_clock();
      self->pump();
    });
}

void connection::wait_writable() {
  if (waiting_writable_ || phase_ == phase::closed)
    return;
  waiting_writable_ = true;
  watch_.async_wait(watch_.wait_write,
                    [self = shared_from_this()](const boost::system::error_code& cancelled) {
                      self->waiting_writable_ = false;
                      if (cancelled || self->phase_ == phase::closed)
                        return;
                      self->home_->look_at_clock();
                      if (self->phase_ == phase::handshake)
                        self->on_readable();
                      else
                        self->pump();
                    });
}

// --- deadlines -------------------------------------------------------------------

void connection::set_deadline(time_point when) {
  deadline_ = when;
  update_timer();
}

connection::time_point connection::write_deadline() const {
  if (!blocked_since_)
    return timer_wheel::never;
  const auto& limits = home_->shared().options.limits;
  return *blocked_since_ + limits.write_deadline + time_for(sent_since_, limits.body_rate_min);
}

void connection::update_timer() {
  if (phase_ == phase::closed)
    return;
  auto mine = phase_ == phase::idle && blocked_since_ ? timer_wheel::never : deadline_;
  home_->set_timer(timer_, std::min(mine, write_deadline()));
}

void connection::on_deadline() {
  auto self = shared_from_this();
  auto now = home_->now();
  if (now >= write_deadline())
    return close(); // it does not read
  if (now < deadline_)
    return update_timer();
  switch (phase_) {
  case phase::head:
    if (in_.empty())
      return close(); // never began
    begin_refused();
    refuse({408, "the head of the request came too slowly"});
    return flush();
  case phase::body:
    refuse({408, "the body of the request came too slowly"});
    return flush();
  case phase::handling:
    if (input_ended_ && now < call_deadline_) {
      set_deadline(call_deadline_);
      if (auto call = exchange_.lock())
        call->input_ended();
      return;
    }
    deadline_ = timer_wheel::never;
    if (
      gate_
        .note_input()) // an answer that is being made just now wakes this thread when it is out, or is out already
      home_->take_deliveries_later();
    if (auto call = exchange_.lock())
      call->expire(timeout_);
    return;
  case phase::websocket:
    return on_websocket_deadline();
  default:
    return close();
  }
}

} // namespace sluice::http
