#pragma once

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_queue_store.hpp"
#include "actors/queue/queue.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace sluice::testing {

/// A queue actor over a fake store, in a deterministic system.
struct queue_fixture : deterministic_system {
  explicit queue_fixture(queue::bounds limits = {}) : limits(limits) { open(); }
  ~queue_fixture() { runner->release(); }

  /// Spawns the actor; the second time this is a restart of the head.
  void open() {
    end_owned();
    queue::options opts;
    opts.store = runner;
    opts.limits = limits;
    opts.wall_clock = [this] { return wall; };
    opts.jitter = [this] { return jitter; };
    opts.on_broken = [this](const failure& why) { broken.push_back(why); };
    opts.report = [this](const std::string& text) { reports.push_back(text); };
    opts.on_trouble = [this](const std::string& text) { troubles.push_back(text); };
    queues = own(queue::spawn(sys, opts));
    run();
  }

  static record_block block(const std::vector<std::string>& payloads) {
    record_block_builder builder;
    for (const auto& payload : payloads)
      builder.add(payload);
    return builder.finish();
  }

  static record_block numbered(std::size_t first, std::size_t count) {
    record_block_builder builder;
    for (std::size_t i = 0; i < count; ++i)
      builder.add("r" + std::to_string(first + i));
    return builder.finish();
  }

  static std::vector<std::string> payloads(const record_block& records) {
    std::vector<std::string> out;
    for (auto record : records)
      out.emplace_back(record.payload);
    return out;
  }

  static std::vector<std::uint64_t> seqs(const record_block& records) {
    std::vector<std::uint64_t> out;
    for (auto record : records)
      out.push_back(record.seq);
    return out;
  }

  queue::append_request append_of(const std::string& name, record_block records) {
    queue::append_request request;
    request.queue = queue_name{name};
    request.records = std::move(records);
    return request;
  }

  result<queue::append_reply> put(const std::string& name, const std::vector<std::string>& records) {
    return ask<queue::append_reply>(queues, append_of(name, block(records)));
  }

  queue::lease_request lease_of(const std::string& name, std::uint32_t count_max = 500,
                                std::chrono::milliseconds wait_max = {}) {
    queue::lease_request request;
    request.queue = queue_name{name};
    request.owner = owner;
    request.consumer = consumer;
    request.count_max = count_max;
    request.wait_max = wait_max;
    return request;
  }

  queue::lease_reply take(const std::string& name, std::uint32_t count_max = 500) {
    auto reply = ask<queue::lease_reply>(queues, lease_of(name, count_max));
    if (!reply)
      return {};
    epoch = reply->epoch;
    return *reply;
  }

  queue::commit_request commit_of(const std::string& name, std::vector<std::uint64_t> acks) {
    queue::commit_request request;
    request.queue = queue_name{name};
    request.owner = owner;
    request.consumer = consumer;
    request.epoch = epoch;
    request.acks = std::move(acks);
    return request;
  }

  result<queue::commit_reply> commit(queue::commit_request request) {
    return ask<queue::commit_reply>(queues, std::move(request));
  }

  queue::queue_stat stat(const std::string& name) {
    auto reply = ask<queue::stats_reply>(queues, queue::stats_request{});
    if (reply)
      for (const auto& one : reply->queues)
        if (one.name.value == name)
          return one;
    return {};
  }

  queue::bounds limits;
  std::shared_ptr<fake_queue_store> store = std::make_shared<fake_queue_store>();
  std::shared_ptr<fake_store_runner> runner = std::make_shared<fake_store_runner>(store);
  queue::admin_handle queues;
  queue::wall_time wall{std::chrono::hours{1}};
  double jitter = 1.0;
  std::uint64_t epoch = 0;
  queue::owner_id owner{node_id{"node-1"}, host_id{7}, replica_id{1}};
  queue::consumer_id consumer{flow_name{"orders"}, processor_name{"price"}};
  std::vector<failure> broken;
  std::vector<std::string> reports;
  std::vector<std::string> troubles; ///< as they began and, empty, ended
};

} // namespace sluice::testing
