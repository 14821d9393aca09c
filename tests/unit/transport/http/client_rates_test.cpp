// Goal: each client has its own share, gets it back with time, and strangers cost no memory without bound.
#include "transport/http/client_rates.hpp"

#include <doctest/doctest.h>

using sluice::http::client_rates;
using namespace std::chrono_literals;

namespace {

client_rates::client numbered(std::uint32_t n) {
  return {static_cast<unsigned char>(n >> 16), static_cast<unsigned char>(n >> 8),
          static_cast<unsigned char>(n)};
}

const client_rates::time_point begin{1h};

} // namespace

TEST_CASE("a client has its burst at once and then its rate") {
  client_rates rates{{2, 3}};
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(rates.take(numbered(1), begin));
  CHECK(rates.take(numbered(1), begin) == 1s);
  CHECK_FALSE(rates.take(numbered(2), begin)); // another one is not concerned
  CHECK_FALSE(rates.take(numbered(1), begin + 500ms));
  CHECK(rates.take(numbered(1), begin + 500ms) == 1s);
  int let_in = 0;
  for (int i = 0; i < 10; ++i)
    let_in += rates.take(numbered(1), begin + 1h) ? 0 : 1;
  CHECK(let_in == 3); // a long rest gives one burst, not more
}

TEST_CASE("without a burst it is what a second allows, at least one") {
  client_rates slow{{0.1}};
  CHECK_FALSE(slow.take(numbered(1), begin));
  CHECK(slow.take(numbered(1), begin) == 10s);
  client_rates quick{{5}};
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(quick.take(numbered(1), begin));
  CHECK(quick.take(numbered(1), begin));
}

TEST_CASE("it knows a bounded number of clients, and forgets first who loses nothing") {
  client_rates rates{{1, 2}, 10};
  rates.take(numbered(0), begin);
  rates.take(numbered(0), begin); // has nothing left
  for (std::uint32_t i = 1; i < 10; ++i)
    rates.take(numbered(i), begin - 1h);
  rates.take(numbered(100), begin + 1ms);
  CHECK(rates.known_count() == 2);
  CHECK(rates.take(numbered(0), begin + 1ms));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    rates.take(numbered(i), begin + 2ms);
    CHECK(rates.known_count() <= 10);
  }
}
