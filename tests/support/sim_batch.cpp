#include "tests/support/sim_batch.hpp"

#include "actors/host/host.hpp"
#include "actors/replica/request_port.hpp"

#include <sluice/codec/bytes.hpp>
#include <sluice/flow.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sluice::testing {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t record_bytes = 512; ///< so many a record counts for in the file
constexpr std::uint64_t split_bytes = 8 * record_bytes;

std::vector<raw> two_of(const raw& record) { return {raw{record.data + "-a"}, raw{record.data + "-b"}}; }

class memory_reader final : public batch::split_reader {
public:
  explicit memory_reader(std::vector<std::string> records) : records_(std::move(records)) {}

  result<bool> next(std::vector<batch::record_slice>& out) override {
    out.clear();
    for (const auto& each : records_)
      out.push_back({each, 0, {}});
    return false;
  }

private:
  std::vector<std::string> records_;
};

class memory_part final : public batch::part_writer {
public:
  memory_part(std::vector<std::string>* place) : place_(place) {}

  result<void> add(std::string_view payload) override {
    lines_.emplace_back(payload);
    return {};
  }
  result<void> reject(const batch::record_slice&, std::uint32_t, const std::string& error) override {
    return fail(errc::internal, error);
  }
  result<std::vector<record_block>> finish() override {
    if (place_ != nullptr) {
      *place_ = lines_;
      return std::vector<record_block>{};
    }
    record_block_builder block;
    for (const auto& each : lines_)
      block.add(each);
    return std::vector<record_block>{block.finish()};
  }

private:
  std::vector<std::string>* place_; ///< none for a queue
  std::vector<std::string> lines_;
};

class memory_joined final : public batch::joined_files {
public:
  memory_joined(std::shared_ptr<sim_batch::disk> disk, std::vector<std::string> all)
    : disk_(std::move(disk)), all_(std::move(all)) {}

  result<batch::finish_outcome> publish() override {
    if (disk_)
      disk_->target = std::move(all_);
    return batch::finish_outcome{};
  }

private:
  std::shared_ptr<sim_batch::disk> disk_; ///< none for a queue
  std::vector<std::string> all_;
};

class memory_files final : public batch::files_port {
public:
  memory_files(std::shared_ptr<sim_batch::disk> disk, bool sinks_to_queue, std::int64_t now_ms)
    : disk_(std::move(disk)), sinks_to_queue_(sinks_to_queue), now_ms_(now_ms) {}

  result<batch::source_identity> identify() override {
    return batch::source_identity{disk_->source.size() * record_bytes, 1};
  }
  result<std::vector<std::uint64_t>> plan(const batch::source_identity& source, std::uint64_t size) override {
    std::vector<std::uint64_t> borders;
    for (std::uint64_t at = 0; at < source.size_bytes; at += size)
      borders.push_back(at);
    borders.push_back(source.size_bytes);
    return borders;
  }
  result<std::unique_ptr<batch::split_reader>> open_split(const batch::split& which) override {
    std::vector<std::string> records;
    for (auto record : which.records)
      records.emplace_back(record.payload);
    if (records.empty())
      records.assign(disk_->source.begin() + static_cast<std::ptrdiff_t>(which.begin / record_bytes),
                     disk_->source.begin() + static_cast<std::ptrdiff_t>(which.end / record_bytes));
    return std::make_unique<memory_reader>(std::move(records));
  }
  result<std::unique_ptr<batch::part_writer>> create_part(const batch::split& which) override {
    return std::make_unique<memory_part>(sinks_to_queue_ ? nullptr : &disk_->parts[which.run][which.index]);
  }
  result<std::unique_ptr<batch::joined_files>> join(std::uint64_t run, std::uint32_t splits,
                                                    std::unique_ptr<reduction>) override {
    if (sinks_to_queue_)
      return std::make_unique<memory_joined>(nullptr, std::vector<std::string>{});
    std::vector<std::string> all;
    for (std::uint32_t i = 0; i < splits; ++i) {
      auto part = disk_->parts[run].find(i);
      if (part == disk_->parts[run].end())
        return fail(errc::corrupt, "part " + std::to_string(i) + " is missing");
      all.insert(all.end(), part->second.begin(), part->second.end());
    }
    return std::make_unique<memory_joined>(disk_, std::move(all));
  }
  void clean(std::uint64_t run) override { disk_->parts.erase(run); }
  std::int64_t now_unix_ms() const override { return now_ms_; }

private:
  std::shared_ptr<sim_batch::disk> disk_;
  bool sinks_to_queue_;
  std::int64_t now_ms_;
};

