// An answer that goes on: server-sent events for browsers, JSON lines for everybody else. The coroutine runs
// only while the client keeps up, and ends when it goes.
//   curl -N 'localhost:8000/countdown/5'
//   curl -N -H 'Accept: text/event-stream' 'localhost:8000/countdown/5'
#include <sluice/sluice.hpp>

#include <chrono>
#include <string>

struct start {
  std::uint32_t from;
  std::uint32_t interval_ms = 100;
};
struct tick {
  std::uint32_t left;
  std::string text;
};

sluice::stream<tick> count_down(start in) {
  if (in.from > 1000)
    throw sluice::http_error{422, "from must be up to 1000"}; // before the first value: decides the status
  for (auto left = in.from; left > 0; --left) {
    tick next{left, std::to_string(left) + " to go"}; // a name: g++ 12 is wrong about temporary structs here
    co_yield next;
    co_await sluice::sleep(std::chrono::milliseconds{in.interval_ms});
  }
  tick last{0, "lift-off"};
  co_yield last;
}

// Without waiting a generator will do.
sluice::generator<std::uint64_t> squares(start in) {
  for (std::uint64_t n = 1; n <= in.from; ++n)
    co_yield (n * n);
}

int main(int argc, char** argv) {
  sluice::flow flow{"countdown"};
  flow.endpoint<count_down>("count-down", {.route = "/countdown/{from}", .num_concurrency = 1000});
  flow.endpoint<squares>("squares", {.route = "/squares/{from}"});
  return sluice::run(flow, argc, argv);
}
