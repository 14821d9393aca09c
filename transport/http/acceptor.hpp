#pragma once

#include "transport/http/environment.hpp"
#include "transport/http/worker.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <vector>

namespace sluice::http {

/// Takes connections from one listening socket and deals them out to the workers, each to the one
/// that has least. Lives on the first worker's thread.
///
/// When descriptors run short it stops accepting, says so once, has idle connections closed, and
/// looks again every 100 ms; who waits stays in the kernel's backlog. One descriptor is held in
/// reserve, to turn away with 503 who would otherwise wait for nothing.
class acceptor : public std::enable_shared_from_this<acceptor> {
public:
  /// Takes `fd`, a listening, non-blocking socket.
  acceptor(std::shared_ptr<environment> shared, std::vector<std::shared_ptr<worker>> workers, int fd);
  ~acceptor();

  /// Any thread.
  void start();
  /// Any thread, before the first worker stops; returns at once.
  void stop();

private:
  void wait();
  void on_acceptable();
  bool accept_one();
  void take(int fd, const sockaddr_storage& from);
  void turn_away(int fd) const;
  void turn_one_away();
  void pause(std::string_view why);
  void resume();
  bool short_of_descriptors() const;

  std::shared_ptr<environment> shared_;
  std::vector<std::shared_ptr<worker>> workers_;
  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer pause_;
  int reserve_ = -1;
  int descriptor_bound_; ///< a descriptor with this number is one too many
  bool paused_ = false;
  bool stopped_ = false;
};

} // namespace sluice::http
