// Orders come in through a queue, are priced by a coroutine, and end in a file.
#include <sluice/sluice.hpp>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

enum class currency { eur, usd };

struct item {
  double price;
  std::uint32_t count = 1; // may be missing
};

struct order {
  std::string id;
  std::vector<item> items;
  currency in = currency::eur;
  std::optional<std::string> coupon;
};

struct priced {
  std::string id;
  double total;
  currency in;
};

// A coroutine: while one order waits, the replica works on others (up to 100, or num_concurrency).
sluice::async<priced> price(order in) {
  double total = 0;
  for (const auto& item : in.items)
    total += item.price * item.count;
  if (total < 0)
    throw std::runtime_error{"order " + in.id + " has a negative total"}; // tried again, then a dead letter
  co_await sluice::sleep(std::chrono::milliseconds{2});                   // stands for asking somebody
  co_return priced{in.id, in.coupon ? total * 0.9 : total, in.in};
}

// A class: one object per replica, so its members need no lock.
struct audit {
  void setup() { turnover.clear(); }
  std::optional<priced> process(const priced& in) {
    turnover[in.in] += in.total;
    return in.total > 0 ? std::optional{in} : std::nullopt; // no result: nothing is written
  }
  std::map<currency, double> turnover;
};

int main(int argc, char** argv) {
  sluice::flow flow{"orders"};
  flow.consumer<price>("price", {.source = sluice::queue("orders"),
                                 .sink = sluice::queue("priced"),
                                 .max_replicas = 4,
                                 .num_concurrency = 16});
  flow.consumer<audit>("audit", {.source = sluice::queue("priced"), .sink = sluice::file("audit.jsonl")});
  return sluice::run(flow, argc, argv);
}
