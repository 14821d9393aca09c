#include <sluice/processor/connection_state.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <algorithm>
#include <utility>

namespace sluice::processor {

void connection_state::open() {
  if (has_ended_ || is_draining_)
    return;
  is_open_ = true; // (1)
  events_.push_back({connection_event::kind::open});
}

bool connection_state::message(std::string payload, bool is_text) {
  if (!is_open_ || is_closing_ || is_draining_ || has_ended_)
    return false;
  events_.push_back({connection_event::kind::message, std::move(payload), is_text});
  return true;
}

void connection_state::end() {
  if (std::exchange(has_ended_, true)) // (2)
    return;
  if (is_open_)
    events_.push_back({connection_event::kind::close});
}

std::size_t connection_state::close() {
  is_closing_ = true; // (3)
  return drop_messages();
}

void connection_state::drain() { is_draining_ = true; }

std::size_t connection_state::drop_messages() {
  std::size_t cost = 0;
  std::erase_if(events_, [&](const connection_event& each) {
    const bool is_message = each.what == connection_event::kind::message;
    cost += is_message ? websocket_message_cost(each.payload.size()) : 0;
    return is_message;
  });
  return cost;
}

bool connection_state::is_ready() const noexcept { return !is_busy_ && !events_.empty(); }

bool connection_state::is_ready_without_room() const noexcept {
  return is_ready() && (has_ended_ || events_.front().what != connection_event::kind::message);
}

connection_event connection_state::next() {
  is_busy_ = true;
  auto first = std::move(events_.front());
  events_.pop_front();
  return first;
}

bool connection_state::take_goodbye() noexcept {
  if (!is_draining_ || is_closing_ || has_ended_ || is_busy_ || !events_.empty())
    return false;
  is_closing_ = true; // (4)
  return true;
}

} // namespace sluice::processor
