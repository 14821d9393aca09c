#pragma once

#include "actors/queue/queue_protocol.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A queue in memory for tests of those who use one: shared with the test, which
/// looks into it and makes it fail. Failed records are ready again at once; leases end
/// only when the test says so.
struct fake_queue {
  struct entry {
    std::uint64_t seq = 0;
    std::uint32_t attempts = 0;
    std::string payload;
    std::optional<queue::owner_id> owner;
  };
  struct letter {
    std::string payload;
    std::string error;
    std::uint32_t attempts = 0;
  };

  std::map<std::string, std::deque<entry>> queues;
  std::map<std::string, std::uint64_t> last_seq;
  std::map<std::string, std::string> cursors;
  std::vector<letter> letters;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>
    producers; ///< highest number, its fingerprint
  std::uint64_t epoch = 1;

  std::size_t leases = 0;
  std::size_t commits = 0;
  std::size_t appends = 0;
  std::size_t renewals = 0;
  std::vector<queue::release_request> releases;
  std::vector<std::size_t> commit_sizes;

  /// What becomes of the next requests: refused before, or the answer lost after they were
  /// done. The front is used up; empty = all is well.
  enum class fault : std::uint8_t { none, refuse, lose_answer };
  std::deque<fault> lease_faults;
  std::deque<fault> commit_faults;
  std::deque<fault> append_faults;
  errc fault_code = errc::unavailable;
  std::uint32_t lease_count_cap = 100000;

  void put(const std::string& name, std::string payload) {
    queues[name].push_back({++last_seq[name], 0, std::move(payload), std::nullopt});
  }

  std::vector<std::string> payloads(const std::string& name) const {
    std::vector<std::string> out;
    if (auto found = queues.find(name); found != queues.end()) {
      for (const auto& each : found->second)
        out.push_back(each.payload);
    }
    return out;
  }

  std::size_t leased_count(const std::string& name) {
    std::size_t count = 0;
    for (const auto& each : queues[name])
      count += each.owner ? 1 : 0;
    return count;
  }

  /// As if every lease had run out.
  void expire_leases() {
    for (auto& [name, all] : queues) {
      for (auto& each : all)
        each.owner.reset();
    }
  }

  result<queue::append_reply> append(const queue::append_request& request) {
    ++appends;
    auto& [last, fingerprint] = producers[request.producer];
    if (request.producer_seq != 0 && request.producer_seq <= last) {
      if (request.fingerprint != fingerprint)
        return fail(errc::conflict, "used for another request");
      return queue::append_reply{request.records.count()};
    }
    last = std::max(last, request.producer_seq);
    fingerprint = request.fingerprint;
    for (auto record : request.records)
      put(request.queue.value, std::string{record.payload});
    return queue::append_reply{request.records.count()};
  }

  queue::lease_reply lease(const queue::lease_request& request) {
    ++leases;
    record_block_builder found;
    bool is_held = false;
    for (auto& each : queues[request.queue.value]) {
      is_held = is_held || each.owner;
      if (found.count() >= std::min(request.count_max, lease_count_cap))
        break;
      if (each.owner)
        continue;
      each.owner = request.owner;
      found.add(each.seq, each.attempts, each.payload);
    }
    return {epoch, found.finish(), found.count() == 0 && is_held};
  }

