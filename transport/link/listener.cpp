#include "transport/link/asio_link.hpp"
#include "transport/link/io_core.hpp"
#include "transport/link/socket_link.hpp"
#include "transport/link/socket_setup.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <list>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_map>

namespace sluice::link {

namespace {

constexpr int accepts_per_turn = 32;                          ///< then open links get their turn
constexpr auto accept_pause = std::chrono::milliseconds{100}; ///< when descriptors have run out

/// The listening socket and what hangs on it. On the io thread, but for its making.
class acceptor : public std::enable_shared_from_this<acceptor>, public stoppable {
public:
  acceptor(std::shared_ptr<io_core> core, listener_options options)
    : core_(std::move(core)), options_(std::move(options)), descriptor_(core_->context()),
      pause_(core_->context()) {}

  void begin(int fd);
  void stop(const failure& why);
  void on_stop(const failure& why) override { stop(why); }

private:
  using link_ptr = std::shared_ptr<socket_link>;

  void wait();
  void on_acceptable();
  bool accept_one();
  void take(int fd);
  result<void> admit(const hello& peer);
  void on_done(socket_link& from, result<connection_ptr> made);
  void forget(socket_link& which);
  void refused(const failure& why);

  std::shared_ptr<io_core> core_;
  listener_options options_;
  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer pause_;
  std::list<link_ptr> handshakes_; ///< oldest first, the refused that linger included
  std::unordered_map<std::string, std::weak_ptr<socket_link>> by_name_;
  bool stopped_ = false;
};

void acceptor::begin(int fd) {
  boost::system::error_code failed;
  descriptor_.assign(fd, failed);
  if (failed) {
    ::close(fd);
    return refused({errc::unavailable, "the listener cannot be watched: " + failed.message()});
  }
  if (!core_->add(*this))
    return stop({errc::shutting_down, "this process is shutting down"});
  wait();
}

void acceptor::stop(const failure& why) {
  if (std::exchange(stopped_, true))
    return;
  auto shared = shared_from_this();
  core_->remove(*this);
  boost::system::error_code ignored;
  descriptor_.close(ignored);
  pause_.cancel();
  for (const auto& pending : std::exchange(handshakes_, {}))
    pending->abort(why);
  options_.on_connection = nullptr;
  options_.admit = nullptr;
  options_.on_join = nullptr;
  options_.on_refused = nullptr;
}

void acceptor::wait() {
  descriptor_.async_wait(descriptor_.wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error)
                             self->on_acceptable();
                         });
}

void acceptor::on_acceptable() {
  for (int i = 0; i < accepts_per_turn; ++i) {
    if (stopped_)
      return;
    if (!accept_one())
      break;
  }
  if (!stopped_ && pause_.expiry() <= std::chrono::steady_clock::now())
    wait();
}

/// Returns true when there may be another.
bool acceptor::accept_one() {
  int fd = ::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    take(fd);
    return true;
  }
  if (errno == EAGAIN)
    return false;
  if (errno == ECONNABORTED || errno == EINTR)
    return true; // the one that was waiting has gone
  // The socket stays readable, so waiting for that would spin. Make room, come back.
  refused({errc::exhausted, std::string{"cannot accept: "} + std::strerror(errno)});
  if (!handshakes_.empty())
    link_ptr { handshakes_.front() } -> abort({errc::exhausted, "no descriptors are left"});
  pause_.expires_after(accept_pause);
  pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->stopped_)
      self->wait();
  });
  return false;
}

