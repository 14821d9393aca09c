#include "actors/ingress/routing_policy.hpp"

#include <sluice/http/url.hpp>

#include <algorithm>

namespace sluice::ingress {

namespace {

constexpr std::array listed = {method::get,   method::head,    method::post,   method::put,
                               method::patch, method::delete_, method::options};

bool has_parent_segment(std::string_view path) noexcept {
  while (true) {
    const auto end = path.find('/');
    if (path.substr(0, end) == "..")
      return true;
    if (end == std::string_view::npos)
      return false;
    path.remove_prefix(end + 1);
  }
}

} // namespace

// ---- methods ------------------------------------------------------------------------

void method_set::add(method value, bool with_head) noexcept {
  bits_ = static_cast<std::uint8_t>(bits_ | bit(value) | bit(method::options));
  if (value == method::get && with_head)
    bits_ = static_cast<std::uint8_t>(bits_ | bit(method::head));
}

std::string method_set::text() const {
  std::string text;
  for (auto value : listed)
    if (contains(value))
      text.append(text.empty() ? "" : ", ").append(to_string(value));
  return text;
}

// ---- building -----------------------------------------------------------------------

route_matcher::route_matcher() { new_node(); }

route_matcher::route_matcher(std::span<const route_entry> routes) : route_matcher() {
  names_.resize(routes.size());
  for (std::size_t i = 0; i < routes.size(); ++i)
    add(static_cast<std::uint32_t>(i), routes[i]);
}

std::uint32_t route_matcher::new_node() {
  nodes_.emplace_back();
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::uint32_t route_matcher::new_leaf() {
  leaves_.emplace_back().route.fill(none);
  return static_cast<std::uint32_t>(leaves_.size() - 1);
}

std::uint32_t route_matcher::literal_child(std::uint32_t parent, const std::string& text) {
  auto& literals = nodes_[parent].literals;
  auto at = std::ranges::lower_bound(literals, text, {}, &std::pair<std::string, std::uint32_t>::first);
  if (at != literals.end() && at->first == text)
    return at->second;
  const auto child = static_cast<std::uint32_t>(nodes_.size());
  literals.emplace(at, text, child);
  return new_node();
}

void route_matcher::add(std::uint32_t index, const route_entry& route) {
  auto segments = http::parse_route(route.http.route);
  const auto by_method = static_cast<std::size_t>(route.http.method);
  if (!segments || by_method >= methods)
    return;
  std::uint32_t at = 0;
  bool has_rest = false;
  for (const auto& segment : *segments) {
    if (segment.kind != http::segment_kind::literal)
      names_[index].push_back(segment.text);
    if (segment.kind == http::segment_kind::literal) {
      at = literal_child(at, segment.text);
    } else if (segment.kind == http::segment_kind::rest) {
      has_rest = true;
    } else {
      if (nodes_[at].parameter == none) {
        const auto child = new_node();
        nodes_[at].parameter = child;
      }
      at = nodes_[at].parameter;
    }
  }
  auto& end = has_rest ? nodes_[at].rest_leaf : nodes_[at].leaf;
  if (end == none)
    end = new_leaf();
  auto& leaf = leaves_[end];
  if (leaf.route[by_method] != none)
    return;
  leaf.route[by_method] = index;
  leaf.allowed.add(route.http.method, route.kind != pattern::collector);
}

// ---- matching -----------------------------------------------------------------------

/// A walk down the tree and what it has found.
struct route_matcher::search {
  method wanted;
  std::vector<std::string_view> values = {}; ///< of the parameters passed, as sent
  route_match found = {};
};

route_match route_matcher::match(method wanted, std::string_view path) const {
  search at{wanted == method::head ? method::get : wanted};
  if (path.starts_with('/'))
    walk(at, 0, path.substr(1));
  return std::move(at.found);
}

/// Goes on from `from` with what is left of the path, without its leading '/'. Returns true if the search is over.
bool route_matcher::walk(search& at, std::uint32_t from, std::string_view left) const {
  const auto& here = nodes_[from];
  if (left.empty()) {
    if (here.leaf != none && arrive(at, here.leaf, false, {}))
      return true;
  } else {
    const auto end = std::min(left.find('/'), left.size());
    const auto segment = left.substr(0, end);
    const auto after = left.substr(std::min(end + 1, left.size()));
    if (!segment.empty()) {
      if (walk_literal(at, here, segment, after))
        return true;
      if (here.parameter != none) {
        at.values.push_back(segment);
        if (walk(at, here.parameter, after))
          return true;
        at.values.pop_back();
      }
    }
  }
  return here.rest_leaf != none && arrive(at, here.rest_leaf, true, left);
}

bool route_matcher::walk_literal(search& at, const node& from, std::string_view segment,
                                 std::string_view left) const {
  if (from.literals.empty())
    return false;
  auto find = [&](std::string_view text) {
    auto child = std::ranges::lower_bound(from.literals, text, {},
                                          [](const auto& entry) { return std::string_view{entry.first}; });
    return child != from.literals.end() && child->first == text && walk(at, child->second, left);
  };
  if (segment.find('%') == std::string_view::npos)
    return find(segment);
  auto decoded = http::percent_decode(segment);
  return decoded && find(*decoded);
}

bool route_matcher::arrive(search& at, std::uint32_t leaf_index, bool has_rest, std::string_view rest) const {
  const auto& end = leaves_[leaf_index];
  std::optional<std::string> rest_decoded;
  if (has_rest) {
    rest_decoded = http::percent_decode(rest);
    if (rest_decoded && has_parent_segment(*rest_decoded))
      return false;
  }
  at.found.allowed.add(end.allowed);
  const auto by_method = static_cast<std::size_t>(at.wanted);
  if (by_method >= methods || end.route[by_method] == none)
    return false;
  const auto route = end.route[by_method];
  const auto& names = names_[route];
  auto& params = at.found.params;
  params.reserve(names.size());
  for (std::size_t i = 0; i < at.values.size(); ++i) {
    auto value = http::percent_decode(at.values[i]);
    at.found.is_malformed = at.found.is_malformed || !value;
    params.emplace_back(names[i], value ? std::move(*value) : std::string{});
  }
  if (has_rest) {
    at.found.is_malformed = at.found.is_malformed || !rest_decoded;
    params.emplace_back(names.back(), rest_decoded ? std::move(*rest_decoded) : std::string{});
  }
  at.found.route = route;
  return true;
}

} // namespace sluice::ingress
