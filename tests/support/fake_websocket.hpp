#pragma once

#include <sluice/processor/websocket_session.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A client that notes down what it gets: "text hello", "close 1000 bye", "join lobby", "cast lobby hello". It reads
/// nothing until the test says so, if `holds`. Any thread.
class fake_websocket final : public websocket {
public:
  bool send_text(std::string message) noexcept override { return send("text " + message, message.size()); }
  bool send_binary(std::string message) noexcept override {
    return send("binary " + message, message.size());
  }

  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{mutex_};
    return waiting_bytes_;
  }
  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (waiting_bytes_ > window_bytes && !is_closed_) {
        resume_ = std::move(resume);
        changed_.notify_all();
        return;
      }
    }
    resume();
  }
  void taken(std::size_t bytes) noexcept override {
    std::lock_guard lock{mutex_};
    taken_bytes_ += bytes;
    changed_.notify_all();
  }
  void close(std::uint16_t code, std::string_view reason) noexcept override {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      if (std::exchange(is_closed_, true))
        return;
      note("close " + std::to_string(code) + " " + std::string{reason});
      resume.swap(resume_);
    }
    if (resume)
      resume();
  }
  void join(std::string room) noexcept override { note_locked("join " + room); }
  void leave(std::string room) noexcept override { note_locked("leave " + room); }
  void broadcast(room_cast what) noexcept override {
    note_locked((what.to_self ? "cast " : "cast to others ") + what.room + " " + what.payload);
  }

  // For the test.

  /// Reads all that waits.
  void read() {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      waiting_bytes_ = 0;
      resume.swap(resume_);
    }
    if (resume)
      resume();
  }
  /// Goes without a word, what waits unread.
  void vanish() {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      is_closed_ = true;
      resume.swap(resume_);
    }
    if (resume)
      resume();
  }
  /// What it got since the last call.
  std::vector<std::string> take() {
    std::lock_guard lock{mutex_};
    return std::exchange(got_, {});
  }
  /// Blocks until it has got so many; takes them.
  std::vector<std::string> take(std::size_t count) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return got_.size() >= count; });
    return std::exchange(got_, {});
  }
  void wait_until_sender_waits() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return resume_ != nullptr; });
  }
  std::size_t taken_bytes() const {
    std::lock_guard lock{mutex_};
    return taken_bytes_;
  }

  bool holds = false;
  static constexpr std::size_t window_bytes = 256u << 10;

private:
  bool send(std::string text, std::size_t size) {
    std::lock_guard lock{mutex_};
    if (is_closed_)
      return false;
    if (holds)
      waiting_bytes_ += size;
    note(std::move(text));
    return true;
  }
  void note(std::string text) {
    got_.push_back(std::move(text));
    changed_.notify_all();
  }
  void note_locked(std::string text) {
    std::lock_guard lock{mutex_};
    note(std::move(text));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> got_;
  std::size_t waiting_bytes_ = 0;
  std::size_t taken_bytes_ = 0;
  bool is_closed_ = false;
  std::function<void()> resume_;
};

/// A session that notes down what it hears: "open", "text hello", "close 1000 bye". It keeps its way until it is told to
/// `drop`. Any thread.
class fake_session final : public websocket_session {
public:
  void on_open(websocket_ptr to) override {
    std::lock_guard lock{mutex_};
    way_ = std::move(to);
    heard_.emplace_back("open");
    changed_.notify_all();
  }
  void on_message(std::string message, bool is_text) override {
    std::lock_guard lock{mutex_};
    heard_.push_back((is_text ? "text " : "binary ") + message);
    changed_.notify_all();
  }
  void on_close(std::uint16_t code, std::string_view reason) override {
    std::lock_guard lock{mutex_};
    heard_.push_back("close " + std::to_string(code) + " " + std::string{reason});
    changed_.notify_all();
  }

  websocket_ptr way() const {
    std::lock_guard lock{mutex_};
    return way_;
  }
  void drop() {
    websocket_ptr gone;
    std::lock_guard lock{mutex_};
    gone.swap(way_);
  }
  std::vector<std::string> take() {
    std::lock_guard lock{mutex_};
    return std::exchange(heard_, {});
  }
  std::vector<std::string> take(std::size_t count) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return heard_.size() >= count; });
    return std::exchange(heard_, {});
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  websocket_ptr way_;
  std::vector<std::string> heard_;
};

} // namespace sluice::testing
