#pragma once

#include "runtime/cli/table.hpp"
#include "proto/sluice/control/v1/control.pb.h"

#include <google/protobuf/message.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

namespace api = control::v1;

using message_list = std::vector<const google::protobuf::Message*>;

/// One kind of thing the API shows, as `list` and `get` need it.
struct kind {
  std::string_view name;   ///< "node"
  std::string_view plural; ///< "nodes"
  message_list (*all)(const api::SnapshotReply&);
  std::string (*id)(const google::protobuf::Message&); ///< "orders/price" of a processor
  std::vector<column> columns;
  std::vector<cell> (*row)(const google::protobuf::Message&, const api::SnapshotReply&);
  const google::protobuf::Message* prototype; ///< for the names of its fields
};

std::span<const kind> all_kinds();

/// By name or plural; null when there is none.
const kind* find_kind(std::string_view word);

/// "GET /orders/{id}"
std::string route_text(const api::HttpSpec& http);

} // namespace sluice::cli
