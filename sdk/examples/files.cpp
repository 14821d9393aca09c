// A CSV file is read line by line into structs, split into events, and printed; a pulse
// tells that the program lives. Give the file's name as SLUICE_EXAMPLE_FILE.
#include <sluice/sluice.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

struct sale {
  std::string city;
  std::string product;
  std::uint32_t count;
};

struct event {
  std::string product;
  std::string city;
};

// Any number of results: one event for each piece sold.
std::vector<event> split(const sale& in) { return std::vector<event>(in.count, event{in.product, in.city}); }

int main(int argc, char** argv) {
  const char* path = std::getenv("SLUICE_EXAMPLE_FILE");
  sluice::flow flow{"files"};
  flow.consumer<split>("split", {.source = sluice::file(path != nullptr ? path : "sales.csv"),
                                 .sink = sluice::standard_output()});
  flow.consumer<[](sluice::raw) { std::fputs("still here\n", stderr); }>(
    "pulse", {.source = sluice::pulse(std::chrono::seconds{10})});
  return sluice::run(flow, argc, argv);
}
