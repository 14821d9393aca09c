// A coroutine answers: while one request waits, the replica works on others, up to 100 unless
// num_concurrency says otherwise, and never on two at the same time, so that the class needs no lock.
//   curl 'localhost:8000/weather/Oslo?days=3'
#include <sluice/sluice.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

struct place {
  std::string city;
  std::uint32_t days = 1;
};
struct forecast {
  std::string city;
  std::vector<int> degrees;
};

sluice::async<int> ask_a_station(std::string city, std::uint32_t day) {
  co_await sluice::sleep(std::chrono::milliseconds{5}); // stands for a call to somewhere else
  co_return static_cast<int>((city.size() * 7 + day * 3) % 30);
}

struct weather {
  sluice::async<forecast> process(place in) {
    if (in.days < 1 || in.days > 14)
      throw sluice::http_error{422, "days must be from 1 to 14"};
    auto& known = cache[in.city];
    while (known.size() < in.days) {
      auto station = ask_a_station(in.city, static_cast<std::uint32_t>(known.size()));
      auto degrees = co_await std::move(station);
      if (known.size() < in.days) // somebody else may have asked while this waited
        known.push_back(degrees);
    }
    co_return forecast{in.city, {known.begin(), known.begin() + in.days}};
  }
  std::map<std::string, std::vector<int>> cache; // references into a map stay valid
};

int main(int argc, char** argv) {
  sluice::flow flow{"weather"};
  flow.endpoint<weather>("weather", {.route = "/weather/{city}"});
  return sluice::run(flow, argc, argv);
}
