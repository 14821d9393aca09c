#include <sluice/processor/guarded.hpp>
#include <sluice/processor/websocket_body.hpp>

namespace sluice::processor {

websocket_body::websocket_body(websocket_settings settings, code_factory make,
                               std::span<const needed_type> needs)
  : gate_(settings.request), values_(std::make_shared<replica_values>(settings.request.factories)),
    make_(std::move(make)), needs_(needs),
    set_(std::make_shared<connection_set>(std::move(settings.connections))) {}

websocket_body::~websocket_body() { set_->stop(); }

result<void> websocket_body::setup() {
  return guarded([this]() -> result<void> {
    if (auto done = gate_.setup(); !done)
      return done;
    for (const auto& need : needs_) // made now, so that what fails fails the replica and not a client
      values_->get(need);
    return {};
  });
}

bool websocket_body::handle(const exchange_ptr& call, encoded_results&) {
  accept(*call, nullptr);
  return false;
}

void websocket_body::handle_async(const exchange_ptr& call, encoded_results&, executor& where,
                                  std::function<void(bool)> done) {
  auto shared = where.shared_from_this();
  set_->run_on([weak = std::weak_ptr{shared}](std::function<void()> turn) {
    if (auto there = weak.lock())
      there->post(std::move(turn));
  });
  accept(*call, std::move(shared));
  done(false);
}

void websocket_body::accept(exchange& call, std::shared_ptr<executor> where) {
  if (!gate_.admit(call))
    return;
  auto core = std::make_shared<connection_core>(set_);
  if (auto admitted = set_->admit(core); !admitted)
    return call.refuse(admitted.error());
  core->begin(std::move(call.in), make_(values_), std::move(where));
  if (!call.upgrade(std::move(core)))
    call.respond(error_response(426, "this route is a WebSocket"));
}

} // namespace sluice::processor
