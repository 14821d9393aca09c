// Goal: user code of every allowed shape is called with the decoded record, its results
// come out encoded, and its exceptions as failures that say whether to try again.

#include "tests/support/manual_executor.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/processor/consumer.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

struct order {
  std::string id;
  int count;
};

struct priced {
  std::string id;
  double total;
};

priced by_value(order in) { return {in.id, in.count * 2.0}; }
priced by_reference(const order& in) noexcept { return {in.id, in.count * 2.0}; }
std::optional<priced> some(const order& in) {
  if (in.count == 0)
    return std::nullopt;
  return priced{in.id, 1};
}
std::vector<int> many(const order& in) {
  std::vector<int> all;
  for (int i = 0; i < in.count; ++i)
    all.push_back(i);
  return all;
}
std::vector<double> last_is_nan(const order&) { return {1, 2, std::numeric_limits<double>::quiet_NaN()}; }
double not_finite(const order&) { return std::numeric_limits<double>::quiet_NaN(); }
raw untouched(raw in) { return {"<" + in.data + ">"}; }
std::string text(const std::string& in) { return in + "!"; }
std::vector<std::vector<int>> lists(int in) { return {{in}, {in, in}}; }
void throws(const order&) { throw std::runtime_error{"no such order"}; }
void throws_number(const order&) { throw 7; }
void throws_much(const order&) { throw std::runtime_error{std::string(100'000, 'x')}; }
int calls = 0;
void counts(const order&) { ++calls; }

async<priced> wait_and_price(order in) {
  co_await sluice::sleep(1ms);
  co_return priced{in.id, 2.0 * in.count};
}
async<std::vector<int>> wait_for_many(const order& in) { // refers to the record while it waits
  std::vector<int> all;
  for (int i = 0; i < in.count; ++i) {
    co_await sluice::sleep(1ms);
    all.push_back(i);
  }
  co_return all;
}
async<> wait_and_throw(const order&) {
  co_await sluice::sleep(1ms);
  throw std::runtime_error{"late"};
}
async<> throw_before_waiting(const order& in) {
  if (in.count > 0)
    throw std::runtime_error{"early"};
  co_return;
}
async<int> no_coroutine(const order& in) {
  if (in.count == 0)
    throw std::runtime_error{"not even started"};
  return [](int count) -> async<int> { co_return count; }(in.count);
}

generator<std::string> lazily(order in) {
  for (int i = 0; i < in.count; ++i)
    co_yield in.id + std::to_string(i);
}
generator<int> some_then_throws(const order& in) {
  for (int i = 0; i < in.count; ++i)
    co_yield i;
  throw std::runtime_error{"half-way"};
}
stream<int> over_time(const order& in) { // refers to the record while it waits
  for (int i = 0; i < in.count; ++i) {
    co_await sluice::sleep(1ms);
    co_yield i;
  }
}
stream<int> over_time_then_throws(order in) {
  for (int i = 0; i < in.count; ++i)
    co_yield i;
  co_await sluice::sleep(1ms);
  throw std::runtime_error{"half-way"};
}
stream<double> gives_nan(order) {
  co_yield 1;
  co_yield std::numeric_limits<double>::quiet_NaN();
}

struct counter {
  std::vector<std::string> seen;
  int add = 0;
  void setup() { add = 100; }
  int process(const order& in) {
    seen.push_back(in.id);
    return add + static_cast<int>(seen.size());
  }
  void teardown() { throw std::runtime_error{"cannot stop"}; }
};

struct plain_class {
  std::optional<std::string> process(order in) const noexcept { return in.id; }
};

struct bad_setup {
  void setup() { throw std::runtime_error{"no database"}; }
  void process(raw) {}
};

struct async_class {
  int running = 0;
  async<int> process(order in) {
    ++running;
    co_await sluice::sleep(std::chrono::milliseconds{in.count});
    co_return running--;
  }
};

template <auto Function>
std::unique_ptr<processor_body> body() {
  return processor::consumer_factory<processor::function_target<Function>>(
    std::make_shared<processor::value_factories>())();
}

template <class T>
std::unique_ptr<processor_body> body() {
  return processor::consumer_factory<processor::class_target<T>>(
    std::make_shared<processor::value_factories>())();
}

std::string joined(const encoded_results& out) {
  std::string text;
  for (std::size_t i = 0; i < out.count(); ++i)
    text.append(i == 0 ? "" : " ").append(out[i]);
  return text;
}

/// Results joined by blanks, or the failure.
std::string call(processor_body& body, std::string_view payload) {
  encoded_results out;
  auto done = body.process(payload, out);
  if (done)
    return joined(out);
  CHECK(out.count() == 0);
  return std::string{to_string(done.error().code)} + ": " + done.error().message;
}

constexpr std::string_view three = R"({"id":"x","count":3})";

} // namespace

TEST_CASE("a function takes its record by value or by reference") {
  CHECK(call(*body<by_value>(), three) == R"({"id":"x","total":6})");
  CHECK(call(*body<by_reference>(), three) == R"({"id":"x","total":6})");
  CHECK(call(*body<[](const order& in) { return in.count; }>(), three) == "3");
}

TEST_CASE("the return type says how many results there are") {
  auto counting = body<counts>();
  calls = 0;
  CHECK(call(*counting, three) == "");
  CHECK(calls == 1);
  CHECK(call(*body<some>(), three) == R"({"id":"x","total":1})");
  CHECK(call(*body<some>(), R"({"id":"x","count":0})") == "");
  CHECK(call(*body<many>(), three) == "0 1 2");
  CHECK(call(*body<many>(), R"({"id":"x","count":0})") == "");
  CHECK(call(*body<lists>(), "7") == "[7] [7,7]");
}

TEST_CASE("raw is the record as it is, std::string is a JSON string") {
  CHECK(call(*body<untouched>(), "not json \xff") == "<not json \xff>");
  CHECK(call(*body<untouched>(), "") == "<>");
  CHECK(call(*body<text>(), R"("a\n")") == R"("a\n!")");
  CHECK(call(*body<text>(), "a") == "invalid_argument: value: not valid JSON at byte 0: expected string");
}

TEST_CASE("what does not decode never will") {
  CHECK(call(*body<by_value>(), R"({"id":"x","count":"3"})")
        == "invalid_argument: order.count: expected integer, got string");
  CHECK(call(*body<by_value>(), "")
        == "invalid_argument: order: not valid JSON at byte 0: expected object, got the end of the text");
}

TEST_CASE("an exception is worth another try") {
  CHECK(call(*body<throws>(), three) == "internal: no such order");
  CHECK(call(*body<throws_number>(), three) == "internal: an exception that is no std::exception");
  CHECK(call(*body<throws_much>(), three).size() == 10 + limits::error_text_bytes_max);
}

TEST_CASE("results that cannot be written are none at all") {
  CHECK(call(*body<not_finite>(), three) == "internal: value: JSON has no number for NaN");
  CHECK(call(*body<last_is_nan>(), three) == "internal: value: JSON has no number for NaN");
}

TEST_CASE("a class is made once per body, set up and torn down") {
  auto one = body<counter>();
  CHECK(one->setup());
  CHECK(call(*one, three) == "101");
  CHECK(call(*one, three) == "102");
  auto other = body<counter>();
  CHECK(call(*other, three) == "1"); // its own object, not set up
  auto stopped = one->teardown();
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error() == failure{errc::internal, "cannot stop"});
}

TEST_CASE("setup and teardown are the class's choice") {
  auto made = body<plain_class>();
  CHECK(made->setup());
  CHECK(made->teardown());
  CHECK(call(*made, three) == "\"x\"");
  CHECK(body<bad_setup>()->setup().error() == failure{errc::internal, "no database"});
}

TEST_CASE("a sync body called as async answers at once") {
  manual_executor where;
  encoded_results out;
  auto made = body<by_value>();
  CHECK_FALSE(made->is_async());
  int done_count = 0;
  made->process_async(three, out, where, [&](result<void> done) { done_count += done ? 1 : 0; });
  CHECK(done_count == 1);
  CHECK(joined(out) == R"({"id":"x","total":6})");
}

TEST_CASE("an async body runs on the executor and answers once") {
  manual_executor where;
  encoded_results out;
  auto made = body<wait_and_price>();
  CHECK(made->is_async());
  CHECK_FALSE(made->process(three, out));
  int done_count = 0;
  made->process_async(three, out, where, [&](result<void> done) { done_count += done ? 1 : 0; });
  CHECK(done_count == 0);
  where.advance(1ms);
  CHECK(done_count == 1);
  CHECK(joined(out) == R"({"id":"x","total":6})");
}

TEST_CASE("a record taken by reference lives as long as the coroutine") {
  manual_executor where;
  encoded_results out;
  auto made = body<wait_for_many>();
  bool done = false;
  {
    std::string payload{three};
    made->process_async(payload, out, where, [&](result<void> r) { done = r.has_value(); });
    payload.assign(payload.size(), '#');
  }
  for (int i = 0; i < 3; ++i)
    where.advance(1ms);
  CHECK(done);
  CHECK(joined(out) == "0 1 2");
}

TEST_CASE("failures of async bodies come to done, once, wherever they are thrown") {
  manual_executor where;
  encoded_results out;
  std::vector<std::string> failures;
  auto note = [&](result<void> done) {
    failures.push_back(done ? "none"
                            : std::string{to_string(done.error().code)} + ": " + done.error().message);
  };
  body<wait_and_throw>()->process_async(three, out, where, note);
  where.advance(1ms);
  body<throw_before_waiting>()->process_async(three, out, where, note);
  body<no_coroutine>()->process_async(R"({"id":"x","count":0})", out, where, note);
  body<wait_and_price>()->process_async("[]", out, where, note);
  CHECK(failures
        == std::vector<std::string>{"internal: late", "internal: early", "internal: not even started",
                                    "invalid_argument: order: expected object, got array"});
  body<no_coroutine>()->process_async(three, out, where, note);
  CHECK(failures.back() == "none");
  CHECK(joined(out) == "3");
}

TEST_CASE("several records of an async class wait at the same time") {
  manual_executor where;
  auto made = body<async_class>();
  std::vector<encoded_results> outs(3);
  std::vector<int> order_of_ends;
  for (int i = 0; i < 3; ++i) {
    auto payload = R"({"id":"x","count":)" + std::to_string(3 - i) + "}";
    made->process_async(payload, outs[static_cast<std::size_t>(i)], where,
                        [&, i](result<void>) { order_of_ends.push_back(i); });
  }
  for (int i = 0; i < 3; ++i)
    where.advance(1ms);
  CHECK(order_of_ends == std::vector<int>{2, 1, 0});
  CHECK(joined(outs[2]) == "3");
  CHECK(joined(outs[0]) == "1");
}

TEST_CASE("a generator's values are results, and all of them or none") {
  CHECK(call(*body<lazily>(), three) == R"("x0" "x1" "x2")");
  CHECK(call(*body<lazily>(), R"({"id":"x","count":0})") == "");
  CHECK(call(*body<some_then_throws>(), three) == "internal: half-way");
  CHECK_FALSE(body<lazily>()->is_async());
}

TEST_CASE("a stream's values are results, gathered over time") {
  manual_executor where;
  encoded_results out;
  std::string ended;
  auto note = [&](result<void> done) { ended = done ? "done" : done.error().message; };
  auto made = body<over_time>();
  CHECK(made->is_async());
  {
    std::string payload{three};
    made->process_async(payload, out, where, note);
    payload.assign(payload.size(), '#');
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(ended == "");
    where.advance(1ms);
  }
  CHECK(ended == "done");
  CHECK(joined(out) == "0 1 2");

  out.clear();
  auto throwing = body<over_time_then_throws>();
  throwing->process_async(three, out, where, note);
  where.advance(1ms);
  CHECK(ended == "half-way");
  CHECK(out.count() == 0);
  auto not_finite = body<gives_nan>();
  not_finite->process_async(three, out, where, note);
  CHECK(ended == "value: JSON has no number for NaN");
  CHECK(out.count() == 0);
}
