// Orders per country: a file is read once, in parallel, and reduced to a small table; then the program ends.
//
//   ./example_sales -- orders.csv sales.csv
//
// where orders.csv has the columns country and amount. Killed or stopped with Ctrl-C, it goes on where it was when it is
// started again. On a cluster, where the paths are the same files for all nodes:
//
//   sluice submit ./example_sales --wait -- orders.csv sales.csv
#include <sluice/sluice.hpp>

#include <algorithm>
#include <string>
#include <vector>

struct order {
  std::string country;
  double amount = 0;
};

struct sales {
  std::string country;
  std::uint64_t orders = 0;
  double total = 0;
};

/// Every order is a table of its own. Returning std::optional leaves some out, std::vector makes several of one.
std::optional<sales> to_sales(const order& in) {
  if (in.amount <= 0)
    return std::nullopt;
  return sales{in.country, 1, in.amount};
}

/// Two of the same country are one.
void add(sales& into, const sales& next) {
  into.orders += next.orders;
  into.total += next.total;
}

int main(int argc, char** argv) {
  // Behind "--" by hand; a cluster gives just what stood there.
  std::vector<std::string> args(argv + 1, argv + argc);
  if (auto mine = std::find(args.begin(), args.end(), "--"); mine != args.end())
    args.erase(args.begin(), mine + 1);
  std::erase_if(args, [](const std::string& arg) { return arg.starts_with("--"); });
  args.resize(2);
  sluice::flow flow{"sales"};
  flow.batch<to_sales, add, &sales::country>("per-country", {.source = sluice::file(args[0]),
                                                             .sink = sluice::file(args[1]),
                                                             .num_concurrency = 2,
                                                             .max_rejected = 10});
  return sluice::run(flow, argc, argv);
}
