#include "transport/http/answer_gate.hpp"

#include "transport/http/channel.hpp"

#include <sys/uio.h>
#include <utility>

namespace sluice::http {

void answer_gate::open(std::uint64_t call, int fd, bool has_input) {
  std::lock_guard lock{mutex_};
  call_ = call;
  fd_ = fd;
  has_input_ = has_input;
  is_out_ = false;
}

void answer_gate::shut() {
  std::lock_guard lock{mutex_};
  call_ = no_call;
  is_out_ = false;
}

bool answer_gate::note_input() {
  std::lock_guard lock{mutex_};
  has_input_ = true;
  return is_out_;
}

std::size_t answer_gate::write_now(std::uint64_t call, std::span<const iovec> pieces) {
  if (call == no_call || call != call_)
    return 0;
  call_ = no_call;
  const auto sent = channel::write_plain(fd_, pieces);
  if (sent.what != channel::state::ok)
    return 0; // the connection finds out when it tries
  std::size_t all = 0;
  for (const auto& piece : pieces)
    all += piece.iov_len;
  is_out_ = sent.bytes == all;
  return sent.bytes;
}

} // namespace sluice::http
