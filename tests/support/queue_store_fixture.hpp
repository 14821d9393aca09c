#pragma once

#include "tests/support/subprocess.hpp"
#include "transport/store/queue_store.hpp"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A queue store in a folder of its own, with short words for what tests do to it.
struct queue_store_fixture {
  queue_store_fixture() { reopen(); }

  store::queue_store_options options() {
    store::queue_store_options out;
    out.path = path.string();
    out.size_bytes_max = size_bytes_max;
    out.on_damage = [this](const std::string& text) { damage.push_back(text); };
    out.vfs = vfs;
    return out;
  }

  void reopen() {
    store.reset();
    auto opened = store::open_queue_store(options());
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    store = std::move(*opened);
  }

  /// Begins with an empty file.
  void fresh() {
    store.reset();
    for (auto* suffix : {"", "-wal", "-shm"})
      std::filesystem::remove(path.string() + suffix);
    damage.clear();
    reopen();
  }

  /// Changes the closed file behind the store's back.
  void sql(const std::string& text) {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &raw) == SQLITE_OK);
    char* why = nullptr;
    auto code = sqlite3_exec(raw, text.c_str(), nullptr, nullptr, &why);
    CHECK_MESSAGE(code == SQLITE_OK, (why != nullptr ? why : ""));
    sqlite3_free(why);
    sqlite3_close(raw);
  }

  /// Counts rows; closes and opens the store for it.
  int rows(const std::string& table) {
    store.reset();
    sqlite3* raw = nullptr;
    sqlite3_stmt* count = nullptr;
    sqlite3_open(path.c_str(), &raw);
    sqlite3_prepare_v2(raw, ("SELECT count(*) FROM " + table).c_str(), -1, &count, nullptr);
    sqlite3_step(count);
    auto out = sqlite3_column_int(count, 0);
    sqlite3_finalize(count);
    sqlite3_close(raw);
    reopen();
    return out;
  }

  void overwrite(std::streamoff at, const std::string& bytes) {
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(at);
    file << bytes;
  }

  static queue_name name(const std::string& text) { return queue_name{text}; }

  static std::vector<std::string> numbered(std::uint64_t first, std::size_t count) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i)
      out.push_back("r" + std::to_string(first + i));
    return out;
  }

  queue::segment segment_of(const std::string& queue, std::uint64_t first,
                            const std::vector<std::string>& payloads) {
    record_block_builder records;
    for (const auto& payload : payloads)
      records.add(first + records.count(), 0, payload);
    return {name(queue), first, records.finish(), wall};
  }

  result<queue::write_outcome> try_write(const std::function<void(queue::write_batch&)>& fill) {
    queue::write_batch batch;
    batch.now = wall;
    fill(batch);
    return store->write(batch);
  }

  void write(const std::function<void(queue::write_batch&)>& fill) {
    auto outcome = try_write(fill);
    CHECK_MESSAGE(outcome.has_value(), outcome.error().message);
  }

  result<queue::write_outcome> try_put(const std::string& queue, std::uint64_t first,
                                       const std::vector<std::string>& payloads) {
    return try_write(
      [&](queue::write_batch& batch) { batch.appends.push_back(segment_of(queue, first, payloads)); });
  }

  void put(const std::string& queue, std::uint64_t first, const std::vector<std::string>& payloads) {
    CHECK(try_put(queue, first, payloads).has_value());
  }

  result<queue::write_outcome> try_settle(const std::string& queue, std::vector<queue::seq_range> ranges) {
    return try_write([&](queue::write_batch& batch) { batch.settled.push_back({name(queue), ranges}); });
  }

  void settle(const std::string& queue, std::vector<queue::seq_range> ranges) {
    CHECK(try_settle(queue, std::move(ranges)).has_value());
  }

  void bury(const std::string& queue, std::uint64_t seq, const std::string& error) {
    write([&](queue::write_batch& batch) {
      batch.graves.push_back({name(queue), seq, {flow_name{"f"}, processor_name{"p"}}, 5, error, {}});
    });
  }

  static std::vector<std::string> texts(const queue::read_outcome& found) {
    std::vector<std::string> out;
    for (const auto& part : found.parts)
      for (auto record : part.records)
        out.push_back(std::to_string(record.seq) + ":" + std::string{record.payload});
    return out;
  }

  /// Everything in a queue, as "seq:payload".
  std::vector<std::string> all(const std::string& queue) {
    auto found = store->read(name(queue), 0, 1'000'000, 1u << 30);
    REQUIRE_MESSAGE(found.has_value(), found.error().message);
    CHECK(found->at_end);
    return texts(*found);
  }

  test::temp_dir dir;
  std::filesystem::path path = dir.path() / "queues.db";
  std::int64_t size_bytes_max = 0;
  std::string vfs;
  queue::wall_time wall{std::chrono::hours{1}};
  std::vector<std::string> damage;
  std::unique_ptr<queue::store_port> store;
};

} // namespace sluice::testing
