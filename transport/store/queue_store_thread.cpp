#include "transport/store/queue_store_thread.hpp"

#include <pthread.h>
#include <utility>

namespace sluice::store {

queue_store_thread::queue_store_thread(std::unique_ptr<queue::store_port> store)
  : store_(std::move(store)), thread_([this] { loop(); }) {
  pthread_setname_np(thread_.native_handle(), "queue-store");
}

queue_store_thread::~queue_store_thread() { stop(); }

void queue_store_thread::run(std::function<void(queue::store_port&)> work) {
  {
    std::lock_guard lock{mutex_};
    if (is_stopping_)
      return;
    work_.push_back(std::move(work));
  }
  wake_.notify_one();
}

bool queue_store_thread::has_work() const {
  std::lock_guard lock{mutex_};
  return !work_.empty();
}

void queue_store_thread::stop() {
  {
    std::lock_guard lock{mutex_};
    is_stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable())
    thread_.join();
  store_.reset();
}

void queue_store_thread::loop() {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait(lock, [&] { return is_stopping_ || !work_.empty(); });
    if (work_.empty())
      return;
    auto next = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    next(*store_);
    next = nullptr; // what it holds goes before the lock is taken
    lock.lock();
  }
}

} // namespace sluice::store