void acceptor::take(int fd) {
  bool is_unix = !options_.at.path.empty();
  if (is_unix) {
    if (auto same = check_same_user(fd); !same) {
      ::close(fd);
      return refused(same.error());
    }
  } else {
    set_tcp_options(fd, options_.link.timing.silence_timeout);
  }
  socket_link::setup with{.core = core_,
                          .fd = fd,
                          .side = link_side::server,
                          .options = options_.link,
                          .tls = nullptr,
                          .began = std::chrono::steady_clock::now()};
  if (options_.link.tls) {
    auto tls = tls_session::make(*options_.link.tls, link_side::server, options_.on_join != nullptr);
    if (!tls) {
      ::close(fd);
      return refused(tls.error());
    }
    with.tls = std::move(*tls);
    with.on_join = options_.on_join;
  }
  std::weak_ptr<acceptor> weak = weak_from_this();
  with.admit = [weak](socket_link&, const hello& peer) -> result<void> {
    auto self = weak.lock();
    return self ? self->admit(peer) : fail(errc::shutting_down, "the listener has stopped");
  };
  with.done = [weak](socket_link& from, result<connection_ptr> made) {
    if (auto self = weak.lock())
      self->on_done(from, std::move(made));
  };
  with.on_down = [weak](socket_link& from) {
    if (auto self = weak.lock())
      self->forget(from);
  };
  if (handshakes_.size() >= std::max<std::size_t>(options_.handshakes_max, 1))
    link_ptr {
      handshakes_.front()
      } -> abort({errc::overloaded, "too many connections wait for their hello"});
  handshakes_.push_back(std::make_shared<socket_link>(std::move(with)));
  link_ptr { handshakes_.back() } -> begin();
}

/// Asks the owner, then sees to it that there is one link per name.
result<void> acceptor::admit(const hello& peer) {
  if (options_.admit)
    if (auto admitted = options_.admit(peer); !admitted)
      return admitted;
  auto found = by_name_.find(peer.name);
  auto old = found == by_name_.end() ? nullptr : found->second.lock();
  if (!old || old->closed())
    return {};
  bool same = old->peer().started == peer.started;
  if (judge_duplicate(same, old->silent_for()) == duplicate_verdict::refuse_new)
    return fail(errc::conflict, "'" + peer.name
                                  + "' is linked already, from another process: two processes "
                                    "share one state directory or a copy of it");
  old->close({errc::conflict, "'" + peer.name + "' has made a new link"});
  return {};
}

void acceptor::on_done(socket_link& from, result<connection_ptr> made) {
  if (!made)
    return refused(made.error());
  std::erase_if(by_name_, [](const auto& entry) { return entry.second.expired(); });
  by_name_[from.peer().name] = from.weak_from_this();
  forget(from);
  if (options_.on_connection)
    options_.on_connection(std::move(*made));
}

void acceptor::forget(socket_link& which) {
  handshakes_.remove_if([&](const link_ptr& pending) { return pending.get() == &which; });
}

void acceptor::refused(const failure& why) {
  if (options_.on_refused)
    options_.on_refused(why);
}

class socket_listener final : public listener {
public:
  socket_listener(std::shared_ptr<io_core> core, std::shared_ptr<acceptor> accepts, std::uint16_t port,
                  std::string path)
    : core_(std::move(core)), accepts_(std::move(accepts)), port_(port), path_(std::move(path)) {}

  /// No callback runs once this has returned.
  ~socket_listener() override {
    failure why{errc::shutting_down, "the listener has stopped"};
    if (core_->on_thread()) {
      accepts_->stop(why);
    } else {
      auto stopped = std::make_shared<std::promise<void>>();
      if (core_->post([accepts = accepts_, stopped, why] {
            accepts->stop(why);
            stopped->set_value();
          }))
        stopped->get_future().wait();
    }
    if (!path_.empty())
      ::unlink(path_.c_str());
  }

  std::uint16_t port() const noexcept override { return port_; }

private:
  std::shared_ptr<io_core> core_;
  std::shared_ptr<acceptor> accepts_;
  std::uint16_t port_;
  std::string path_;
};

} // namespace

result<std::unique_ptr<listener>> listen(const io_thread& io, listener_options options) {
  if (options.link.tls && options.link.self.cluster_id.empty())
    return fail(errc::invalid_argument, "a link with TLS needs a cluster id");
  auto path = options.at.path;
  auto fd = path.empty() ? open_tcp_listener(options.at.host, options.at.port, options.link.tls == nullptr)
                         : open_unix_listener(path);
  if (!fd)
    return fail(fd);
  auto port = path.empty() ? bound_port(*fd) : std::uint16_t{0};
  auto accepts = std::make_shared<acceptor>(io.core(), std::move(options));
  if (!io.core()->post([accepts, fd = *fd] { accepts->begin(fd); })) {
    ::close(*fd);
    return fail(errc::shutting_down, "this process is shutting down");
  }
  return std::make_unique<socket_listener>(io.core(), std::move(accepts), port, std::move(path));
}

} // namespace sluice::link
