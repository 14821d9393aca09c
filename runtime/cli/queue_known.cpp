#include "runtime/cli/queue_known.hpp"

#include "runtime/config/suggest.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/name_rule.hpp>

#include <string_view>
#include <vector>

namespace sluice::cli {

result<void> check_queue_name(const std::string& queue) {
  if (is_valid_name(queue))
    return {};
  return fail(errc::invalid_argument,
              "'" + queue + "' can be no queue: a name has " + std::string{name_rule});
}

result<void> check_queue_known(client::control_client& head, const std::string& queue) {
  if (auto name = check_queue_name(queue); !name)
    return name;
  auto snapshot = head.snapshot(0);
  if (!snapshot)
    return fail(snapshot);
  std::vector<std::string_view> known;
  for (const auto& each : snapshot->queues()) {
    if (each.name() == queue)
      return {};
    known.push_back(each.name());
  }
  return fail(errc::not_found, "there is no queue '" + queue + "'" + config::did_you_mean(queue, known)
                                 + (known.empty() ? "" : "; `sluice queue list` shows those there are"));
}

} // namespace sluice::cli
