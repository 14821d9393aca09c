#include "transport/http/client.hpp"

#include <sluice/async.hpp>

#include <boost/url/parse.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

// As Debian's library was built; its classes differ without.
#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

namespace sluice::http {

namespace {

using clock = std::chrono::steady_clock;

/// cpp-httplib waits in whole milliseconds, and so may give up a little before the time.
constexpr std::chrono::milliseconds deadline_slack{5};

/// Where a request goes, taken out of its URL.
struct destination {
  std::string origin; ///< "https://host:port"
  std::string target; ///< "/path?query"
};

result<destination> parse_destination(const std::string& text) {
  auto url = boost::urls::parse_uri(text);
  auto wrong = [&](std::string_view rule) {
    return fail(errc::invalid_argument, "http: " + text.substr(0, 200) + ": " + std::string{rule});
  };
  if (!url)
    return wrong("no URL");
  if (url->scheme() != "http" && url->scheme() != "https")
    return wrong("neither http:// nor https://");
  if (url->encoded_host().empty() || url->has_userinfo())
    return wrong("a host is needed, and no user");
  if (!url->port().empty() && url->port_number() == 0)
    return wrong("a port is a number from 1 to 65535");
  destination to;
  to.origin = std::string{url->scheme()} + "://" + std::string{url->encoded_host_and_port()};
  to.target = std::string{url->encoded_path()};
  if (to.target.empty())
    to.target = "/";
  if (url->has_query())
    to.target.append("?").append(std::string_view{url->encoded_query()});
  return to;
}

/// "localhost:8000", with the port that the scheme stands for if the URL names none.
std::string server_of(const std::string& text) {
  auto url = boost::urls::parse_uri(text);
  if (!url)
    return text.substr(0, 200);
  auto server = std::string{url->encoded_host()};
  const auto port = std::string{url->port()};
  return server + ":" + (!port.empty() ? port : url->scheme() == "https" ? "443" : "80");
}

/// cpp-httplib's own words for it are one word each.
std::string sentence_of(httplib::Error error, const std::string& server) {
  switch (error) {
  case httplib::Error::Connection:
    return "no connection to " + server + "; is the name right, is it up, and does it listen there?";
  case httplib::Error::Read:
    return server + " closed the connection before its answer was whole";
  case httplib::Error::Write:
    return server + " closed the connection before the request was sent";
  case httplib::Error::Canceled:
    return "the connection to " + server + " was cut";
  case httplib::Error::SSLConnection:
    return "no TLS connection to " + server + "; does it speak https?";
  case httplib::Error::SSLLoadingCerts:
    return "the certificates that " + server + " is checked with could not be loaded";
  case httplib::Error::SSLServerVerification:
    return "the certificate of " + server + " is not one that is trusted here";
  case httplib::Error::Compression:
    return server + " sent an answer that cannot be decompressed";
  default:
    return "the exchange with " + server + " failed: " + httplib::to_string(error);
  }
}

bool is_one_line(std::string_view text) {
  return text.find_first_of(std::string_view{"\r\n\0", 3}) == text.npos;
}

/// Wakes who stops calls that are over.
class bell {
public:
  void ring() noexcept {
    {
      std::lock_guard lock{mutex_};
      has_rung_ = true;
    }
    rung_.notify_one();
  }
  void wait_until(clock::time_point when) {
    std::unique_lock lock{mutex_};
    rung_.wait_until(lock, when, [&] { return has_rung_; });
    has_rung_ = false;
  }

private:
  std::mutex mutex_;
  std::condition_variable rung_;
  bool has_rung_ = false;
};

/// One call: waits, is sent, ends once.
class job final : public client_call {
public:
  job(client_request what, std::function<void(result<response>)> done, std::shared_ptr<bell> watcher)
    : what_(std::move(what)), done_(std::move(done)),
      deadline_(clock::now() + sluice::detail::bounded_wait(what_.options.timeout)),
      watcher_(std::move(watcher)) {}

  /// Only says so: cpp-httplib's `stop` waits while a connection is being made.
  void cancel() noexcept override {
    is_cancelled_ = true;
    watcher_->ring();
  }

  /// On a thread of the client; returns when the call is over.
  result<response> run();

  /// Of one that has not begun: it was over before.
  result<response> end_unsent() const;

