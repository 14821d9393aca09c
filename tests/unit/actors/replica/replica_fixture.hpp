#pragma once

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_queue.hpp"
#include "tests/support/fake_threads.hpp"
#include "actors/replica/replica.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::testing {

/// A body made of a function from payload to results.
struct function_body : processor_body {
  using function = std::function<result<std::vector<std::string>>(std::string_view)>;
  function call;
  std::function<result<void>()> on_setup;
  int* teardowns = nullptr;
  std::optional<failure> teardown_failure;

  result<void> setup() override { return on_setup ? on_setup() : result<void>{}; }
  result<void> teardown() override {
    if (teardowns != nullptr)
      ++*teardowns;
    if (teardown_failure)
      return tl::unexpected<failure>{*teardown_failure};
    return {};
  }
  result<void> process(std::string_view payload, encoded_results& out) override {
    auto made = call(payload);
    if (!made)
      return fail(made);
    for (const auto& each : *made) {
      out.bytes() += each;
      out.finish_one();
    }
    return {};
  }
  void process_async(std::string_view, encoded_results&, executor&,
                     std::function<void(result<void>)>) override {}
};

/// A source that gives what the test puts in.
struct list_source final : source {
  std::deque<std::string> records;
  std::uint64_t seq = 0;
  bool ends = true;
  bool position = true;
  std::optional<std::uint64_t> opened_after;
  std::string opened_mark;
  std::string mark; ///< of each pull
  std::uint64_t settled_seq = 0;
  std::deque<failure> failures;
  std::string refuses = "no record"; ///< this line is none

  result<void> open(const source_position& after) override {
    opened_after = after.seq;
    opened_mark = after.mark;
    for (; seq < after.seq && !records.empty(); ++seq)
      records.pop_front();
    return {};
  }
  result<pulled> pull(std::uint32_t count_max, std::chrono::milliseconds) override {
    if (!failures.empty()) {
      auto why = failures.front();
      failures.pop_front();
      return tl::unexpected<failure>{why};
    }
    record_block_builder found;
    pulled out;
    while (!records.empty() && found.count() < count_max) {
      if (++seq; records.front() == refuses)
        out.refused.push_back({seq, refuses, "line " + std::to_string(seq) + " is none"});
      else
        found.add(seq, 0, records.front());
      records.pop_front();
    }
    out.records = found.finish();
    out.end = ends && records.empty();
    out.mark = mark;
    return out;
  }
  bool has_position() const noexcept override { return position; }
  void settled(std::uint64_t to) override { settled_seq = to; }
};

/// A sink that keeps what it is given and fails when told to.
struct list_sink final : sink {
  std::vector<std::string> records;
  std::deque<failure> failures;
  std::deque<failure> open_failures;
  std::string refuses; ///< this payload, for good
  int closes = 0;

  result<void> open() override {
    if (open_failures.empty())
      return {};
    auto why = open_failures.front();
    open_failures.pop_front();
    return tl::unexpected<failure>{why};
  }
  result<void> push(const record_block& results) override {
    if (!failures.empty()) {
      auto why = failures.front();
      failures.pop_front();
      return tl::unexpected<failure>{why};
    }
    for (auto record : results) {
      if (!refuses.empty() && record.payload == refuses)
        return fail(errc::invalid_argument, "sink: does not take " + refuses);
    }
    for (auto record : results)
      records.emplace_back(record.payload);
    return {};
  }
  result<void> close() override {
    ++closes;
    return {};
  }
};

/// One replica between fakes.
class replica_fixture : public deterministic_system {
public:
  std::shared_ptr<fake_queue> queues = std::make_shared<fake_queue>();
  std::shared_ptr<fake_threads> threads = std::make_shared<fake_threads>();
  queue::handle queue = own(spawn_fake_queue(sys, queues));
  std::vector<host::replica_report> reports;
  replica::owner_handle owner = own(sys.spawn(
    [](replica::owner_handle::pointer, std::vector<host::replica_report>* to) {
      return replica::owner_handle::behavior_type{
        [to](const replica::status& status) { to->push_back(status.report); }};
    },
    &reports));
  int teardowns = 0;
  function_body::function call = [](std::string_view in) {
    return std::vector<std::string>{"<" + std::string{in} + ">"};
  };
  std::function<result<void>()> on_setup;
  std::optional<failure> teardown_failure;

  replica::options options() {
    replica::options out;
    out.processor.name = processor_name{"p"};
    out.processor.source = {"queue", {{"name", "in"}}};
    out.processor.sink = {"queue", {{"name", "out"}}};
    out.consumer = {flow_name{"f"}, processor_name{"p"}};
    out.owner = {node_id{"n"}, host_id{7}, replica_id{1}};
    out.queue = queue;
    out.make_body = [this] {
      auto body = std::make_unique<function_body>();
      body->call = call;
      body->on_setup = on_setup;
      body->teardowns = &teardowns;
      body->teardown_failure = teardown_failure;
      return body;
    };
    out.threads = threads;
    out.owner_actor = owner;
    return out;
  }

  replica::handle spawn(replica::options opts) {
    auto made = own(replica::spawn(sys, std::move(opts)));
    run();
    return made;
  }

  void put(int count, const std::string& prefix = "r") {
    for (int i = 0; i < count; ++i)
      queues->put("in", prefix + std::to_string(i));
  }

  void drain(const replica::handle& replica) {
    caf::anon_send(replica, replica::drain{});
    run();
  }

  const host::replica_report& last() const { return reports.back(); }
};

} // namespace sluice::testing
