#include "transport/work/worker_threads.hpp"

#include "transport/http/client.hpp"
#include "transport/link/send_cork.hpp"
#include "transport/work/request_pool.hpp"
#include "transport/work/thread_counter.hpp"
#include "transport/work/work_pool.hpp"

#include <deque>
#include <pthread.h>
#include <thread>
#include <utility>

namespace sluice::work {

namespace {

/// One thread that runs jobs in order.
class runner final : public replica::runner_port {
public:
  runner(const std::shared_ptr<worker_threads::counter>& counter, const std::string& name)
    : shared_(std::make_shared<shared>()) {
    start_thread(counter, name, [mine = shared_] { mine->work(); });
  }

  ~runner() override {
    std::deque<std::function<void()>> forgotten; // destroyed after the lock is given back
    std::lock_guard lock{shared_->mutex};
    shared_->ended = true;
    forgotten.swap(shared_->jobs);
    shared_->changed.notify_one();
  }

  void run(std::function<void()> job) override {
    std::lock_guard lock{shared_->mutex};
    shared_->jobs.push_back(std::move(job));
    shared_->changed.notify_one();
  }

private:
  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> jobs;
    bool ended = false;

    void work() {
      std::unique_lock lock{mutex};
      for (;;) {
        changed.wait(lock, [this] { return ended || !jobs.empty(); });
        if (ended)
          return;
        auto job = std::move(jobs.front());
        jobs.pop_front();
        lock.unlock();
        job();
        job = nullptr;
        lock.lock();
      }
    }
  };

  std::shared_ptr<shared> shared_;
};

} // namespace

void start_thread(const std::shared_ptr<worker_threads::counter>& counter, const std::string& name,
                  std::function<void()> body) {
  {
    std::lock_guard lock{counter->mutex};
    ++counter->count;
  }
  try {
    std::thread{[counter, body = std::move(body), name]() mutable {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      body();
      body = nullptr; // what it holds goes before the thread is counted as ended
      std::lock_guard lock{counter->mutex};
      --counter->count;
      counter->changed.notify_all();
    }}.detach();
  } catch (...) {
    std::lock_guard lock{counter->mutex};
    --counter->count;
    throw;
  }
}

worker_threads::worker_threads(std::shared_ptr<replica::flight_recorder_port> recorder)
  : counter_(std::make_shared<counter>()), recorder_(std::move(recorder)) {}

worker_threads::~worker_threads() = default;

std::unique_ptr<replica::work_port> worker_threads::make_work(replica::work_options opts) {
  return std::make_unique<work_pool>(counter_, recorder_, std::move(opts));
}

std::unique_ptr<replica::request_work_port>
worker_threads::make_request_work(replica::request_work_options opts) {
  return std::make_unique<request_pool>(counter_, std::move(opts));
}

std::unique_ptr<replica::runner_port> worker_threads::make_runner(const std::string& name) {
  return std::make_unique<runner>(counter_, name);
}

http::client_port* worker_threads::http_client() {
  std::call_once(client_made_, [this] {
    client_ = http::make_client([counter = counter_](std::function<void()> body) {
      start_thread(counter, "http-client", std::move(body));
    });
  });
  return client_.get();
}

void worker_threads::answer_together(const std::function<void()>& work) {
  link::send_cork cork;
  work();
}

bool worker_threads::wait_all_ended(std::chrono::milliseconds wait_max) {
  std::unique_lock lock{counter_->mutex};
  return counter_->changed.wait_for(lock, wait_max, [this] { return counter_->count == 0; });
}

} // namespace sluice::work
