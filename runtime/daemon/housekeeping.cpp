#include "runtime/daemon/housekeeping.hpp"

#include "runtime/daemon/log.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <filesystem>
#include <string>
#include <utility>

namespace sluice::daemon {

namespace {

using tick_atom = caf::atom_constant<caf::atom("tick")>;

} // namespace

caf::actor spawn_periodic(caf::actor_system& sys, std::chrono::milliseconds interval,
                          std::function<void(caf::event_based_actor*)> work) {
  return sys.spawn([interval, work = std::move(work)](caf::event_based_actor* self) -> caf::behavior {
    self->send(self, tick_atom::value);
    return {[self, interval, work](tick_atom) {
      self->delayed_send(self, interval, tick_atom::value);
      work(self);
    }};
  });
}

std::function<void(std::set<artifact_id>)> collect_unused(process::work_thread& where,
                                                          artifact::artifact_store& store) {
  return [&where, &store](std::set<artifact_id> used) {
    where.post([&store, used = std::move(used)] {
      auto gone =
        store.collect_garbage(used, artifact_age_min, std::filesystem::file_time_type::clock::now());
      if (!gone)
        log_line("artifacts", "cannot remove what no flow uses: " + gone.error().message, log_level::warning);
      else if (*gone > 0)
        log_line("artifacts", "removed " + std::to_string(*gone) + " that no flow uses");
    });
  };
}

} // namespace sluice::daemon
