#include "runtime/local_troubles.hpp"

namespace sluice::runtime {

std::vector<std::string> trouble_teller::next(const std::vector<processor_progress>& all,
                                              std::chrono::steady_clock::time_point now) {
  std::vector<std::string> lines;
  for (const auto& one : all) {
    if (one.trouble.empty()) {
      const auto found = told_.find(one.name);
      if (found == told_.end() || now - found->second.seen_at < quiet_min)
        continue;
      told_.erase(found);
      lines.push_back(one.name.value + ": goes on");
      continue;
    }
    auto& of = told_[one.name];
    of.seen_at = now;
    std::erase_if(of.said_at, [&](const auto& each) { return now - each.second >= repeat_every; });
    if (of.said_at.emplace(one.trouble, now).second)
      lines.push_back(one.name.value + ": " + one.trouble + "; it is tried again until it works");
  }
  return lines;
}

} // namespace sluice::runtime
