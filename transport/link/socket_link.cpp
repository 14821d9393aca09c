#include "transport/link/socket_link.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace sluice::link {

namespace {

constexpr int reads_per_turn = 4;                 ///< then other links get their turn
constexpr std::size_t frames_per_call_max = 1024; ///< handed over at once: what a cache still holds
constexpr std::size_t write_bytes = 256u << 10;   ///< gathered into one system call
constexpr std::size_t write_pieces_max = 64;
constexpr std::size_t flush_bytes_max = 2u << 20;   ///< then other links get their turn
constexpr std::size_t discard_bytes_max = 1u << 20; ///< read from who was already refused

time_point now() { return std::chrono::steady_clock::now(); }

std::string errno_text(int code) { return std::strerror(code); }

} // namespace

thread_local send_cork* send_cork::current_ = nullptr;

socket_link::socket_link(setup with)
  : with_(std::move(with)), fd_(with_.fd), descriptor_(with_.core->context()), timer_(with_.core->context()),
    state_(begin_link(with_.options.timing, with_.began)), queue_(with_.options.window_bytes) {}

socket_link::~socket_link() = default;

void socket_link::begin() {
  boost::system::error_code failed;
  descriptor_.assign(with_.fd, failed);
  if (failed) {
    ::close(with_.fd);
    fd_ = -1;
    return abort({errc::unavailable, "the socket cannot be watched: " + failed.message()});
  }
  if (!with_.core->add(*this))
    return abort({errc::shutting_down, "this process is shutting down"});
  arm_timer();
  wait_readable();
  if (!with_.tls)
    return after_tls();
  if (auto begun = with_.tls->begin(); !begun)
    return close(begun.error());
  flush();
}

// Reading

void socket_link::wait_readable() {
  if (reading_ || step_ == step::await_start || step_ == step::down)
    return;
  reading_ = true;
  with_.core->wait_later(shared_from_this());
}

void socket_link::begin_wait() {
  descriptor_.async_wait(descriptor_.wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->reading_ = false;
                           if (!error)
                             self->on_readable();
                         });
}

void socket_link::on_readable() {
  in_read_ = true;
  for (int i = 0; i < reads_per_turn && step_ != step::await_start; ++i)
    if (step_ == step::down || !read_once())
      break;
  in_read_ = false;
  // Not for nothing: a thread that writes an answer may hold the lock, and what it is about makes this thread wait for it.
  if (std::exchange(wants_flush_, false) || with_.tls)
    flush();
  wait_readable();
}