  result<queue::commit_reply> commit(const queue::commit_request& request) {
    ++commits;
    commit_sizes.push_back(request.acks.size() + request.nacks.size());
    if (request.cursor && !request.queue.empty()) {
      for (auto seq : request.acks) {
        auto& all = queues[request.queue.value];
        auto held = std::find_if(all.begin(), all.end(), [&](const entry& e) { return e.seq == seq; });
        if (held == all.end() || held->owner != request.owner || request.epoch != epoch)
          return fail(errc::conflict, "records are no longer leased");
      }
    }
    if (request.cursor) {
      auto& stored = cursors[request.cursor->key];
      if (stored != request.cursor->expected)
        return fail(errc::stale, "the position has moved");
      stored = request.cursor->next;
    }
    std::set<std::uint64_t> stale;
    auto& source = queues[request.queue.value];
    auto settle = [&](std::uint64_t seq, auto with) {
      auto found = std::find_if(source.begin(), source.end(), [&](const entry& e) { return e.seq == seq; });
      if (found == source.end() || found->owner != request.owner || request.epoch != epoch)
        stale.insert(seq);
      else
        with(found);
    };
    for (auto seq : request.acks)
      settle(seq, [&](auto at) { source.erase(at); });
    for (const auto& why : request.nacks)
      settle(why.seq, [&](auto at) {
        at->owner.reset();
        ++at->attempts;
        if (!why.retry || at->attempts >= request.attempts_max) {
          letters.push_back({at->payload, why.error, at->attempts});
          source.erase(at);
        }
      });
    for (const auto& part : request.results) {
      for (auto record : part.records) {
        if (!stale.contains(record.seq))
          put(part.queue.value, std::string{record.payload});
      }
    }
    for (const auto& each : request.burials)
      letters.push_back({each.payload, each.error, each.attempts});
    return queue::commit_reply{{stale.begin(), stale.end()}};
  }

  std::uint64_t release(const queue::release_request& request) {
    releases.push_back(request);
    std::uint64_t count = 0;
    for (auto& [name, all] : queues) {
      for (auto& each : all) {
        const bool named =
          request.seqs.empty()
          || (name == request.queue.value
              && std::find(request.seqs.begin(), request.seqs.end(), each.seq) != request.seqs.end());
        if (each.owner == request.owner && named) {
          each.owner.reset();
          ++count;
        }
      }
    }
    return count;
  }

  /// Runs `work` as the next fault of `faults` says.
  template <class Reply, class F>
  caf::result<Reply> with_fault(std::deque<fault>& faults, F work) {
    auto what = fault::none;
    if (!faults.empty()) {
      what = faults.front();
      faults.pop_front();
    }
    if (what == fault::refuse)
      return to_caf({fault_code, "the queue is out of reach"});
    result<Reply> done = work();
    if (what == fault::lose_answer)
      return to_caf({fault_code, "the answer was lost"});
    if (!done)
      return to_caf(done.error());
    return std::move(*done);
  }
};

/// Spawns an actor in front of `data`.
inline queue::handle spawn_fake_queue(caf::actor_system& sys, std::shared_ptr<fake_queue> data) {
  // `data` is an argument, not a capture: CAF 0.17 dereferences the argument tuple even where
  // there is none.
  return sys.spawn(
    [](queue::handle::pointer, std::shared_ptr<fake_queue> data) -> queue::handle::behavior_type {
      return {
        [data](const queue::append_request& request) -> caf::result<queue::append_reply> {
          return data->with_fault<queue::append_reply>(data->append_faults,
                                                       [&] { return data->append(request); });
        },
        [data](const queue::lease_request& request) -> caf::result<queue::lease_reply> {
          return data->with_fault<queue::lease_reply>(
            data->lease_faults, [&] { return result<queue::lease_reply>{data->lease(request)}; });
        },
        [data](const queue::commit_request& request) -> caf::result<queue::commit_reply> {
          return data->with_fault<queue::commit_reply>(data->commit_faults,
                                                       [&] { return data->commit(request); });
        },
        [data](const queue::renew_request&) -> caf::result<queue::count_reply> {
          ++data->renewals;
          return queue::count_reply{1};
        },
        [data](const queue::release_request& request) -> caf::result<queue::count_reply> {
          return queue::count_reply{data->release(request)};
        },
        [data](const queue::cursor_request& request) -> caf::result<std::string> {
          return data->cursors[request.key];
        },
      };
    },
    std::move(data));
}

} // namespace sluice::testing
