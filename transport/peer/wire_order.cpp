#include "transport/peer/wire.hpp"
#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::peer {

namespace pb = sluice::link::v1;
using detail::parse;
using detail::to_enum;
using detail::to_goal;

namespace {

/// Names a document on one link; 0 names none.
std::uint64_t id_of(std::string_view document) {
  return std::max<std::uint64_t>(std::hash<std::string_view>{}(document), 1);
}

/// The route's documentation, from the order itself or from those before it; empty if neither has it.
std::string take_document(const pb::Route& from, documents_known& known, documents_known& named) {
  if (from.openapi_id() == 0)
    return from.openapi();
  auto [place, is_new] = named.try_emplace(from.openapi_id(), from.openapi());
  if (auto before = known.find(from.openapi_id()); is_new && place->second.empty() && before != known.end())
    place->second = std::move(before->second);
  return place->second;
}

void pack(const ingress::route_entry& from, pb::Route& to) {
  to.set_flow(from.flow.value);
  to.set_processor(from.processor.value);
  to.set_kind(static_cast<std::uint32_t>(from.kind));
  to.set_path(from.http.route);
  to.set_method(static_cast<std::uint32_t>(from.http.method));
  to.set_body_bytes_max(from.http.body_bytes_max);
  to.set_max_queued_requests(from.http.max_queued_requests);
  to.set_target_ongoing_requests(from.http.target_ongoing_requests);
  to.set_max_connections(from.http.max_connections);
  to.set_rate_limit(from.http.rate_limit);
  to.set_rate_burst(from.http.rate_burst);
  to.mutable_cors_origins()->Add(from.http.cors_origins.begin(), from.http.cors_origins.end());
  to.set_num_concurrency(from.num_concurrency);
  to.set_timeout_ms(from.timeout.count());
  to.set_output_type(from.output_type);
  to.set_is_draining(from.is_draining);
  to.set_is_failed(from.is_failed);
  for (auto& target : from.targets) {
    auto& out = *to.add_targets();
    out.set_replica(target.replica.value);
    out.set_version(target.version.value);
    out.set_node(target.node.value);
    out.set_address(target.address);
  }
}

ingress::route_entry unpack(const pb::Route& from) {
  ingress::route_entry to;
  to.flow = flow_name{from.flow()};
  to.processor = processor_name{from.processor()};
  to.kind = to_enum(from.kind(), pattern::batch, pattern::endpoint);
  to.http.route = from.path();
  to.http.method = to_enum(from.method(), sluice::method::options, sluice::method::get);
  to.http.body_bytes_max = from.body_bytes_max();
  to.http.max_queued_requests = from.max_queued_requests();
  to.http.target_ongoing_requests = from.target_ongoing_requests();
  to.http.max_connections = from.max_connections();
  to.http.rate_limit = from.rate_limit();
  to.http.rate_burst = from.rate_burst();
  to.http.cors_origins.assign(from.cors_origins().begin(), from.cors_origins().end());
  to.num_concurrency = from.num_concurrency();
  to.timeout = std::chrono::milliseconds{from.timeout_ms()};
  to.output_type = from.output_type();
  to.is_draining = from.is_draining();
  to.is_failed = from.is_failed();
  for (auto& target : from.targets())
    to.targets.push_back({replica_id{target.replica()}, flow_version{target.version()},
                          node_id{target.node()}, target.address(), to.flow});
  return to;
}

} // namespace

std::string encode(const node::desired_state& x) {
  documents_told none;
  return encode(x, none);
}

std::string encode(const node::desired_state& x, documents_told& told) {
  pb::DesiredState out;
  out.set_revision(x.revision);
  for (auto& from : x.flows) {
    auto& to = *out.add_flows();
    to.set_flow(from.flow.value);
    to.set_version(from.version.value);
    to.set_artifact(from.artifact.value);
    to.set_artifact_size_bytes(from.artifact_size_bytes);
    to.mutable_args()->Add(from.args.begin(), from.args.end());
    to.mutable_env()->insert(from.env.begin(), from.env.end());
    to.set_spec_json(to_json(from.spec));
  }
  for (auto& from : x.assignments) {
    auto& to = *out.add_assignments();
    to.set_id(from.id.value);
    to.set_flow(from.flow.value);
    to.set_version(from.version.value);
    to.set_processor(from.processor.value);
    to.set_goal(static_cast<std::uint32_t>(from.goal));
  }
  if (x.routes) {
    documents_told named;
    for (auto& route : x.routes->routes) {
      auto& to = *out.add_routes();
      pack(route, to);
      if (route.http.openapi.empty())
        continue;
      const auto id = id_of(route.http.openapi);
      to.set_openapi_id(id);
      if (named.insert(id).second && !told.contains(id))
        to.set_openapi(route.http.openapi);
    }
    told = std::move(named);
    for (auto& from : x.routes->nodes) {
      auto& to = *out.add_ingresses();
      to.set_node(from.node.value);
      to.set_address(from.address);
    }
  }
  return out.SerializeAsString();
}

result<void> decode(std::string_view bytes, node::desired_state& x) {
  documents_known none;
  return decode(bytes, x, none);
}

result<void> decode(std::string_view bytes, node::desired_state& x, documents_known& known) {
  pb::DesiredState in;
  if (auto ok = parse(bytes, in); !ok)
    return ok;
  x.revision = in.revision();
  for (auto& from : in.flows()) {
    auto& to = x.flows.emplace_back();
    to.flow = flow_name{from.flow()};
    to.version = flow_version{from.version()};
    to.artifact = artifact_id{from.artifact()};
    to.artifact_size_bytes = from.artifact_size_bytes();
    to.args.assign(from.args().begin(), from.args().end());
    to.env.insert(from.env().begin(), from.env().end());
    auto spec = flow_spec_from_json(from.spec_json());
    if (!spec)
      return fail(errc::corrupt, "link: flow " + from.flow() + ": " + spec.error().message);
    to.spec = std::move(*spec);
  }
  for (auto& from : in.assignments())
    x.assignments.push_back({replica_id{from.id()}, flow_name{from.flow()}, flow_version{from.version()},
                             processor_name{from.processor()}, to_goal(from.goal())});
  if (in.routes_size() > 0) {
    auto table = std::make_shared<ingress::route_table>();
    documents_known named;
    for (auto& route : in.routes()) {
      auto document = take_document(route, known, named);
      if (route.method() > static_cast<std::uint32_t>(sluice::method::options)) // of a newer neighbour
        continue;
      table->routes.push_back(unpack(route));
      table->routes.back().http.openapi = std::move(document);
    }
    known = std::move(named);
    for (auto& node : in.ingresses())
      table->nodes.push_back({node_id{node.node()}, node.address()});
    x.routes = std::move(table);
  }
  return {};
}

} // namespace sluice::peer
