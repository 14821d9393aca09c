#pragma once

#include "runtime/daemon/identity.hpp"
#include "transport/link/link.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace sluice::daemon {

/// Connects to somebody who may be elsewhere each time, as the head of this machine that was started again:
/// the address is looked up at each attempt. Used by one thread; attempts end with it.
class moving_connector final : public link::connector {
public:
  /// Where they are now; nullopt = unknown, which leaves the last address. Must not wait for long.
  using look_up = std::function<std::optional<host_port>()>;
  using make_connector = std::function<std::unique_ptr<link::connector>(const host_port&)>;

  moving_connector(host_port first, look_up where, make_connector make);

  /// One attempt at a time: one that is under way when the address has changed is given up.
  void connect(std::function<void(result<link::connection_ptr>)> done) override;

private:
  host_port at_;
  look_up where_;
  make_connector make_;
  std::unique_ptr<link::connector> current_;
};

} // namespace sluice::daemon