class memory_environment final : public batch::environment_port {
public:
  memory_environment(sim_cluster& world, std::shared_ptr<sim_batch::disk> disk)
    : world_(world), disk_(std::move(disk)) {}

  result<std::shared_ptr<batch::files_port>> make_files(const flow_name&,
                                                        const processor_spec& spec) override {
    return std::make_shared<memory_files>(disk_, spec.sink.kind == "queue", 1);
  }
  std::shared_ptr<batch::loop_executor> make_loop() override { return nullptr; }
  void mark_thread(replica::flight_slot*) override {}
  std::chrono::steady_clock::time_point now() const override {
    return std::chrono::steady_clock::time_point{world_.now().time_since_epoch()};
  }
  void pause(std::chrono::milliseconds) override {}

private:
  sim_cluster& world_;
  std::shared_ptr<sim_batch::disk> disk_;
};

} // namespace

/// What runs on a thread of a host runs later, in order, and not at all once the host is gone.
class sim_batch::threads final : public replica::threads_port {
public:
  threads(sim_batch& owner, std::size_t index, host_id host) : owner_(owner), index_(index), host_(host) {}

  std::unique_ptr<replica::work_port> make_work(replica::work_options) override { return nullptr; }
  std::unique_ptr<replica::request_work_port> make_request_work(replica::request_work_options) override {
    return nullptr;
  }
  std::unique_ptr<replica::runner_port> make_runner(const std::string&) override {
    struct runner final : replica::runner_port {
      explicit runner(const threads& of) : made_by(of) {}
      void run(std::function<void()> job) override {
        auto& world = made_by.owner_.world_;
        free_at =
          std::max(free_at, world.now()) + std::chrono::milliseconds{1 + made_by.owner_.random_() % 400};
        world.call_on(made_by.index_, free_at - world.now(),
                      [&world, host = made_by.host_, job = std::move(job)] {
                        if (world.is_alive(host))
                          job();
                      });
      }
      threads made_by;
      sim_cluster::time_point free_at{};
    };
    return std::make_unique<runner>(*this);
  }

private:
  sim_batch& owner_;
  std::size_t index_;
  host_id host_;
};

sim_batch::sim_batch(sim_cluster& world, std::size_t count) : world_(world), random_(world.seed() * 31) {
  for (std::size_t i = 0; i < count; ++i)
    disk_->source.push_back("record " + std::to_string(100'000 + i));
  world.on_host([this](const sim_cluster::host_start& start) {
    flow code{"batch"}; // as the program of the flow would say it
    code.batch<two_of>("work", {.source = io::file("in"), .sink = io::file("out")});
    host::options opts;
    opts.id = start.id;
    opts.node = world_.id_of(start.index);
    opts.flow = start.flow.spec;
    opts.bodies = code.bodies();
    opts.queue = start.queue;
    opts.owner = start.owner;
    opts.threads = std::make_shared<threads>(*this, start.index, start.id);
    opts.batch = {std::make_shared<memory_environment>(world_, disk_), start.flow.version.value, false};
    return host::spawn(start.system, std::move(opts));
  });
}

result<cluster::submit_reply> sim_batch::submit(std::uint32_t replicas, const io_spec& source,
                                                const io_spec& sink) {
  flow described{"batch"};
  described.batch<two_of>("work", {.source = source,
                                   .sink = sink,
                                   .num_replicas = replicas,
                                   .num_concurrency = 2,
                                   .max_attempts = limits::attempts_max,
                                   .split_bytes = split_bytes});
  cluster::submit_request request;
  request.artifact = artifact_id{std::string(64, 'a')};
  request.spec = described.spec();
  return world_.ask<cluster::submit_reply>(request);
}

bool sim_batch::is_completed() {
  const auto* shown = world_.flow("batch");
  return shown != nullptr && shown->phase == cluster::flow_phase::completed;
}

std::vector<std::string> sim_batch::expected() const {
  std::vector<std::string> all;
  for (const auto& record : disk_->source)
    for (const auto& each : two_of(raw{record}))
      all.push_back(each.data);
  return all;
}

std::vector<std::string> sim_batch::queue(const std::string& name) const {
  std::vector<std::string> all;
  for (const auto& [seq, record] : world_.queue_store().queues_for_test[queue_name{name}].records)
    all.push_back(record.payload);
  return all;
}

void sim_batch::fill(const std::string& name) {
  auto& to = world_.queue_store().queues_for_test[queue_name{name}];
  for (const auto& record : disk_->source)
    to.records[++to.seq_last] = {record, 0, {}};
}

} // namespace sluice::testing
