#pragma once

// What one would write by hand to answer only for what is stored: a thread with a SQLite file of its own, which takes all
// rows that came while it wrote the last ones into one synced transaction.

#include "transport/store/sqlite.hpp"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

/// Thread-safe. Its `done` run on its thread; false if the row is not stored.
class row_store {
public:
  explicit row_store(const std::filesystem::path& path) {
    sluice::store::sqlite_options options;
    options.path = path;
    options.kind = "rows";
    auto opened = sluice::store::sqlite_database::open(options);
    if (!opened)
      throw std::runtime_error{opened.error().message};
    database_ = std::move(*opened);
    database_->run("CREATE TABLE q(seq INTEGER PRIMARY KEY, payload BLOB)");
    insert_ = database_->prepare("INSERT INTO q(payload) VALUES(?)");
    thread_ = std::thread{[this] { work(); }};
  }

  ~row_store() {
    {
      std::lock_guard lock{mutex_};
      is_ended_ = true;
      changed_.notify_one();
    }
    thread_.join();
  }

  void add(std::string row, std::function<void(bool)> done) {
    std::lock_guard lock{mutex_};
    waiting_.emplace_back(std::move(row), std::move(done));
    changed_.notify_one();
  }

private:
  using rows = std::vector<std::pair<std::string, std::function<void(bool)>>>;

  void work() {
    for (;;) {
      rows taken;
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return is_ended_ || !waiting_.empty(); });
        if (is_ended_)
          return;
        taken.swap(waiting_);
      }
      const bool stored = store(taken);
      for (auto& [row, done] : taken)
        done(stored);
    }
  }

  bool store(const rows& taken) {
    try {
      sluice::store::sqlite_transaction all{*database_};
      for (const auto& [row, done] : taken)
        insert_.bind_blob(1, row).run();
      all.commit();
      database_->checkpoint_if_due();
      return true;
    } catch (const sluice::store::sqlite_error&) {
      return false;
    }
  }

  std::unique_ptr<sluice::store::sqlite_database> database_;
  sluice::store::sqlite_statement insert_;
  std::mutex mutex_;
  std::condition_variable changed_;
  rows waiting_;
  bool is_ended_ = false;
  std::thread thread_;
};

} // namespace bench
