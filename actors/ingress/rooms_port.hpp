#pragma once

#include <sluice/core/ids.hpp>

#include <string>

namespace sluice::ingress {

/// A message to the members of a room, on its way between ingresses.
struct room_message {
  flow_name flow;
  processor_name processor;
  std::string room;
  std::string payload; ///< UTF-8 if it is text
  bool is_text = true;
};

/// What the links to other nodes tell of rooms. Any thread, must not block. Implemented by `rooms`.
class rooms_port {
public:
  virtual ~rooms_port() = default;

  /// To all members of this ingress, and no further.
  virtual void deliver(room_message what) = 0;

  /// A message of ours did not get to one of the other nodes, which was out of reach.
  virtual void note_lost(const flow_name& flow, const processor_name& processor) = 0;
};

} // namespace sluice::ingress
