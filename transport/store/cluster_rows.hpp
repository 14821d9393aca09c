#pragma once

#include "actors/cluster/cluster_store_port.hpp"

#include <sluice/core/result.hpp>

#include <string>
#include <string_view>

/// How the rows of the cluster store are written: one JSON object each. Unknown members are
/// ignored and missing ones take their defaults, so that rows may grow.
namespace sluice::store {

std::string encode(const cluster::stored_node& row);
std::string encode(const cluster::stored_flow& row);
std::string encode(const cluster::stored_version& row);
std::string encode(const cluster::stored_replica& row);
std::string encode(const cluster::stored_answer& row);
std::string encode(const cluster::event_view& row);

/// Reads what `encode` wrote; fails with `corrupt` otherwise.
result<void> decode(std::string_view text, cluster::stored_node& row);
result<void> decode(std::string_view text, cluster::stored_flow& row);
result<void> decode(std::string_view text, cluster::stored_version& row);
result<void> decode(std::string_view text, cluster::stored_replica& row);
result<void> decode(std::string_view text, cluster::stored_answer& row);
result<void> decode(std::string_view text, cluster::event_view& row);

} // namespace sluice::store
