#include "transport/process/supervisor.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <csignal>
#include <sys/wait.h>

namespace sluice::process {

namespace asio = boost::asio;

struct supervisor::entry {
  entry(asio::io_context& io, child&& started, std::function<void(const exit_status&)> on_exited)
    : pid(started.pid), pidfd(io, started.pidfd.release()), exited(std::move(on_exited)) {}

  pid_t pid;
  asio::posix::stream_descriptor pidfd;
  std::function<void(const exit_status&)> exited;
};

supervisor::supervisor(std::chrono::milliseconds interval, std::function<void()> on_tick)
  : guard_(io_.get_executor()), interval_(interval), on_tick_(std::move(on_tick)),
    watch_(group_watch::start()), thread_([this] {
      if (on_tick_)
        wait_for_tick();
      io_.run();
    }) {}

supervisor::~supervisor() {
  asio::post(io_, [this] { stop(); });
  thread_.join();
}

void supervisor::start(std::uint64_t key, order what) {
  auto shared = std::make_shared<order>(std::move(what));
  asio::post(io_, [this, key, shared] { start_now(key, *shared); });
}

void supervisor::signal(std::uint64_t key, int number) {
  asio::post(io_, [this, key, number] {
    if (auto found = children_.find(key); found != children_.end())
      ::kill(found->second->pid, number); // not reaped yet, so the id is still its own
  });
}

void supervisor::start_now(std::uint64_t key, order& what) {
  if (stopping_) {
    what.on_started(fail(errc::shutting_down, "this node stops"));
    return;
  }
  auto started = spawn(what.options);
  what.owned.clear();
  if (!started) {
    what.on_started(fail(started));
    return;
  }
  const auto pid = started->pid;
  if (watch_)
    watch_->add(pid);
  auto& fresh =
    *children_.emplace(key, std::make_unique<entry>(io_, std::move(*started), std::move(what.on_exited)))
       .first->second;
  what.on_started(pid);
  fresh.pidfd.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, key](const boost::system::error_code& error) {
                           if (!error)
                             reap(key);
                         });
}

void supervisor::reap(std::uint64_t key) {
  auto found = children_.find(key);
  if (found == children_.end())
    return;
  auto gone = std::move(found->second);
  children_.erase(found);
  ::kill(-gone->pid, SIGKILL); // what it started itself; its group keeps its id until it is reaped
  if (watch_)
    watch_->remove(gone->pid);
  int status = 0;
  pid_t got;
  do
    got = ::waitpid(gone->pid, &status, 0);
  while (got < 0 && errno == EINTR);
  exit_status how;
  if (got == gone->pid && WIFSIGNALED(status))
    how.signal = WTERMSIG(status);
  else if (got == gone->pid)
    how.exit_code = WEXITSTATUS(status);
  gone->exited(how);
  if (stopping_ && children_.empty())
    guard_.reset();
}

void supervisor::wait_for_tick() {
  ticks_.expires_after(interval_);
  ticks_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled || stopping_)
      return;
    on_tick_();
    wait_for_tick();
  });
}

void supervisor::stop() {
  stopping_ = true;
  ticks_.cancel();
  for (auto& [key, each] : children_)
    ::kill(each->pid, SIGKILL);
  if (children_.empty())
    guard_.reset();
}

} // namespace sluice::process