  clock::time_point deadline() const noexcept { return deadline_; }
  /// Nobody waits for it, or not any more.
  bool is_over(clock::time_point now) const noexcept { return is_cancelled_ || now >= deadline_; }
  /// Cuts its connection, if it has one. May block until one is made.
  void stop() {
    std::lock_guard lock{mutex_};
    if (active_ != nullptr)
      active_->stop();
  }

  std::function<void(result<response>)> take_done() { return std::exchange(done_, nullptr); }

private:
  bool is_cancelled() const noexcept { return is_cancelled_; }
  /// False if it was cancelled before.
  bool set_active(httplib::Client* client) {
    std::lock_guard lock{mutex_};
    active_ = client;
    return !is_cancelled();
  }
  result<httplib::Request> make_request(const destination& to);
  result<response> end(httplib::Error error, httplib::Response& got) const;

  client_request what_;
  std::function<void(result<response>)> done_;
  clock::time_point deadline_;
  std::string body_;
  bool is_too_long_ = false;
  const std::shared_ptr<bell> watcher_;
  std::atomic<bool> is_cancelled_{false};
  std::mutex mutex_;
  httplib::Client* active_ = nullptr;
};

result<httplib::Request> job::make_request(const destination& to) {
  httplib::Request request;
  request.method = to_string(what_.method);
  request.path = to.target;
  request.body = std::move(what_.body);
  for (const auto& [name, value] : what_.options.headers) {
    if (!is_one_line(name) || !is_one_line(value))
      return fail(errc::invalid_argument, "http: a header field of more than one line");
    request.headers.emplace(name, value);
  }
  if (!request.has_header("Accept-Encoding"))
    request.headers.emplace("Accept-Encoding", "identity");
  request.content_receiver = [this](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    is_too_long_ = body_.size() + size > what_.options.body_bytes_max;
    if (is_too_long_ || is_over(clock::now()))
      return false;
    body_.append(data, size);
    return true;
  };
  return request;
}

result<response> job::end(httplib::Error error, httplib::Response& got) const {
  auto to = what_.url.substr(0, 200);
  if (error == httplib::Error::Success) {
    response answer;
    answer.status = static_cast<unsigned>(got.status);
    for (auto& [name, value] : got.headers)
      answer.headers.add(name, value);
    return answer;
  }
  if (is_cancelled())
    return fail(errc::cancelled, "http: " + to + ": cancelled");
  if (is_too_long_)
    return fail(errc::overloaded, "http: " + to + ": the answer is longer than "
                                    + std::to_string(what_.options.body_bytes_max) + " bytes");
  if (clock::now() + deadline_slack >= deadline_ || error == httplib::Error::ConnectionTimeout)
    return fail(errc::timeout, "http: " + to + ": no answer within "
                                 + std::to_string(what_.options.timeout.count()) + " ms");
  return fail(errc::unavailable, "http: " + to + ": " + sentence_of(error, server_of(what_.url)));
}

result<response> job::end_unsent() const {
  const auto to = what_.url.substr(0, 200);
  if (is_cancelled())
    return fail(errc::cancelled, "http: " + to + ": cancelled");
  return fail(errc::timeout, "http: " + to + ": not sent within "
                               + std::to_string(what_.options.timeout.count()) + " ms; at most "
                               + std::to_string(client_calls_max)
                               + " calls of a process are under way at a time, further ones wait");
}

result<response> job::run() {
  auto to = parse_destination(what_.url);
  if (!to)
    return fail(to);
  auto request = make_request(*to);
  if (!request)
    return fail(request);
  auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline_ - clock::now());
  httplib::Response got;
  if (left.count() <= 0)
    return end_unsent();
  httplib::Client client{to->origin};
  client.set_connection_timeout(left);
  client.set_read_timeout(left);
  client.set_write_timeout(left);
  client.set_decompress(false);
  client.set_url_encode(false);
  httplib::Error error = httplib::Error::Canceled;
  if (set_active(&client)) {
    error =
      httplib::Error::Success; // cpp-httplib leaves any other one as it is if the host's name is unknown
    client.send(*request, got, error);
  }
  set_active(nullptr);
  auto answer = end(error, got);
  if (answer)
    answer->body = std::move(body_);
  return answer;
}

class client final : public client_port {
public:
  explicit client(thread_starter start_thread) : shared_(std::make_shared<shared>()) {
    shared_->start_thread = std::move(start_thread);
  }

  ~client() override {
    std::lock_guard lock{shared_->mutex};
    for (auto& waiting : shared_->waiting)
      waiting->cancel();
    for (auto& one : shared_->running)
      one->cancel();
  }

