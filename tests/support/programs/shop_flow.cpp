// Ten endpoints over one small store, of all methods and many types: for a tester that reads `/openapi.json`.
#include <sluice/sluice.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

enum class unit { piece, gram, litre };
struct product {
  std::string id;
  std::string name;
  double price;
  unit per = unit::piece;
  std::vector<std::string> tags;
};
struct draft {
  std::string name;
  double price;
  unit per = unit::piece;
  std::vector<std::string> tags;
};
struct change {
  std::string id;
  std::optional<std::string> name;
  std::optional<double> price;
};
struct key {
  std::string id;
};
struct search {
  std::uint32_t limit = 20;
  std::optional<unit> per;
  std::vector<std::string> tag;
};
struct line {
  std::string id;
  std::uint16_t count = 1;
};
struct basket {
  std::vector<line> lines;
  std::optional<std::chrono::sys_seconds> deliver;
};
struct quote {
  double total;
  std::map<std::string, double> parts;
};

std::mutex mutex;
std::map<std::string, product> shelf;

auto locked(auto work) {
  std::lock_guard lock{mutex};
  return work();
}
product put(product in) {
  return locked([&] {
    if (shelf.size() >= 1000 && !shelf.contains(in.id))
      throw sluice::http_error{507, "the shelf is full"};
    return shelf[in.id] = in;
  });
}
product add(const draft& in) {
  return put({locked([] { return "p" + std::to_string(shelf.size()); }), in.name, in.price, in.per, in.tags});
}
std::optional<product> find(const key& in) {
  return locked([&] { return shelf.contains(in.id) ? std::optional{shelf[in.id]} : std::nullopt; });
}
std::vector<product> list(const search& in) {
  return locked([&] {
    std::vector<product> all;
    for (const auto& entry : shelf)
      if (const auto& each = entry.second;
          all.size() < in.limit && in.per.value_or(each.per) == each.per
          && std::ranges::all_of(in.tag, [&](auto& tag) { return std::ranges::count(each.tags, tag) > 0; }))
        all.push_back(each);
    return all;
  });
}
std::optional<product> patch(const change& in) {
  auto found = find({in.id});
  if (!found)
    return found;
  return put(
    {in.id, in.name.value_or(found->name), in.price.value_or(found->price), found->per, found->tags});
}
void drop(const key& in) {
  locked([&] { return shelf.erase(in.id); });
}
quote price(const basket& in) {
  quote out{};
  for (const auto& each : in.lines) {
    auto found = find({each.id});
    if (!found)
      throw sluice::http_error{404, "there is no \"" + each.id + "\""};
    out.total += out.parts[each.id] += found->price * each.count;
  }
  if (!std::isfinite(out.total))
    throw sluice::http_error{422, "nobody can pay this"};
  return out;
}

int main(int argc, char** argv) {
  using sluice::method;
  sluice::flow flow{"shop"};
  flow.endpoint<list>("list", {.route = "/products"});
  flow.endpoint<add>("add",
                     {.route = "/products", .method = method::post, .errors = {{507, "The shelf is full"}}});
  flow.endpoint<find>("find", {.route = "/products/{id}"});
  flow.endpoint<put>(
    "put", {.route = "/products/{id}", .method = method::put, .errors = {{507, "The shelf is full"}}});
  flow.endpoint<patch>("patch", {.route = "/products/{id}",
                                 .method = method::patch,
                                 .errors = {{404, "There is no such product"}, {507, "The shelf is full"}}});
  flow.endpoint<drop>("remove", {.route = "/products/{id}", .method = method::delete_});
  flow.endpoint<price>("price",
                       {.route = "/quotes",
                        .method = method::post,
                        .errors = {{404, "There is no such product"}, {422, "Nobody can pay this"}}});
  flow.endpoint<[](basket in) { return in; }>("echo", {.route = "/echo", .method = method::post});
  flow.endpoint<[](sluice::raw in) { return sluice::bytes{in.data}; }>(
    "upload", {.route = "/upload", .method = method::post});
  flow.endpoint<[] { return std::string{"ok\n"}; }>("health", {.route = "/health"});
  return sluice::run(flow, argc, argv);
}
