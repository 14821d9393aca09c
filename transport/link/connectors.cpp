#include "transport/link/asio_link.hpp"
#include "transport/link/io_core.hpp"
#include "transport/link/socket_link.hpp"
#include "transport/link/socket_setup.hpp"
#include "transport/pki/openssl.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::link {

namespace {

using tcp = boost::asio::ip::tcp;
using on_made = std::function<void(result<connection_ptr>)>;

/// One attempt to reach a TCP peer: look-up, connect, then a `socket_link`.
class tcp_attempt : public std::enable_shared_from_this<tcp_attempt>, public stoppable {
public:
  /// `finish` gets the connected socket, or a failure; once, on the io thread.
  using on_socket = std::function<void(result<int> fd)>;

  tcp_attempt(std::shared_ptr<io_core> core, std::string host, std::uint16_t port, bool loopback_only,
              on_socket finish)
    : core_(std::move(core)), host_(std::move(host)), port_(port), loopback_only_(loopback_only),
      finish_(std::move(finish)), resolver_(core_->context()), socket_(core_->context()),
      timer_(core_->context()) {}

  void begin(time_point deadline) {
    if (!core_->add(*this))
      return finish(fail(errc::shutting_down, "this process is shutting down"));
    auto self = shared_from_this();
    timer_.expires_at(deadline);
    timer_.async_wait([self](const boost::system::error_code& cancelled) {
      if (!cancelled)
        self->cancel({errc::timeout, "no connection to " + self->where() + " in time"});
    });
    resolver_.async_resolve(
      host_, std::to_string(port_), tcp::resolver::numeric_service,
      [self](const boost::system::error_code& failed, tcp::resolver::results_type found) {
        self->on_resolved(failed, std::move(found));
      });
  }

  void cancel(const failure& why) {
    boost::system::error_code ignored;
    resolver_.cancel();
    socket_.close(ignored);
    timer_.cancel();
    finish(tl::unexpected{why});
  }

  void on_stop(const failure& why) override { cancel(why); }

private:
  std::string where() const { return host_ + ":" + std::to_string(port_); }

  void on_resolved(const boost::system::error_code& failed, tcp::resolver::results_type found) {
    looked_up_ = true;
    if (!finish_)
      return core_->remove(*this);
    if (failed)
      return give_up("the name cannot be looked up: " + failed.message());
    if (loopback_only_)
      for (const auto& entry : found)
        if (!entry.endpoint().address().is_loopback())
          return cancel({errc::invalid_argument, "a link to " + where() + ", another machine, needs TLS"});
    boost::asio::async_connect(
      socket_, found,
      [self = shared_from_this()](const boost::system::error_code& error, const tcp::endpoint&) {
        if (!self->finish_)
          return;
        if (error)
          return self->give_up(error.message());
        self->timer_.cancel();
        boost::system::error_code lost;
        int fd = self->socket_.release(lost);
        if (lost)
          return self->give_up(lost.message());
        set_close_on_exec(fd);
        self->finish(fd);
      });
  }

  void give_up(const std::string& why) {
    cancel({errc::unavailable, "cannot connect to " + where() + ": " + why});
  }

  void finish(result<int> outcome) {
    if (looked_up_) // else the io thread still owes a call, and must know
      core_->remove(*this);
    if (auto told = std::exchange(finish_, nullptr))
      told(std::move(outcome));
  }

