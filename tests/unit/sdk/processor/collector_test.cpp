// Goal: a collector's results come out encoded and the exchange stays open for the sink's word; what
// never gets there is answered as a failure.

#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

struct order {
  std::string id;
  int count = 1;
};

order accept(order in) { return in; }
std::vector<int> many(const order& in) {
  return std::vector<int>(static_cast<std::size_t>(in.count), in.count);
}
std::optional<order> some(const order& in) { return in.count > 0 ? std::optional{in} : std::nullopt; }
raw untouched(raw in) { return in; }
std::string summary(const request& in) { return in.path; }
order refuse(order) { throw http_error{409, "sold out"}; }
order crash(order) { throw std::runtime_error{"no database"}; }
async<order> later(const order& in) {
  co_await sluice::sleep(1ms);
  co_return in;
}
generator<int> split(const order& in) {
  for (int n = 0; n < in.count; ++n)
    co_yield n;
}
stream<int> split_slowly(order in) {
  for (int n = 0; n < in.count; ++n) {
    co_yield n;
    co_await sluice::sleep(0ms);
  }
}
async<order> throw_later(order) {
  co_await sluice::sleep(1ms);
  throw http_error{503, "later"};
}

struct collected {
  std::string results; ///< joined by blanks
  std::string answer;  ///< of a request that never gets to the sink
};

collected seen(bool to_sink, const encoded_results& results, const fake_exchange& exchange) {
  collected out;
  for (std::size_t i = 0; i < results.count(); ++i)
    out.results.append(i == 0 ? "" : " ").append(results[i]);
  CHECK(exchange.seen->ends() == (to_sink ? 0 : 1));
  if (auto answer = exchange.seen->answer())
    out.answer = shown(*answer);
  return out;
}

collected collect(request_body& body, request in) {
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  encoded_results results;
  const bool to_sink = body.handle(exchange, results);
  return seen(to_sink, results, *exchange);
}

} // namespace

TEST_CASE("results go to the sink, the exchange stays open") {
  CHECK(collect(*collector_of<accept>(true), post(R"({"id":"a"})")).results == R"({"id":"a","count":1})");
  CHECK(collect(*collector_of<many>(true), post(R"({"id":"a","count":3})")).results == "3 3 3");
  CHECK(collect(*collector_of<split>(true), post(R"({"id":"a","count":3})")).results == "0 1 2");
  CHECK(collect(*collector_of<some>(true), post(R"({"id":"a","count":0})")).results == "");
  CHECK(collect(*collector_of<untouched>(true), post("any\xff", "text/x")).results == "any\xff");
  CHECK(collect(*collector_of<accept>(false), get("/", "id=a&count=2")).results == R"({"id":"a","count":2})");
}

TEST_CASE("what does not get to the sink is a failure") {
  captured_log log;
  CHECK(
    collect(*collector_of<accept>(true), post("{}")).answer
    == R"(422 application/json {"success":false,"error":"missing, expected string","path":"id","in":"body"})");
  CHECK(collect(*collector_of<refuse>(true), post(R"({"id":"a"})")).answer
        == R"(409 application/json {"success":false,"error":"sold out"})");
  CHECK(log.text().empty());
  CHECK(collect(*collector_of<crash>(true), post(R"({"id":"a"})")).answer
        == R"(500 application/json {"success":false,"error":"internal error","id":"req-1"})");
  CHECK(log.text() == "error: processor \"ingest\": request req-1: no database\n");
}

TEST_CASE("the key that makes a retry safe outlives the request that user code takes away") {
  auto in = post("{}");
  in.headers.add("Idempotency-Key", "k-1");
  in.headers.add("X-Other", "1");
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  encoded_results results;
  CHECK(collector_of<summary>(true)->handle(exchange, results));
  CHECK(exchange->in.headers.find("Idempotency-Key") == "k-1");
  CHECK_FALSE(exchange->in.headers.contains("X-Other"));
}

TEST_CASE("a key that is empty is refused: the client believes that it may repeat the request") {
  auto in = post(R"({"id":"a"})");
  in.headers.add("idempotency-key", "");
  CHECK(
    collect(*collector_of<accept>(true), in).answer
    == R"(400 application/json {"success":false,"error":"the Idempotency-Key is empty: give the request a key )"
       R"(of its own, or send no such header"})");
}

TEST_CASE("a request with two keys is refused: which one it is stored under, its client can not know") {
  for (const char* second : {"k-1", "k-2", ""}) {
    auto in = post(R"({"id":"a"})");
    in.headers.add("Idempotency-Key", "k-1");
    in.headers.add("idempotency-key", second);
    CHECK(collect(*collector_of<accept>(true), in).answer
          == R"(400 application/json {"success":false,"error":"there is more than one Idempotency-Key: )"
             R"(a request has one"})");
  }
}

TEST_CASE("a request with a key has a fingerprint of all that was asked, whatever user code takes away") {
  auto print = [](request in, bool keyed = true) {
    if (keyed)
      in.headers.add("Idempotency-Key", "k-1");
    auto exchange = std::make_shared<fake_exchange>(std::move(in));
    encoded_results results;
    CHECK(collector_of<summary>(true)->handle(exchange, results));
    return exchange->fingerprint;
  };
  CHECK(print(post("{}"), false) == 0);
  const auto it = print(post("{}"));
  CHECK(it != 0);
  CHECK(print(post("{}", "text/x")) == it);
  CHECK(print(post("{ }")) != it);
  auto other = post("{}");
  other.query = "a=1";
  CHECK(print(other) != it);
  other = post("{}");
  other.path += "x";
  CHECK(print(other) != it);
  other = post("{}");
  other.method = method::put;
  CHECK(print(other) != it);
}

TEST_CASE("a coroutine collects when it ends") {
  captured_log log;
  manual_executor where;
  auto run = [&](request_body& body, request in) {
    auto exchange = std::make_shared<fake_exchange>(std::move(in));
    encoded_results results;
    std::vector<bool> done;
    body.handle_async(exchange, results, where, [&](bool to_sink) { done.push_back(to_sink); });
    where.advance(1ms);
    REQUIRE(done.size() == 1);
    return seen(done[0], results, *exchange);
  };
  CHECK(run(*collector_of<later>(true), post(R"({"id":"a"})")).results == R"({"id":"a","count":1})");
  CHECK(run(*collector_of<split_slowly>(true), post(R"({"id":"a","count":3})")).results == "0 1 2");
  CHECK(run(*collector_of<throw_later>(true), post(R"({"id":"a"})")).answer
        == R"(503 application/json {"success":false,"error":"later"})");
  CHECK(run(*collector_of<later>(true), post("[")).answer.starts_with("400 "));
  CHECK(run(*collector_of<accept>(true), post(R"({"id":"a"})")).results == R"({"id":"a","count":1})");
}