/// Returns true when there may be more to read.
bool socket_link::read_once() {
  auto buffer = with_.core->read_buffer();
  auto count = ::recv(descriptor_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  if (count < 0) {
    on_peer_gone({errc::unavailable, "the link broke: " + errno_text(errno)});
    return false;
  }
  if (count == 0) {
    on_peer_gone({errc::unavailable, "the peer closed the link"});
    return false;
  }
  auto size = static_cast<std::size_t>(count);
  if (step_ == step::lingering) {
    discarded_ += size;
    if (discarded_ > discard_bytes_max)
      go_down();
    return size == buffer.size();
  }
  std::string_view bytes{buffer.data(), size};
  auto taken = result<void>{};
  if (with_.tls) {
    taken = with_.tls->receive(bytes, with_.core->plain_buffer(),
                               [this](std::string_view plain) { return consume(plain); });
    if (taken && step_ == step::tls && with_.tls->established())
      after_tls();
  } else {
    taken = consume(bytes);
  }
  if (!taken)
    close(taken.error());
  else if (goodbye_ || (with_.tls && with_.tls->peer_finished()))
    on_peer_gone({errc::unavailable, "the peer closed the link"});
  return size == buffer.size();
}

result<void> socket_link::consume(std::string_view plain) {
  state_.heard = true; // under TLS only what is authentic counts
  std::vector<frame> frames;
  while (!plain.empty() && step_ < step::lingering && !goodbye_) {
    if (step_ == step::tls)
      after_tls(); // the peer's first bytes came together with the end of its handshake
    if (step_ == step::joining)
      return fail(errc::corrupt, "the peer goes on before its join request is answered");
    bool first = step_ == step::hello;
    auto used = parser_.feed(plain, frames, first ? 1 : frames_per_call_max);
    if (!used) {
      if (!frames.empty())
        static_cast<void>(deliver(frames)); // what came before the damage is good
      return fail(used);
    }
    plain.remove_prefix(*used);
    if (frames.empty())
      continue;
    auto taken = first ? on_first_frame(frames.front()) : deliver(frames);
    if (!taken)
      return taken;
    frames.clear();
  }
  return {};
}

result<void> socket_link::deliver(std::vector<frame>& frames) {
  bool control =
    std::any_of(frames.begin(), frames.end(), [](const frame& f) { return !is_payload(f.kind); });
  if (control)
    if (auto answered = answer_control(frames); !answered)
      return answered;
  if (frames.empty())
    return {};
  state_.heard_payload = true;
  if (step_ == step::await_start) {
    early_.insert(early_.end(), std::make_move_iterator(frames.begin()),
                  std::make_move_iterator(frames.end()));
    return {};
  }
  return hand_over(frames);
}

/// A receiver's exception ends its link, not the thread of all links.
result<void> socket_link::hand_over(std::vector<frame>& frames) {
  try {
    if (to_.on_frames)
      to_.on_frames(std::exchange(frames, {}));
  } catch (const std::exception& error) {
    return fail(errc::internal, std::string{"a frame's handler failed: "} + error.what());
  }
  return {};
}

/// Takes the link's own frames out and answers them.
result<void> socket_link::answer_control(std::vector<frame>& frames) {
  auto kept = frames.begin();
  for (auto& f : frames) {
    if (is_payload(f.kind)) {
      if (&*kept != &f)
        *kept = std::move(f);
      ++kept;
    } else if (f.kind == ping_kind) {
      // One at a time: who does not read its pongs gets no pile of them.
      if (!std::exchange(pong_queued_, true))
        push_control(pong_kind, f.id, {});
    } else if (f.kind == goodbye_kind) {
      goodbye_ = decode_goodbye(f.body);
      break; // nothing comes after it
    } else if (f.kind != pong_kind) {
      return fail(errc::corrupt, "a second hello on an open link");
    }
  }
  frames.erase(kept, frames.end());
  return {};
}

// Handle

result<void> socket_link::send(std::vector<frame>& frames) {
  if (auto fine = check_sendable(frames); !fine)
    return fine;
  switch (queue_.push(frames)) {
  case send_queue::outcome::queued:
    return {};
  case send_queue::outcome::wake:
    if (with_.core->on_thread() && in_read_) {
      wants_flush_ = true;
    } else if (auto* cork = send_cork::current()) {
      cork->hold(shared_from_this());
    } else {
      flush_later();
    }
    return {};
  case send_queue::outcome::full:
    return fail(errc::overloaded, "'" + peer_.name + "' takes its frames too slowly: "
                                    + std::to_string(with_.options.window_bytes)
                                    + " bytes would wait for it");
  case send_queue::outcome::closed:
    break;
  }
  return fail(errc::unavailable, "the link to '" + peer_.name + "' is closed");
}

void socket_link::request_start(receiver to) {
  auto shared = std::make_shared<receiver>(std::move(to));
  if (!with_.core->post([self = shared_from_this(), shared] { self->start(std::move(*shared)); }))
    start(std::move(*shared)); // the io thread is gone: all that is left is to say so
}

void socket_link::request_close(failure why) {
  with_.core->post(
    [self = shared_from_this(), why = std::move(why)]() mutable { self->close(std::move(why)); });
}

socket_connection::~socket_connection() {
  link_->request_close({errc::cancelled, "the connection was dropped by its owner"});
}

void socket_link::start(receiver to) {
  to_ = std::move(to);
  if (step_ == step::await_start) {
    step_ = step::open;
    if (!with_.tls) {
      std::lock_guard lock{write_mutex_};
      open_to_writers_ = true;
    }
    if (room_untold_)
      tell_room();
    auto early = std::exchange(early_, {});
    if (!early.empty()) {
      in_read_ = true;
      auto delivered = deliver(early);
      in_read_ = false;
      if (!delivered)
        return close(delivered.error());
    }
    if (goodbye_)
      return on_peer_gone({errc::unavailable, "the peer closed the link"});
    flush();
    wait_readable();
  } else if (closed_why_) {
    // Frames that were complete before the end still count.
    if (!early_.empty())
      static_cast<void>(hand_over(early_));
    report(*std::exchange(closed_why_, std::nullopt));
  }
}

// Writing

void socket_link::push_control(frame_kind kind, std::uint64_t id, std::string body) {
  frame f;
  f.kind = kind;
  f.id = id;
  f.body = std::move(body);
  queue_.push_control(f);
  wants_flush_ = wants_flush_ || in_read_;
}

void socket_link::flush_later() {
  with_.core->post([self = shared_from_this()] { self->flush(); });
}

/// Not on the io thread, by whose cork is pulled. What the socket does not take is left to the io thread.
void socket_link::write_at_once() {
  bool has_room = false;
  bool is_done = false;
  {
    std::lock_guard lock{write_mutex_};
    for (std::size_t turns = flush_bytes_max / write_bytes; open_to_writers_ && turns > 0; --turns) {
      queue_.peek(pieces_, write_pieces_max, write_bytes);
      is_done = pieces_.empty();
      if (is_done)
        break;
      const auto sent = send_pieces_now();
      if (sent <= 0)
        break;
      written_elsewhere_.store(true, std::memory_order_relaxed);
      has_room = queue_.consume(static_cast<std::size_t>(sent)) || has_room;
    }
  }
  if (has_room)
    with_.core->post([self = shared_from_this()] { self->tell_room(); });
  if (!is_done)
    flush_later();
}

void socket_link::flush() {
  wants_flush_ = wants_flush_ || in_read_;
  if (write_blocked_ || write_shut_ || in_read_ || step_ == step::down)
    return;
  auto shared = shared_from_this(); // callbacks may drop the last other reference
  for (std::size_t turns = flush_bytes_max / write_bytes; turns > 0; --turns) {
    switch (with_.tls ? write_cipher() : write_plain()) {
    case written::some:
      continue;
    case written::blocked:
      return;
    case written::nothing_left:
      pong_queued_ = false;
      if (step_ == step::lingering && !write_shut_) {
        write_shut_ = true;
        ::shutdown(descriptor_.native_handle(), SHUT_WR);
      }
      return;
    }
  }
  with_.core->post([shared] { shared->flush(); });
}

socket_link::written socket_link::write_plain() {
  auto outcome = written::nothing_left;
  bool has_room = false;
  {
    std::lock_guard lock{write_mutex_};
    queue_.peek(pieces_, write_pieces_max, write_bytes);
    if (pieces_.empty())
      return outcome;
    std::size_t count = 0;
    outcome = send_pieces(count);
    has_room = count > 0 && queue_.consume(count);
  }
  if (has_room)
    tell_room();
  return outcome;
}

socket_link::written socket_link::write_cipher() {
  auto& output = with_.tls->output();
  if (cipher_written_ == output.size()) {
    output.clear();
    cipher_written_ = 0;
    took(std::exchange(cipher_plain_, 0));
    if (with_.tls->established())
      queue_.peek(pieces_, write_pieces_max, write_bytes);
    else
      pieces_.clear();
    for (auto piece : pieces_) {
      auto sent = with_.tls->send(piece);
      if (!sent) {
        write_blocked_ = true;
        request_close(sent.error());
        return written::blocked;
      }
      cipher_plain_ += piece.size();
    }
    if (pieces_.empty() && step_ == step::lingering)
      with_.tls->finish();
    if (output.empty())
      return written::nothing_left;
  }
  pieces_.assign(1, std::string_view{output}.substr(cipher_written_));
  std::size_t count = 0;
  auto outcome = send_pieces(count);
  cipher_written_ += count;
  return outcome;
}

/// Sends `pieces_`: what sendmsg returns.
ssize_t socket_link::send_pieces_now() const {
  iovec parts[write_pieces_max];
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    parts[i] = {const_cast<char*>(pieces_[i].data()), pieces_[i].size()};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = pieces_.size();
  return ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// The same on the io thread; `count` says how many bytes of them went.
socket_link::written socket_link::send_pieces(std::size_t& count) {
  auto sent = send_pieces_now();
  if (sent >= 0) {
    count = static_cast<std::size_t>(sent);
    state_.progressed = true;
    return written::some;
  }
  if (errno == EINTR)
    return written::some;
  write_blocked_ = true;
  if (errno == EAGAIN)
    wait_writable();
  // Any other error makes the socket readable too; there the peer's last word may
  // still wait, so the reader decides what happened.
  return written::blocked;
}

void socket_link::took(std::size_t count) {
  if (count > 0 && queue_.consume(count))
    tell_room();
}

void socket_link::tell_room() {
  room_untold_ = step_ == step::await_start;
  if (room_untold_ || !to_.on_writable)
    return;
  try {
    to_.on_writable();
  } catch (const std::exception& error) {
    request_close({errc::internal, std::string{"the handler of a writable link failed: "} + error.what()});
  }
}

void socket_link::wait_writable() {
  descriptor_.async_wait(descriptor_.wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error)
                             return;
                           self->write_blocked_ = false;
                           self->flush();
                         });
}

