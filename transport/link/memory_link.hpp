#pragma once

#include "transport/link/link.hpp"

#include <sluice/core/limits.hpp>

#include <utility>

namespace sluice::link {

/// Links two parts of one process: local mode, and tests. Frames are moved, never
/// encoded; there are no pings, as neither side can vanish without the other.
///
/// There is no thread: a receiver runs on the thread of whoever sends, and one at a
/// time. A send from inside a receiver, or while another thread delivers, only queues;
/// who delivers then delivers that too. So answers do not recurse, and a receiver must
/// not wait for its own sends to arrive.
///
/// `first` sees `second_is` as its peer and the other way round. Dropping one end
/// closes the other with `unavailable`.
std::pair<connection_ptr, connection_ptr>
make_memory_link_pair(const hello& first_is, const hello& second_is,
                      std::size_t window_bytes = limits::link_window_bytes);

} // namespace sluice::link
