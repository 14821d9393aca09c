#include "runtime/daemon/moving_connector.hpp"

#include <utility>

namespace sluice::daemon {

moving_connector::moving_connector(host_port first, look_up where, make_connector make)
  : at_(std::move(first)), where_(std::move(where)), make_(std::move(make)), current_(make_(at_)) {}

void moving_connector::connect(std::function<void(result<link::connection_ptr>)> done) {
  if (auto now = where_(); now && *now != at_) {
    at_ = std::move(*now);
    current_ = make_(at_);
  }
  current_->connect(std::move(done));
}

} // namespace sluice::daemon