  std::shared_ptr<io_core> core_;
  std::string host_;
  std::uint16_t port_;
  bool loopback_only_;
  on_socket finish_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  boost::asio::steady_timer timer_;
  bool looked_up_ = false;
};

/// What one connector has begun. Io thread only.
struct attempts {
  std::weak_ptr<tcp_attempt> dialling;
  std::weak_ptr<socket_link> greeting;
  bool over = false;
};

using on_fd = std::function<void(result<int>)>;
/// Gets a connected socket. Runs on the io thread and borrows nothing.
using dialler = std::function<void(attempts&, time_point deadline, on_fd)>;

/// Says hello on a connected socket.
void greet(const std::shared_ptr<io_core>& core, attempts& begun, const link_options& options, link_side side,
           time_point began, int fd, on_made done) {
  socket_link::setup with{
    .core = core, .fd = fd, .side = side, .options = options, .tls = nullptr, .began = began};
  if (options.tls) {
    auto tls = tls_session::make(*options.tls, side, false);
    if (!tls) {
      ::close(fd);
      return done(fail(tls));
    }
    with.tls = std::move(*tls);
  }
  with.done = [done = std::move(done)](socket_link&, result<connection_ptr> made) { done(std::move(made)); };
  auto link = std::make_shared<socket_link>(std::move(with));
  begun.greeting = link;
  link->begin();
}

/// A way to get a socket, then hello. What it has begun ends with it.
class socket_connector final : public connector {
public:
  socket_connector(std::shared_ptr<io_core> core, link_options options, link_side side, dialler dial)
    : core_(std::move(core)), options_(std::move(options)), side_(side), dial_(std::move(dial)),
      begun_(std::make_shared<attempts>()) {}

  ~socket_connector() override {
    core_->post([begun = begun_] {
      failure why{errc::cancelled, "the attempt to connect was given up"};
      begun->over = true;
      if (auto dialling = begun->dialling.lock())
        dialling->cancel(why);
      auto greeting = begun->greeting.lock();
      if (greeting && !greeting->established())
        greeting->abort(why);
    });
  }

  void connect(on_made done) override {
    auto told = std::make_shared<on_made>(std::move(done));
    if (options_.tls && options_.self.cluster_id.empty())
      return refuse(told, {errc::invalid_argument, "a link with TLS needs a cluster id"});
    auto began = std::chrono::steady_clock::now();
    if (!core_->post([core = core_, begun = begun_, options = options_, side = side_, dial = dial_, began,
                      told] {
          if (begun->over)
            return (*told)(fail(errc::cancelled, "the connector is gone"));
          auto deadline = began + std::chrono::ceil<time_point::duration>(options.timing.handshake_deadline);
          dial(*begun, deadline, [=](result<int> fd) {
            if (!fd)
              return (*told)(fail(fd));
            greet(core, *begun, options, side, began, *fd, *told);
          });
        }))
      (*told)(fail(errc::shutting_down, "this process is shutting down"));
  }

private:
  void refuse(const std::shared_ptr<on_made>& told, failure why) {
    if (!core_->post([told, why] { (*told)(tl::unexpected{why}); }))
      (*told)(tl::unexpected{std::move(why)});
  }