  result<std::shared_ptr<client_call>> start(client_request what,
                                             std::function<void(result<response>)> done) override {
    auto made = std::make_shared<job>(std::move(what), std::move(done), shared_->watcher);
    std::unique_lock lock{shared_->mutex};
    if (shared_->waiting.size() >= client_calls_waiting_max)
      return fail(errc::overloaded, "http: too many calls wait for others to end");
    shared_->waiting.push_back(made);
    const bool needs_watcher = !std::exchange(shared_->is_watched, true);
    const bool needs_thread = shared_->thread_count < client_calls_max;
    shared_->thread_count += needs_thread ? 1 : 0;
    lock.unlock();
    start_threads(needs_watcher, needs_thread, made);
    if (!needs_thread)
      shared_->watcher->ring(); // there is a deadline more
    return made;
  }

private:
  struct shared {
    thread_starter start_thread;
    const std::shared_ptr<bell> watcher = std::make_shared<bell>();
    std::mutex mutex;
    std::deque<std::shared_ptr<job>> waiting;
    std::set<std::shared_ptr<job>> running;
    std::size_t thread_count = 0;
    bool is_watched = false;
    std::mutex done_mutex; ///< one `done` at a time

    void work();
    void watch();
    std::vector<std::shared_ptr<job>> take_over(clock::time_point now);
    void end(const std::shared_ptr<job>& one, result<response> got);
  };

  /// If a thread cannot be had, the call that wanted it was never there.
  void start_threads(bool needs_watcher, bool needs_thread, const std::shared_ptr<job>& wanted_by) {
    try {
      if (needs_thread) {
        shared_->start_thread([mine = shared_] { mine->work(); });
        needs_thread = false;
      }
      if (needs_watcher)
        shared_->start_thread([mine = shared_] { mine->watch(); });
    } catch (...) {
      std::lock_guard lock{shared_->mutex};
      shared_->thread_count -= needs_thread ? 1 : 0;
      shared_->is_watched = shared_->is_watched && !needs_watcher;
      std::erase(shared_->waiting, wanted_by);
      wanted_by->cancel();
      throw;
    }
  }

  std::shared_ptr<shared> shared_;
};

void client::shared::end(const std::shared_ptr<job>& one, result<response> got) {
  std::lock_guard lock{done_mutex};
  auto done = one->take_done();
  done(std::move(got));
  done = nullptr; // what it holds goes before the next one is told
}

void client::shared::work() {
  std::unique_lock lock{mutex};
  while (!waiting.empty()) {
    auto one = std::move(waiting.front());
    waiting.pop_front();
    running.insert(one);
    lock.unlock();
    watcher->ring(); // there is a deadline more
    end(one, one->run());
    lock.lock();
    running.erase(one);
  }
  --thread_count;
  watcher->ring();
}

/// Those that wait and are over.
std::vector<std::shared_ptr<job>> client::shared::take_over(clock::time_point now) {
  std::vector<std::shared_ptr<job>> out;
  std::erase_if(waiting, [&](std::shared_ptr<job>& one) {
    if (!one->is_over(now))
      return false;
    out.push_back(std::move(one));
    return true;
  });
  return out;
}

/// Ends calls that are over, so that no server holds a thread for longer than its call may take, and none waits for one longer than that.
/// As long as calls run.
void client::shared::watch() {
  constexpr std::chrono::milliseconds again{20}; // a call may have been about to connect
  for (;;) {
    std::vector<std::shared_ptr<job>> over;
    std::vector<std::shared_ptr<job>> unsent;
    auto next = clock::time_point::max();
    {
      std::lock_guard lock{mutex};
      if (thread_count == 0) {
        is_watched = false;
        return;
      }
      const auto now = clock::now();
      unsent = take_over(now);
      for (const auto& one : waiting)
        next = std::min(next, one->deadline());
      for (const auto& one : running)
        if (one->is_over(now))
          over.push_back(one);
        else
          next = std::min(next, one->deadline());
    }
    for (const auto& one : unsent)
      end(one, one->end_unsent());
    unsent.clear();
    for (const auto& one : over)
      one->stop();
    watcher->wait_until(over.empty() ? next : clock::now() + again);
  }
}

} // namespace

std::unique_ptr<client_port> make_client(thread_starter start_thread) {
  return std::make_unique<client>(std::move(start_thread));
}

} // namespace sluice::http
