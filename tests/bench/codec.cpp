// How long a record takes from JSON to a struct and back, beside Boost.JSON code written by
// hand for the same struct, in the same run. Prints JSON.

#include <sluice/codec/codec.hpp>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serializer.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

namespace json = boost::json;

struct order { // the record of the budget: five fields, about 100 bytes
  std::string id;
  double amount;
  std::int64_t customer;
  bool express;
  std::optional<std::string> coupon;
};

struct line {
  std::string sku;
  std::uint32_t count;
  double price;
};

struct basket { // nested, about 700 bytes
  std::string id;
  std::vector<line> lines;
  std::vector<std::string> notes;
};

order make_order() { return {"order-00012345", 1234.56, 9'007'199'254'740'993, true, "SPRING-24"}; }

basket make_basket() {
  basket made{"basket-1", {}, {"left at the door, \"gate 4\"", "gr\xc3\xbc\xc3\x9f Gott"}};
  for (std::uint32_t i = 0; i < 12; ++i)
    made.lines.push_back({"SKU-" + std::to_string(100000 + i), i, 0.99 + i});
  return made;
}

// ---- by hand ---------------------------------------------------------------------------

/// Parser and memory of one thread, reused as a careful program would.
class hand_parser {
public:
  json::value parse(std::string_view text) {
    resource_.release();
    parser_.reset(&resource_);
    parser_.write(text);
    return parser_.release();
  }

private:
  unsigned char buffer_[16384];
  unsigned char temporary_[4096];
  json::monotonic_resource resource_{buffer_};
  json::parser parser_{json::storage_ptr{}, json::parse_options{}, temporary_};
};

template <class T>
T to(const json::value& value);

template <>
order to<order>(const json::value& value) {
  const auto& object = value.as_object();
  order out;
  out.id = object.at("id").as_string();
  out.amount = object.at("amount").to_number<double>();
  out.customer = object.at("customer").to_number<std::int64_t>();
  out.express = object.at("express").as_bool();
  if (auto coupon = object.if_contains("coupon"); coupon != nullptr && !coupon->is_null())
    out.coupon = std::string{coupon->as_string()};
  return out;
}

template <>
basket to<basket>(const json::value& value) {
  const auto& object = value.as_object();
  basket out;
  out.id = object.at("id").as_string();
  for (const auto& item : object.at("lines").as_array()) {
    const auto& fields = item.as_object();
    out.lines.push_back({std::string{fields.at("sku").as_string()},
                         fields.at("count").to_number<std::uint32_t>(),
                         fields.at("price").to_number<double>()});
  }
  for (const auto& note : object.at("notes").as_array())
    out.notes.emplace_back(note.as_string());
  return out;
}

json::value from(const order& in, json::storage_ptr memory) {
  json::object object(std::move(memory));
  object.reserve(5);
  object.emplace("id", in.id);
  object.emplace("amount", in.amount);
  object.emplace("customer", in.customer);
  object.emplace("express", in.express);
  object.emplace("coupon", in.coupon ? json::value(*in.coupon) : json::value(nullptr));
  return object;
}

json::value from(const basket& in, json::storage_ptr memory) {
  json::object object(memory);
  object.reserve(3);
  object.emplace("id", in.id);
  auto& lines = object.emplace("lines", json::array(memory)).first->value().as_array();
  for (const auto& item : in.lines) {
    auto& fields = lines.emplace_back(json::object(memory)).as_object();
    fields.reserve(3);
    fields.emplace("sku", item.sku);
    fields.emplace("count", item.count);
    fields.emplace("price", item.price);
  }
  auto& notes = object.emplace("notes", json::array(memory)).first->value().as_array();
  for (const auto& note : in.notes)
    notes.emplace_back(note);
  return object;
}

template <class T>
void encode_by_hand(const T& in, std::string& out) {
  unsigned char buffer[16384];
  json::monotonic_resource resource{buffer};
  auto value = from(in, &resource);
  json::serializer serializer;
  serializer.reset(&value);
  while (!serializer.done()) {
    char chunk[4096];
    auto piece = serializer.read(chunk, sizeof chunk);
    out.append(piece.data(), piece.size());
  }
}

// ---- measuring -------------------------------------------------------------------------

/// Nanoseconds per call: the best of several rounds, so that a neighbour's work counts least.
template <class Work>
double ns_per_call(Work work) {
  using clock = std::chrono::steady_clock;
  constexpr int calls = 20'000;
  constexpr int rounds = 15;
  double best = 1e18;
  for (int round = 0; round < rounds; ++round) {
    auto begin = clock::now();
    for (int i = 0; i < calls; ++i)
      work();
    std::chrono::duration<double, std::nano> took = clock::now() - begin;
    best = std::min(best, took.count() / calls);
  }
  return best;
}

void keep(const void* value) { asm volatile("" : : "g"(value) : "memory"); }

template <class T>
void measure(const char* name, const T& value, bool is_last) {
  std::string text;
  if (!sluice::codec::encode(value, text)) {
    std::fprintf(stderr, "codec: %s cannot be encoded\n", name);
    std::exit(1);
  }
  auto decode = ns_per_call([&] {
    auto out = sluice::codec::decode<T>(text);
    keep(&out);
  });
  std::string out;
  auto encode = ns_per_call([&] {
    out.clear();
    auto done = sluice::codec::encode(value, out);
    keep(&done);
    keep(out.data());
  });
  auto parser = std::make_unique<hand_parser>();
  auto decode_by_hand = ns_per_call([&] {
    auto made = to<T>(parser->parse(text));
    keep(&made);
  });
  auto hand = ns_per_call([&] {
    out.clear();
    encode_by_hand(value, out);
    keep(out.data());
  });
  std::printf("    {\"record\": \"%s\", \"size_bytes\": %zu, \"decode_ns\": %.0f, \"encode_ns\": %.0f, "
              "\"boost_json_decode_ns\": %.0f, \"boost_json_encode_ns\": %.0f, \"ratio\": %.2f}%s\n",
              name, text.size(), decode, encode, decode_by_hand, hand,
              (decode + encode) / (decode_by_hand + hand), is_last ? "" : ",");
}

} // namespace

int main() {
  std::printf("{\n  \"benchmark\": \"codec\",\n  \"results\": [\n");
  measure("order", make_order(), false);
  measure("basket", make_basket(), true);
  std::printf("  ]\n}\n");
}
