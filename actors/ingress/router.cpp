#include "actors/ingress/router.hpp"

#include "actors/ingress/lane.hpp"

#include <sluice/http/route.hpp>
#include <sluice/http/url.hpp>

#include <utility>

namespace sluice::ingress {

namespace {

constexpr std::size_t path_shown_max = 200;
constexpr std::string_view preflight_seconds = "600"; ///< a browser asks again after

head_decision at_once(response answer) {
  head_decision out;
  out.answer = std::move(answer);
  return out;
}

} // namespace

namespace {

router_options with_rooms(router_options options) {
  if (!options.rooms)
    options.rooms = std::make_shared<rooms>(nullptr);
  return options;
}

} // namespace

/// A table, compiled. Never changed.
struct router::table_view {
  bool is_known = false; ///< somebody has said what routes there are
  route_table table;
  route_matcher matcher;
  std::vector<std::shared_ptr<lane>> lanes; ///< by index in the table, like the next
  std::vector<std::shared_ptr<const std::vector<std::string>>> cors_origins; ///< null = none
  std::vector<std::shared_ptr<const std::string>> names;                     ///< "flow/processor"

  // What was made of it for `page`, by path and flow.
  mutable std::mutex pages_mutex;
  mutable std::map<std::pair<std::string, flow_name>, response> pages;
};

router::router(router_options options)
  : options_(std::make_shared<const router_options>(with_rooms(std::move(options)))), seeds_(options_->seed),
    view_(std::make_shared<const table_view>()) {}

router::~router() { close(); } // what waits holds its lane

std::shared_ptr<const router::table_view> router::view() const {
  std::lock_guard lock{mutex_};
  return view_;
}

void router::set_routes(const route_table& table) {
  std::lock_guard updating{updates_};
  if (is_closed_)
    return;
  auto next = std::make_shared<table_view>();
  next->is_known = true;
  next->table = table;
  next->matcher = route_matcher{next->table.routes};
  std::map<key, std::shared_ptr<lane>> lanes;
  for (const auto& entry : next->table.routes) {
    key name{entry.flow, entry.processor, entry.http.method, entry.http.route};
    auto& place = lanes[name];
    if (auto known = lanes_.find(name); !place && known != lanes_.end())
      place = known->second;
    if (!place)
      place = std::make_shared<lane>(options_, next_random(seeds_));
    place->update(entry);
    next->lanes.push_back(place);
    next->cors_origins.push_back(
      entry.http.cors_origins.empty()
        ? nullptr
        : std::make_shared<const std::vector<std::string>>(entry.http.cors_origins));
    next->names.push_back(
      std::make_shared<const std::string>(entry.flow.value + "/" + entry.processor.value));
  }
  {
    std::lock_guard lock{mutex_};
    view_ = std::move(next);
  }
  for (auto& [name, old] : lanes_)
    if (!lanes.contains(name))
      old->close();
  lanes_ = std::move(lanes);
}

void router::close() {
  std::lock_guard updating{updates_};
  is_closed_ = true;
  for (auto& [name, lane] : lanes_)
    lane->close();
}

bool router::tick() {
  const auto table = view();
  bool somebody_waits = false;
  for (const auto& lane : table->lanes)
    somebody_waits = lane->tick() || somebody_waits;
  return somebody_waits;
}

std::vector<route_statistics> router::statistics() const {
  const auto table = view();
  std::vector<route_statistics> all;
  all.reserve(table->lanes.size());
  for (const auto& lane : table->lanes)
    all.push_back(lane->statistics());
  return all;
}

std::vector<processor_load> router::loads() const {
  std::map<std::pair<flow_name, processor_name>, processor_load> sums;
  for (const auto& route : statistics()) {
    auto& sum = sums[{route.flow, route.processor}];
    sum.flow = route.flow;
    sum.processor = route.processor;
    sum.waiting += route.waiting;
    sum.ongoing += route.in_flight;
    sum.wait_oldest = std::max(sum.wait_oldest, route.wait_oldest);
    for (auto count : route.answered_total)
      sum.answered_total += count;
    sum.client_errors_total += route.answered_total[4];
    sum.server_errors_total += route.answered_total[5] + route.answered_total[0];
    sum.turned_away_total += route.queue_full_total + route.expired_total;
    sum.latency.add(route.latency);
    if (!route.sink_error.empty())
      sum.sink_error = route.sink_error;
  }
  std::vector<processor_load> out;
  out.reserve(sums.size());
  for (auto& [key, sum] : sums) {
    sum.room_messages_lost_total = options_->rooms->lost_total(sum.flow, sum.processor);
    out.push_back(std::move(sum));
  }
  return out;
}

// ---- requests -----------------------------------------------------------------------------

namespace {

response not_yet() {
  auto answer =
    error_response(503, "this node has just started and does not know its routes yet: ask again in a second");
  answer.headers.add("Retry-After", "1");
  return answer;
}

} // namespace

head_decision router::decide(request& head) {
  const auto table = view();
  if (auto made = page(head, *table))
    return at_once(std::move(*made));
  if (!table->is_known) // of a path that may well be there a 404 would be a lie
    return at_once(not_yet());
  auto match = table->matcher.match(head.method, head.path);
  if (!match.route)
    return answer_unmatched(head, *table, match);
  const auto& entry = table->table.routes[*match.route];
  head_decision out;
  out.cors_origins = table->cors_origins[*match.route];
  out.errors = errors_of(entry.kind);
  out.processor = table->names[*match.route];
  if (entry.kind == pattern::collector && head.method == method::head) { // it would store something
    out.answer = error_response(
      405, "a collector is not asked with HEAD; this path takes " + match.allowed.text(), out.errors);
    out.answer->headers.add("Allow", match.allowed.text());
    return out;
  }
  if (match.is_malformed) {
    out.answer = error_response(400, "path: a '%' is not followed by two hex digits", out.errors);
    return out;
  }
  // Looked at first: most routes have no limit, and need no lock here.
  if (auto wait = entry.http.rate_limit > 0 ? table->lanes[*match.route]->limit_rate() : std::nullopt) {
    out.answer =
      error_response(429, *out.processor + " takes no more requests now; try again later", out.errors);
    out.answer->headers.add("Retry-After", std::to_string(wait->count()));
    return out;
  }
  head.params = std::move(match.params);
  out.body_bytes_max = entry.http.body_bytes_max;
  out.websocket = entry.kind == pattern::websocket;
  if (entry.timeout > entry.timeout.zero())
    out.timeout = entry.timeout;
  out.route = table->lanes[*match.route];
  return out;
}

/// The methods of a path that the same origins may use as the route's. A browser keeps what a preflight
/// grants, and asks no more.
method_set router::methods_like(const table_view& table, std::size_t route, std::string_view path) {
  method_set out;
  for (auto each : {method::get, method::post, method::put, method::patch, method::delete_}) {
    const auto other = table.matcher.match(each, path).route;
    if (other && table.cors_origins[*other] && *table.cors_origins[*other] == *table.cors_origins[route])
      out.add(each);
  }
  return out;
}

/// Of a path as a whole: that of collectors, if it has no other routes.
error_form router::form_of_path(const table_view& table, std::string_view path) {
  auto out = error_form::plain;
  for (auto each : {method::get, method::post, method::put, method::patch, method::delete_})
    if (const auto route = table.matcher.match(each, path).route) {
      if (table.table.routes[*route].kind != pattern::collector)
        return error_form::plain;
      out = error_form::collector;
    }
  return out;
}

/// 404, 405 and OPTIONS.
head_decision router::answer_unmatched(const request& head, const table_view& table,
                                       const route_match& match) const {
  if (match.allowed.empty()) {
    if (head.method == method::options && head.path == "*")
      return at_once({204, {}, {}});
    return at_once(
      error_response(404, "no route for the path '" + head.path.substr(0, path_shown_max) + "'"));
  }
  if (head.method != method::options) {
    auto out =
      at_once(error_response(405, "this path takes " + match.allowed.text(), form_of_path(table, head.path)));
    out.answer->headers.add("Allow", match.allowed.text());
    return out;
  }
  auto out = at_once({204, {{"Allow", match.allowed.text()}}, {}});
  // A preflight: what the route of the coming request allows. The server adds who may read.
  auto asked = head.headers.find("Access-Control-Request-Method");
  auto coming = asked ? method_from(*asked) : std::nullopt;
  if (!coming || !head.headers.contains("Origin"))
    return out;
  auto route = table.matcher.match(*coming, head.path).route;
  if (!route || !table.cors_origins[*route])
    return out;
  out.cors_origins = table.cors_origins[*route];
  auto& headers = out.answer->headers;
  headers.add("Access-Control-Allow-Methods", methods_like(table, *route, head.path).text());
  if (auto names = head.headers.find("Access-Control-Request-Headers"))
    headers.add("Access-Control-Allow-Headers", std::string{*names});
  headers.add("Access-Control-Max-Age", std::string{preflight_seconds});
  return out;
}

/// One of the ingress itself, if the path is one's.
std::optional<response> router::page(const request& head, const table_view& table) const {
  if (head.path != http::openapi_path && head.path != http::docs_path)
    return std::nullopt;
  const auto& make = head.path == http::openapi_path ? options_->openapi : options_->docs;
  if (!make)
    return std::nullopt;
  method_set allowed;
  allowed.add(method::get);
  if (!allowed.contains(head.method)) {
    auto answer = error_response(405, "this path takes " + allowed.text());
    answer.headers.add("Allow", allowed.text());
    return answer;
  }
  if (head.method == method::options)
    return response{204, {{"Allow", allowed.text()}}, {}};
  std::optional<flow_name> flow;
  if (auto asked = head.query_field("flow")) {
    flow = flow_name{std::move(*asked)};
    if (std::ranges::find(table.table.routes, *flow, &route_entry::flow) == table.table.routes.end())
      return error_response(404, "no flow of this name has routes");
  }
  std::lock_guard lock{table.pages_mutex};
  auto [place, is_new] = table.pages.try_emplace({head.path, flow.value_or(flow_name{})});
  if (is_new)
    place->second = make(table.table, flow);
  return place->second;
}

void router::handle(exchange_ptr call, std::shared_ptr<const void> route) {
  // What is behind the decision's pointer is only ever what `decide` put there.
  auto place = std::const_pointer_cast<lane>(std::static_pointer_cast<const lane>(std::move(route)));
  if (!place) {
    auto decision = decide(call->in);
    if (decision.answer) {
      call->respond(std::move(*decision.answer));
      return;
    }
    place = std::const_pointer_cast<lane>(std::static_pointer_cast<const lane>(decision.route));
  }
  place->submit(std::move(call));
}

} // namespace sluice::ingress
