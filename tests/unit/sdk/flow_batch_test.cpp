// Goal: a batch is described as any processor is, and what it cannot do is told when the flow is built.
#include <sluice/async.hpp>
#include <sluice/flow.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

using namespace sluice;

namespace {

struct order {
  std::string country;
  double amount = 0;
};
struct sales {
  std::string country;
  double total = 0;
};

sales to_sales(const order& in) { return {in.country, in.amount}; }
void add(sales& into, const sales& next) { into.total += next.total; }
sales plus(sales left, sales right) { return {left.country, left.total + right.total}; }
void drop(const order&) {}
async<sales> to_sales_later(order in) { co_return sales{in.country, in.amount}; }

batch_options fed() { return {.source = io::file("in.csv"), .sink = io::file("out.csv")}; }

std::string mistake(batch_options options) {
  flow f{"f"};
  f.batch<to_sales>("b", std::move(options));
  try {
    (void)f.spec();
  } catch (const flow_error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("a batch is described, with the name of its key, and reads back") {
  flow f{"f"};
  auto options = fed();
  options.max_rejected = 3;
  options.rejected = "bad.jsonl";
  options.split_bytes = 4096;
  options.num_replicas = 2;
  f.batch<to_sales, add, &sales::country>("by-country", options);
  f.batch<to_sales, plus, &sales::total>("by-total",
                                         {.source = io::file("in.csv"), .sink = io::queue("totals")});
  f.batch<drop>("drop", {.source = io::file("in.csv")});
  const auto spec = f.spec();
  const auto& one = spec.processors.at(0);
  CHECK(one.kind == pattern::batch);
  CHECK(one.batch == batch_spec{3, "bad.jsonl", 4096, "country"});
  CHECK(one.max_replicas == 2);
  CHECK(one.min_replicas == 2);
  CHECK(spec.processors.at(1).batch->reduce_by == "total");
  CHECK(spec.processors.at(2).sink.kind == "empty");
  CHECK(flow_spec_from_json(to_json(spec)).value() == spec);
  CHECK(ends_by_itself(spec));
  f.consumer<drop>("more", {.source = io::queue("q")});
  CHECK_FALSE(ends_by_itself(f.spec()));
}

TEST_CASE(
  "many coroutines of a batch run side by side unless it says how many, with or without a reduce step") {
  flow f{"f"};
  batch_options options{.source = io::file("in.csv"), .sink = io::queue("out")};
  f.batch<to_sales>("one", options);
  f.batch<to_sales_later>("many", options);
  f.batch<to_sales_later, add, &sales::country>("reduced", options);
  options.num_concurrency = 3;
  f.batch<to_sales_later>("said", options);
  std::vector<std::uint32_t> counts;
  for (const auto& each : f.spec().processors)
    counts.push_back(each.num_concurrency);
  CHECK(counts == std::vector<std::uint32_t>{1, async_concurrency_default, async_concurrency_default, 3});
}

TEST_CASE("what a batch cannot do is told with the option") {
  CHECK(mistake(fed()).empty());
  auto options = fed();
  options.source = io::pulse(std::chrono::seconds{1});
  CHECK(has(mistake(options), "source: a batch reads a file"));
  options.source = io::queue("q");
  CHECK(mistake(options).empty());
  options.split_bytes = 8u << 20;
  CHECK(has(mistake(options), "split_bytes"));
  options = {.source = io::queue("q"), .sink = io::queue("q")};
  CHECK(has(mistake(options), "sink: must not be the queue that is read"));
  options.sink = io::queue("r");
  CHECK(mistake(options).empty());
  options.max_rejected = 1;
  CHECK(has(mistake(options), "rejected: must name a file"));
  options.rejected = "bad.jsonl";
  CHECK(mistake(options).empty());
  options = fed();
  options.source = io::file("in.csv", {.tail = true});
  CHECK(has(mistake(options), "tail"));
  options = fed();
  options.sink = io::file("in.csv");
  CHECK(has(mistake(options), "sink: must not be the file that is read"));
  options.sink = io::file("./in.csv");
  CHECK(has(mistake(options), "sink: must not be the file that is read"));
  options.sink = {};
  CHECK(has(mistake(options), "sink: is missing"));
  options = fed();
  options.rejected = "./in.csv";
  CHECK(has(mistake(options), "rejected: must be another file"));
  options = fed();
  options.split_bytes = 5;
  CHECK(has(mistake(options), "split_bytes"));
}

TEST_CASE("two batches of a flow do not write one file, and none reads what the other one writes") {
  const auto mistake_of = [](const batch_options& first, const batch_options& second) -> std::string {
    flow f{"f"};
    f.batch<to_sales>("a", first);
    f.batch<to_sales>("b", second);
    try {
      (void)f.spec();
    } catch (const flow_error& e) {
      return e.what();
    }
    return "";
  };
  auto chained = fed();
  chained.source = io::file("./out.csv");
  chained.sink = io::file("more.csv");
  CHECK(has(mistake_of(fed(), chained),
            "processor \"b\": source: out.csv is written by the batch \"a\" of the same flow"));
  auto filling = fed();
  filling.sink = io::queue("mid");
  chained.source = io::queue("mid");
  CHECK(
    has(mistake_of(filling, chained), "processor \"b\": source: queue mid is written by the batch \"a\""));
  chained.source = io::queue("other");
  CHECK(mistake_of(filling, chained).empty());
  auto options = fed();
  options.sink = io::file("./out.csv");
  CHECK(has(mistake_of(fed(), options), "processor \"b\": sink: out.csv is written by processor \"a\""));
  options.sink = io::file("other.csv");
  CHECK(mistake_of(fed(), options).empty()); // they may read one
  options.rejected = "out.csv";
  CHECK(has(mistake_of(fed(), options), "processor \"b\": rejected: out.csv is written by"));
  options = fed();
  options.sink = io::queue("q");
  CHECK(mistake_of(options, options).empty());
}

TEST_CASE("values of one key are merged in place or to a new one, and given in the order of the keys") {
  for (bool in_place : {true, false}) {
    flow f{"f"};
    if (in_place)
      f.batch<to_sales, add, &sales::country>("b", fed());
    else
      f.batch<to_sales, plus, &sales::country>("b", fed());
    auto body = std::get<body_factory>(f.bodies().begin()->second)();
    auto merged = body->make_reduction();
    REQUIRE(merged);
    for (const char* record : {R"({"country":"SE","amount":1})", R"({"country":"NO","amount":2})",
                               R"({"country":"SE","amount":3})"}) {
      REQUIRE(merged->map(record).has_value());
      CHECK(merged->mapped_count() == 1);
      REQUIRE(merged->take_mapped().has_value());
    }
    CHECK(merged->map("{").error().code == errc::invalid_argument);
    REQUIRE(merged->merge(R"({"country":"DK","total":5})").has_value());
    CHECK(merged->key_count() == 3);
    std::string text;
    REQUIRE(merged
              ->write([&](std::string_view value) {
                text += std::string{value} + "\n";
                return result<void>{};
              })
              .has_value());
    CHECK(text
          == "{\"country\":\"DK\",\"total\":5}\n{\"country\":\"NO\",\"total\":2}\n{\"country\":\"SE\","
             "\"total\":4}\n");
    CHECK(merged->key_count() == 0);
  }
}
