#include "transport/connectors/pulse/pulse_source.hpp"

#include "transport/connectors/option_reader.hpp"

#include <sluice/codec/time_text.hpp>

#include <poll.h>
#include <string>
#include <utility>

namespace sluice::connectors::pulse_source {

namespace {

using namespace std::chrono;

constexpr std::uint64_t interval_ms_max = 366ull * 24 * 3600 * 1000;

class pulse final : public source {
public:
  pulse(milliseconds interval, clocks time) : interval_(interval), time_(std::move(time)) {}

  bool has_position() const noexcept override { return false; }

  result<void> open(const source_position&) override {
    due_ = time_.now();
    return {};
  }

  result<pulled> pull(std::uint32_t, milliseconds wait_max) override {
    auto now = time_.now();
    if (now < due_) {
      time_.wait(std::min(ceil<milliseconds>(due_ - now), wait_max));
      now = time_.now();
    }
    if (now < due_)
      return pulled{};
    // On the grid of the first tick, at the first point that lies ahead.
    due_ += interval_ * ((now - due_) / interval_ + 1);
    record_block_builder one;
    ++tick_;
    one.add(tick_, 0, text());
    return pulled{one.finish(), false};
  }

private:
  std::string text() const {
    std::string out = "{\"tick\":" + std::to_string(tick_) + ",\"time\":\"";
    codec::append_time(out, codec::to_moment(floor<milliseconds>(time_.wall())));
    return out + "\"}";
  }

  milliseconds interval_;
  clocks time_;
  steady_clock::time_point due_{};
  std::uint64_t tick_ = 0;
};

result<std::unique_ptr<source>> make_from(const io_spec& spec) {
  option_reader options{spec};
  const auto interval_ms = options.number("interval_ms", 1, interval_ms_max);
  if (auto ok = options.check(); !ok)
    return fail(ok);
  return make(milliseconds{interval_ms},
              {[] { return steady_clock::now(); }, [] { return system_clock::now(); },
               [](milliseconds time) { ::poll(nullptr, 0, static_cast<int>(time.count())); }});
}

} // namespace

void add_to(connector_registry& registry) { registry.add_source("pulse", make_from); }

std::unique_ptr<source> make(milliseconds interval, clocks time) {
  return std::make_unique<pulse>(interval, std::move(time));
}

} // namespace sluice::connectors::pulse_source
