#include "transport/http/connection.hpp"
#include "transport/http/server_exchange.hpp"
#include "transport/http/server_websocket.hpp"
#include "transport/http/websocket_codec.hpp"

#include <utility>

/// What a connection does once it is a WebSocket.
namespace sluice::http {

namespace {

constexpr auto close_patience = std::chrono::seconds{5}; ///< for the client's close after ours
constexpr std::size_t pong_room_bytes_max = 64u << 10;   ///< unsent, above which pings go unanswered

} // namespace

struct connection::websocket_state {
  explicit websocket_state(std::size_t message_bytes_max) : reader(message_bytes_max) {}

  websocket_reader reader;
  std::shared_ptr<websocket_session> session; ///< none once it has heard the end
  server_websocket::counter untaken = std::make_shared<std::atomic<std::size_t>>(0);
  bool close_sent = false;
  bool pinged = false; ///< and nothing has come since
};

void connection::websocket_deleter::operator()(websocket_state* state) const noexcept { delete state; }

/// @pre phase handling
void connection::open_websocket(delivery& what) {
  status_ = what.answer.status;
  out_.add(std::move(what.answer.head));
  reader_.next();
  exchange_.reset();
  phase_ = phase::websocket;
  websocket_.reset(new websocket_state{message_bytes_max_});
  websocket_->session = std::move(what.session);
  auto way = std::make_shared<server_websocket>(shared_from_this(), call_, websocket_->untaken);
  before_stream_ = out_.bytes();
  window_ = std::shared_ptr<send_window>{way, &way->window()};
  set_deadline(home_->now() + within().websocket_ping_interval);
  tell_session([&](websocket_session& session) { session.on_open(std::move(way)); });
  if (home_->shared().draining) // the others have been told already
    say_going_away();
}

/// User code's exceptions end its WebSocket and nothing else.
template <class Call>
void connection::tell_session(Call call) {
  auto session = websocket_->session; // may drop itself in the call
  if (!session)
    return;
  auto before = std::exchange(dispatching_, true); // what it sends meanwhile is taken at once
  try {
    call(*session);
  } catch (...) {
    begin_close(websocket_code::server_error, "the session failed");
  }
  dispatching_ = before;
}

/// A frame that no session sent.
void connection::queue_frame(std::string frame) {
  if (auto window = window_.lock())
    window->add(frame.size());
  out_.add(std::move(frame));
}

bool connection::websocket_is_full() const noexcept {
  return websocket_ && websocket_->untaken->load() >= stream_window_bytes;
}

std::size_t connection::read_websocket(std::string_view bytes) {
  if (!bytes.empty())
    websocket_->pinged = false;
  std::size_t consumed = 0;
  auto breach = websocket_->reader.advance(
    bytes, consumed,
    {.on_message =
       [this](std::string message, bool is_text) {
         *websocket_->untaken += websocket_message_cost(message.size());
         tell_session([&](websocket_session& session) { session.on_message(std::move(message), is_text); });
       },
     .on_ping =
       [this](std::string_view payload) {
         if (out_.bytes() < pong_room_bytes_max && !websocket_->close_sent)
           queue_frame(websocket_frame(websocket_opcode::pong, payload));
       },
     .on_close =
       [this](std::uint16_t code, std::string_view reason) {
         begin_close(code, {});
         end_websocket(code, reason);
       },
     .is_paused = [this] { return websocket_is_full() || phase_ != phase::websocket; }});
  if (breach) {
    begin_close(breach->code, breach->reason);
    end_websocket(breach->code, breach->reason);
    return bytes.size();
  }
  return consumed;
}

void connection::deliver_websocket(delivery& what) {
  if (websocket_->close_sent)
    return;
  answer_bytes_ += what.answer.body_bytes;
  out_.add(std::move(what.answer.head));
  if (what.shared)
    out_.add(std::move(what.shared));
  if (what.ends) {
    websocket_->close_sent = true;
    set_deadline(home_->now() + close_patience);
  }
}

/// Sends the close frame, unless it has been sent.
void connection::begin_close(std::uint16_t code, std::string_view reason) {
  if (std::exchange(websocket_->close_sent, true))
    return;
  queue_frame(websocket_close_frame(code, reason));
  set_deadline(home_->now() + close_patience);
}

void connection::say_going_away() { begin_close(websocket_code::going_away, "the server is shutting down"); }

/// Both sides have said that they are done, or one cannot go on.
void connection::end_websocket(std::uint16_t code, std::string_view reason) {
  report_close(code, reason);
  closing_ = true;
  phase_ = phase::lingering;
  set_deadline(home_->now() + close_patience);
  if (out_.bytes() == 0)
    on_all_sent(); // our close went before: nothing will be sent any more
}

/// The session hears it once.
void connection::report_close(std::uint16_t code, std::string_view reason) {
  if (auto window = window_.lock())
    window->close();
  if (auto session = std::exchange(websocket_->session, nullptr)) {
    try {
      session->on_close(code, reason);
    } catch (...) { // it has ended already
    }
    log(home_->now());
  }
}

void connection::on_websocket_deadline() {
  if (websocket_->close_sent || (websocket_->pinged && !websocket_is_full()))
    return close();        // it does not answer
  if (websocket_is_full()) // nothing is read, so no answer would be seen
    return set_deadline(home_->now() + within().websocket_ping_interval);
  websocket_->pinged = true;
  queue_frame(websocket_frame(websocket_opcode::ping, {}));
  set_deadline(home_->now() + within().websocket_ping_interval);
  flush();
}

} // namespace sluice::http
