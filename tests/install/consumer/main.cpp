// A user's program of twenty lines; nothing of this repository but the installed SDK.
#include <sluice/sluice.hpp>

#include <optional>
#include <string>

struct order {
  std::string id;
  double amount;
  std::optional<std::string> coupon;
};

struct priced {
  std::string id;
  double total;
};

priced price(const order& in) { return {in.id, in.coupon ? in.amount * 0.9 : in.amount}; }

int main(int argc, char** argv) {
  sluice::flow flow{"orders"};
  flow.consumer<price>("price",
                       {.source = sluice::file("orders.jsonl"), .sink = sluice::file("priced.jsonl")});
  return sluice::run(flow, argc, argv);
}
