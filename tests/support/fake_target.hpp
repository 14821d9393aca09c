#pragma once

#include "actors/ingress/target_port.hpp"

#include <deque>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace sluice::test {

/// A replica that keeps what it gets until the test says what becomes of it. One thread.
class fake_target final : public ingress::target_port {
public:
  std::deque<exchange_ptr> held;
  int taken = 0;
  std::optional<failure> refuses; ///< at once, while set
  bool drops = false;             ///< at once, while set
  bool answers = false;           ///< at once, while set
  bool throws = false;            ///< the next one, which is dropped

  void submit(exchange_ptr call) override {
    ++taken;
    if (std::exchange(throws, false))
      throw std::bad_alloc{};
    if (refuses)
      call->refuse(*refuses);
    else if (answers)
      call->respond({200, {}, call->in.path});
    else if (!drops)
      held.push_back(std::move(call));
  }

  exchange_ptr take() {
    auto first = std::move(held.front());
    held.pop_front();
    return first;
  }
  void answer(unsigned status = 200, std::string body = {}) {
    take()->respond({status, {}, std::move(body)});
  }
  void refuse(errc code) { take()->refuse({code, "fake"}); }
  void drop() { take().reset(); }
};

} // namespace sluice::test
