#pragma once

#include <sluice/processor/connection_core.hpp>
#include <sluice/processor/provide.hpp>
#include <sluice/processor/request_processor.hpp>

#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace sluice::processor {

/// What the bodies of one WebSocket processor have in common.
struct websocket_settings {
  request_settings request;
  connection_set::settings connections;
};

/// The user code of a WebSocket processor in one replica, but for its types: accepts requests that its guard lets pass
/// and makes code for each connection.
class websocket_body final : public request_body {
public:
  using code_factory =
    std::function<std::unique_ptr<connection_code>(std::shared_ptr<replica_values> values)>;

  /// @param needs what the code's constructor takes
  websocket_body(websocket_settings settings, code_factory make, std::span<const needed_type> needs);
  /// Ends what is still connected.
  ~websocket_body() override;

  result<void> setup() override;
  bool is_async() const noexcept override { return set_->with().is_async; }
  connection_keeper* connections() noexcept override { return set_.get(); }
  bool handle(const exchange_ptr& call, encoded_results& results) override;
  void handle_async(const exchange_ptr& call, encoded_results& results, executor& where,
                    std::function<void(bool)> done) override;

private:
  void accept(exchange& call, std::shared_ptr<executor> where);

  request_gate gate_;
  std::shared_ptr<replica_values> values_;
  code_factory make_;
  std::span<const needed_type> needs_;
  std::shared_ptr<connection_set> set_;
};

} // namespace sluice::processor