// Time and end

void socket_link::arm_timer() {
  auto due = next_tick(state_);
  if (!due)
    return;
  timer_.expires_at(*due);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error)
      self->on_timer();
  });
}

void socket_link::on_timer() {
  if (step_ >= step::lingering)
    return;
  if (step_ == step::await_start)
    state_.heard = state_.heard_payload = true; // nobody listens: no silence to speak of
  state_.waiting = queue_.waiting_bytes() > 0;
  state_.progressed = written_elsewhere_.exchange(false) || state_.progressed;
  auto action = tick(state_, now());
  if (action.close)
    return close(std::move(*action.close));
  if (action.ping) {
    push_control(ping_kind, 0, {});
    flush();
    queue_.trim();
    if (with_.tls && with_.tls->output().empty())
      with_.tls->output().shrink_to_fit();
  }
  arm_timer();
}

void socket_link::close(failure why) {
  if (step_ >= step::lingering)
    return;
  auto shared = shared_from_this();
  bool silent = why.code == errc::unavailable; // the peer is not there to hear it
  queue_.close();
  if (step_ != step::tls && !silent)
    push_control(goodbye_kind, 0, encode_goodbye(why));
  close_link(state_);
  step_ = step::lingering;
  if (established_)
    report(std::move(why));
  else
    finish_handshake(std::move(why));
  if (silent)
    go_down();
  else
    linger();
}