  std::shared_ptr<io_core> core_;
  link_options options_;
  link_side side_;
  dialler dial_;
  std::shared_ptr<attempts> begun_;
};

/// An inherited socket, until the one attempt that uses it.
class held_fd {
public:
  explicit held_fd(int fd) : fd_(fd) {}
  ~held_fd() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  held_fd(const held_fd&) = delete;
  held_fd& operator=(const held_fd&) = delete;
  int take() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

/// The grant must be what the pinned authority signed, whoever passed it on.
result<join_grant> check_grant(result<join_grant> grant, const std::string& ca_fingerprint) {
  if (!grant)
    return grant;
  auto pinned = pki::fingerprint(grant->ca_pem);
  auto ca = pki::parse_certificate(grant->ca_pem);
  auto certificate = pki::parse_certificate(grant->certificate_pem);
  if (!pinned || *pinned != ca_fingerprint || !ca || !certificate
      || X509_verify(certificate->get(), X509_get0_pubkey(ca->get())) != 1)
    return fail(errc::unauthenticated, "the certificate that was granted is not from the pinned authority");
  return grant;
}

std::shared_ptr<tcp_attempt> dial_tcp(const std::shared_ptr<io_core>& core, const std::string& host,
                                      std::uint16_t port, bool loopback_only, duration silence_timeout,
                                      time_point deadline, on_fd then) {
  auto attempt = std::make_shared<tcp_attempt>(core, host, port, loopback_only,
                                               [silence_timeout, then = std::move(then)](result<int> fd) {
                                                 if (fd)
                                                   set_tcp_options(*fd, silence_timeout);
                                                 then(std::move(fd));
                                               });
  attempt->begin(deadline);
  return attempt;
}

} // namespace

std::unique_ptr<connector> make_tcp_connector(const io_thread& io, std::string host, std::uint16_t port,
                                              link_options options) {
  auto dial = [core = io.core(), host = std::move(host), port, plain = options.tls == nullptr,
               silence = options.timing.silence_timeout](attempts& begun, time_point deadline, on_fd then) {
    begun.dialling = dial_tcp(core, host, port, plain, silence, deadline, std::move(then));
  };
  return std::make_unique<socket_connector>(io.core(), std::move(options), link_side::client,
                                            std::move(dial));
}

std::unique_ptr<connector> make_unix_connector(const io_thread& io, std::string path, link_options options) {
  options.tls = nullptr;
  auto dial = [path = std::move(path)](attempts&, time_point, const on_fd& then) {
    auto fd = connect_unix(path);
    if (fd)
      if (auto same = check_same_user(*fd); !same) {
        ::close(*fd);
        fd = fail(same);
      }
    then(std::move(fd));
  };
  return std::make_unique<socket_connector>(io.core(), std::move(options), link_side::client,
                                            std::move(dial));
}

std::unique_ptr<connector> make_fd_connector(const io_thread& io, int fd, fd_end end, link_options options) {
  options.tls = nullptr;
  set_close_on_exec(fd);
  auto held = std::make_shared<held_fd>(fd);
  auto dial = [held](attempts&, time_point, const on_fd& then) {
    int taken = held->take();
    if (taken < 0)
      return then(fail(errc::unavailable, "the inherited socket was used up by an earlier link"));
    then(taken);
  };
  auto side = end == fd_end::parent ? link_side::server : link_side::client;
  return std::make_unique<socket_connector>(io.core(), std::move(options), side, std::move(dial));
}

result<std::pair<int, int>> make_socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(errc::exhausted, std::string{"no socket pair: "} + std::strerror(errno));
  return std::pair{ends[0], ends[1]};
}

void request_join(const io_thread& io, join_target target, join_request request,
                  std::function<void(result<join_grant>)> done, duration deadline) {
  auto told = std::make_shared<std::function<void(result<join_grant>)>>(
    [done = std::move(done), pin = target.ca_fingerprint](result<join_grant> grant) {
      done(check_grant(std::move(grant), pin));
    });
  auto began = std::chrono::steady_clock::now();
  auto begin = [core = io.core(), target, request = std::move(request), told, began, deadline] {
    auto then = [=](result<int> fd) {
      if (!fd)
        return (*told)(fail(fd));
      auto tls = tls_session::make_pinned(target.ca_fingerprint);
      if (!tls) {
        ::close(*fd);
        return (*told)(fail(tls));
      }
      socket_link::setup with{.core = core,
                              .fd = *fd,
                              .side = link_side::client,
                              .options = {},
                              .tls = std::move(*tls),
                              .began = began};
      with.options.timing.handshake_deadline = deadline;
      with.join = request;
      with.on_grant = [told](result<join_grant> grant) { (*told)(std::move(grant)); };
      std::make_shared<socket_link>(std::move(with))->begin();
    };
    dial_tcp(core, target.host, target.port, false, deadline,
             began + std::chrono::ceil<time_point::duration>(deadline), then);
  };
  if (!io.core()->post(std::move(begin)))
    (*told)(fail(errc::shutting_down, "this process is shutting down"));
}

} // namespace sluice::link
