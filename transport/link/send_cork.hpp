#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace sluice::link {

/// What a thread has to write when its cork is pulled.
class corked {
public:
  virtual ~corked() = default;
  /// On the thread of the cork.
  virtual void pull() = 0;
};

/// While one is on a thread, frames that this thread sends wait, and leave together at its end: one system call for many
/// answers instead of one each. For threads that have several pieces of work at hand; what they hold back
/// must not be held for long. One inside another does nothing. On a link without TLS the thread itself writes, which spares
/// a lone answer the way over the io thread; many small frames in a row are better left to that.
class send_cork {
public:
  send_cork() noexcept : outer_(current_) {
    if (outer_ == nullptr)
      current_ = this;
  }
  ~send_cork() {
    if (outer_ == nullptr)
      current_ = nullptr;
    pull();
  }
  send_cork(const send_cork&) = delete;
  send_cork& operator=(const send_cork&) = delete;

  /// Lets out what has been sent so far.
  void pull() {
    for (const auto& each : std::exchange(waiting_, {}))
      each->pull();
  }

  /// Of this thread; none if there is none.
  static send_cork* current() noexcept { return current_; }

  bool holds() const noexcept { return !waiting_.empty(); }

  void hold(std::shared_ptr<corked> what) { waiting_.push_back(std::move(what)); }

private:
  static thread_local send_cork* current_;
  send_cork* const outer_;
  std::vector<std::shared_ptr<corked>> waiting_;
};

} // namespace sluice::link
