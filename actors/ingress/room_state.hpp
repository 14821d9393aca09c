#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/limits.hpp>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::ingress {

/// Rooms of one name of two processors have nothing to do with each other.
struct room_key {
  flow_name flow;
  processor_name processor;
  std::string room;

  friend auto operator<=>(const room_key&, const room_key&) = default;
};

/// One WebSocket connection of this ingress.
struct member_id {
  std::uint64_t value = 0;

  friend auto operator<=>(const member_id&, const member_id&) = default;
};

/// Who is in which room. `Way` is how a member is reached: shared, never null. Pure.
template <class Way>
class room_state {
public:
  struct member {
    member_id id;
    Way way;
  };
  using member_list = std::shared_ptr<const std::vector<member>>;

  /// There is such a member from now on.
  void add(member_id id, Way way) { members_.try_emplace(id, entry{std::move(way), {}}); }

  /// It leaves all rooms and is forgotten. Returns its way, to be destroyed elsewhere.
  std::optional<Way> remove(member_id id) {
    auto found = members_.find(id);
    if (found == members_.end())
      return std::nullopt;
    for (const auto& key : found->second.rooms)
      take_out(id, key);
    auto way = std::move(found->second.way);
    members_.erase(found);
    return way;
  }

  /// Returns false if it is not: no such member, a name that is none, or too many rooms.
  bool join(member_id id, const room_key& key) {
    auto found = members_.find(id);
    if (found == members_.end() || key.room.empty() || key.room.size() > limits::room_name_bytes_max)
      return false;
    auto& mine = found->second.rooms;
    if (mine.contains(key))
      return true;
    if (mine.size() >= limits::rooms_per_connection_max)
      return false;
    mine.insert(key);
    auto& room = rooms_[key];
    room.ids.insert(id);
    room.list.reset();
    return true;
  }

  void leave(member_id id, const room_key& key) {
    auto found = members_.find(id);
    if (found != members_.end() && found->second.rooms.erase(key) > 0)
      take_out(id, key);
  }

  /// Everybody in the room, in a list that does not change; null if it is empty. Made once per change.
  member_list members(const room_key& key) {
    auto found = rooms_.find(key);
    if (found == rooms_.end())
      return nullptr;
    auto& room = found->second;
    if (!room.list) {
      auto made = std::make_shared<std::vector<member>>();
      made->reserve(room.ids.size());
      for (auto id : room.ids)
        made->push_back({id, members_.at(id).way});
      room.list = std::move(made);
    }
    return room.list;
  }

  std::size_t member_count() const noexcept { return members_.size(); }
  std::size_t room_count() const noexcept { return rooms_.size(); }

private:
  struct entry {
    Way way;
    std::set<room_key> rooms;
  };
  struct room {
    std::set<member_id> ids;
    member_list list; ///< null = to be made
  };

  void take_out(member_id id, const room_key& key) {
    auto found = rooms_.find(key);
    found->second.ids.erase(id);
    found->second.list.reset();
    if (found->second.ids.empty())
      rooms_.erase(found);
  }

  std::map<member_id, entry> members_;
  std::map<room_key, room> rooms_;
};

} // namespace sluice::ingress
