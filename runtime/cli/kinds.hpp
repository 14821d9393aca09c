#pragma once

#include "runtime/cli/table.hpp"
#include "proto/sluice/control/v1/control.pb.h"

#include <sluice/core/result.hpp>

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

/// The id that was meant: the typed one, or the only one that begins so. Where none does it is as typed: whoever is asked
/// for it says that there is none. Fails with `invalid_argument`, naming them, where several begin so.
result<std::string> whole_id(const kind& what, const api::SnapshotReply& snapshot, const std::string& typed);

/// "GET /orders/{id}"
std::string route_text(const api::HttpSpec& http);

} // namespace sluice::cli
