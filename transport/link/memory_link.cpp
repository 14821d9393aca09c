#include "transport/link/memory_link.hpp"

#include "transport/link/frame_codec.hpp"

#include <deque>
#include <mutex>
#include <optional>

namespace sluice::link {

namespace {

std::size_t size_of(const std::vector<frame>& frames) {
  std::size_t bytes = 0;
  for (const auto& f : frames)
    bytes += frame_header_bytes + f.body.size();
  return bytes;
}

/// One direction: batches on their way to one receiver.
class lane {
public:
  explicit lane(std::size_t window_bytes) : window_bytes_(window_bytes) {}

  void start(receiver to) {
    {
      std::lock_guard lock{mutex_};
      to_ = std::move(to);
      started_ = true;
    }
    deliver();
  }

  result<void> send(std::vector<frame> frames) {
    if (auto fine = check_sendable(frames); !fine)
      return fine;
    auto bytes = size_of(frames);
    {
      std::lock_guard lock{mutex_};
      if (end_)
        return fail(errc::unavailable, "the link is closed");
      if (bytes > window_bytes_ || waiting_bytes_ > window_bytes_ - bytes) {
        refused_ = true;
        return fail(errc::overloaded, "the other side takes its frames too slowly");
      }
      waiting_bytes_ += bytes;
      batches_.push_back(std::move(frames));
    }
    deliver();
    return {};
  }

  /// Nothing more is taken; the receiver hears `why` after what was sent before.
  void end(failure why) {
    {
      std::lock_guard lock{mutex_};
      if (end_)
        return;
      end_ = std::move(why);
    }
    deliver();
  }

  /// As `end`, but the receiver hears of nothing else.
  void cut(failure why) {
    {
      std::lock_guard lock{mutex_};
      batches_.clear();
      waiting_bytes_ = 0;
    }
    end(std::move(why));
  }

  /// Who sends on this lane hears when there is room again.
  void set_on_writable(std::function<void()> call) {
    std::lock_guard lock{mutex_};
    on_writable_ = std::move(call);
  }

private:
  void deliver() {
    std::unique_lock lock{mutex_};
    if (!started_ || delivering_ || over_)
      return;
    delivering_ = true;
    while (!batches_.empty()) {
      auto batch = std::move(batches_.front());
      batches_.pop_front();
      lock.unlock();
      auto bytes = size_of(batch);
      if (to_.on_frames)
        to_.on_frames(std::move(batch));
      lock.lock();
      waiting_bytes_ -= std::min(bytes, waiting_bytes_);
      if (refused_ && waiting_bytes_ <= window_bytes_ / 2 && on_writable_) {
        refused_ = false;
        auto call = on_writable_;
        lock.unlock();
        call();
        lock.lock();
      }
    }
    delivering_ = false;
    if (!end_)
      return;
    over_ = true;
    auto to = std::exchange(to_, {});
    on_writable_ = nullptr;
    auto why = *end_;
    lock.unlock();
    if (to.on_closed)
      to.on_closed(std::move(why));
  }

  const std::size_t window_bytes_;
  std::mutex mutex_;
  std::deque<std::vector<frame>> batches_;
  std::size_t waiting_bytes_ = 0;
  receiver to_; ///< once started, touched only by who delivers
  std::function<void()> on_writable_;
  std::optional<failure> end_;
  bool started_ = false;
  bool delivering_ = false;
  bool over_ = false;
  bool refused_ = false;
};

class memory_connection final : public connection {
public:
  memory_connection(hello peer, std::shared_ptr<lane> in, std::shared_ptr<lane> out)
    : peer_(std::move(peer)), in_(std::move(in)), out_(std::move(out)) {}

  ~memory_connection() override {
    out_->end({errc::unavailable, "the peer closed the link"});
    in_->cut({errc::cancelled, "the connection was dropped by its owner"});
  }

  const hello& peer() const override { return peer_; }

  void start(receiver to) override {
    out_->set_on_writable(to.on_writable);
    in_->start(std::move(to));
  }

  result<void> send(std::vector<frame> frames) override { return out_->send(std::move(frames)); }

  void close(failure why) override {
    out_->end(why);
    in_->cut(std::move(why));
  }

private:
  hello peer_;
  std::shared_ptr<lane> in_;
  std::shared_ptr<lane> out_;
};

} // namespace

std::pair<connection_ptr, connection_ptr> make_memory_link_pair(const hello& first_is, const hello& second_is,
                                                                std::size_t window_bytes) {
  auto forth = std::make_shared<lane>(window_bytes);
  auto back = std::make_shared<lane>(window_bytes);
  return {std::make_shared<memory_connection>(second_is, back, forth),
          std::make_shared<memory_connection>(first_is, forth, back)};
}

} // namespace sluice::link