void socket_link::abort(failure why) {
  auto shared = shared_from_this();
  queue_.close();
  close_link(state_);
  if (step_ < step::lingering) {
    step_ = step::lingering;
    if (established_)
      report(std::move(why));
    else
      finish_handshake(std::move(why));
  }
  go_down();
}

void socket_link::on_peer_gone(failure why) {
  if (goodbye_)
    why = std::move(*std::exchange(goodbye_, std::nullopt));
  abort(std::move(why));
}

void socket_link::linger() {
  if (step_ != step::lingering)
    return;
  timer_.expires_after(limits::link_linger);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error)
      self->go_down();
  });
  flush();
  wait_readable();
}

void socket_link::go_down() {
  if (std::exchange(step_, step::down) == step::down)
    return;
  auto shared = shared_from_this();
  with_.core->remove(*this);
  {
    std::lock_guard lock{write_mutex_};
    open_to_writers_ = false;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    queue_.drop();
  }
  timer_.cancel();
  parser_ = frame_parser{0};
  if (with_.on_down)
    std::exchange(with_.on_down, nullptr)(*this);
  with_.on_join = nullptr;
  with_.admit = nullptr;
}

/// Tells the receiver, now or when there is one.
void socket_link::report(failure why) {
  if (!to_.on_closed && !to_.on_frames) {
    closed_why_ = std::move(why);
    return;
  }
  auto to = std::exchange(to_, {});
  if (to.on_closed)
    to.on_closed(std::move(why));
}

} // namespace sluice::link
