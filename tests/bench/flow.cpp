// What a user gets: records/s and latency of queue -> consumer -> queue through real
// processes (head, worker, host), with the disk's own ceiling beside it in the same run;
// and what a cluster costs while it does nothing.
#include "sdk/client/control_client.hpp"

#include <sluice/codec/codec.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using sluice::client::control_client;
namespace api = sluice::client::api;

constexpr std::size_t batch_count = 500; // a replica's default pull

double seconds_since(steady::time_point then) {
  return std::chrono::duration<double>(steady::now() - then).count();
}

void exec(sqlite3* db, const char* sql) {
  char* why = nullptr;
  if (sqlite3_exec(db, sql, nullptr, nullptr, &why) != SQLITE_OK)
    throw std::runtime_error{why};
}

/// Moves records from one table to another, a synced transaction per batch: what any
/// queue on this disk must at least do. Records per second.
double ceiling_per_s(const fs::path& dir, std::size_t size_bytes, std::size_t count) {
  sqlite3* db = nullptr;
  sqlite3_open((dir / "ceiling.db").c_str(), &db);
  exec(db, "pragma journal_mode=wal; pragma synchronous=full;"
           "create table a(seq integer primary key, payload blob); create table b(seq integer primary key, "
           "payload blob);");
  std::string payload(size_bytes, 'x');
  auto prepare = [&](const char* sql) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
    return statement;
  };
  auto* fill = prepare("insert into a(payload) values(?)");
  auto* put = prepare("insert into b(payload) values(?)");
  auto* take = prepare("delete from a where seq = ?");
  auto step = [&](sqlite3_stmt* statement) {
    sqlite3_step(statement);
    sqlite3_reset(statement);
  };
  exec(db, "begin");
  for (std::size_t i = 0; i < count; ++i) {
    sqlite3_bind_blob(fill, 1, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
    step(fill);
  }
  exec(db, "commit");
  auto start = steady::now();
  for (std::size_t i = 0; i < count; i += batch_count) {
    exec(db, "begin");
    for (std::size_t seq = i + 1; seq <= std::min(i + batch_count, count); ++seq) {
      sqlite3_bind_blob(put, 1, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
      step(put);
      sqlite3_bind_int64(take, 1, static_cast<sqlite3_int64>(seq));
      step(take);
    }
    exec(db, "commit");
  }
  auto rate = static_cast<double>(count) / seconds_since(start);
  for (auto* statement : {fill, put, take})
    sqlite3_finalize(statement);
  sqlite3_close(db);
  for (auto* end : {"", "-wal", "-shm"})
    fs::remove(dir / (std::string{"ceiling.db"} + end));
  return rate;
}

std::string bin() { return fs::read_symlink("/proc/self/exe").parent_path().string(); }

/// A folder for the state of some nodes, and the end of all that was started in it, also when
/// starting the rest fails.
class nodes_home {
public:
  nodes_home() {
    char name[] = "/tmp/sluice-bench-XXXXXX";
    path_ = mkdtemp(name);
    setenv("SLUICE_HOME", path_.c_str(), 1);
  }
  ~nodes_home() {
    if (std::system((bin() + "/sluice stop > /dev/null 2>&1").c_str()) != 0)
      std::fprintf(stderr, "flow: some processes may be left; see %s\n", path_.c_str());
    fs::remove_all(path_);
  }
  nodes_home(const nodes_home&) = delete;
  nodes_home& operator=(const nodes_home&) = delete;

  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

/// A head and a worker of their own, ended with the scope.
class cluster {
public:
  cluster() {
    start_ = steady::now();
    run("start --head --no-worker --link-port 0 --control-port 0");
    run("start --address auto --cpus 8");
    auto connected =
      sluice::client::connect({"unix:" + (home_.path() / "head" / "control.sock").string(), "", "", 60s});
    if (!connected)
      throw std::runtime_error{connected.error().message};
    client_ = std::move(*connected);
  }
  void run(const std::string& args) {
    auto command = bin() + "/sluice " + args + " > " + (home_.path() / "out").string() + " 2>&1";
    if (std::system(command.c_str()) != 0)
      throw std::runtime_error{command};
  }

  void submit(int replicas) { run("submit " + bin() + "/passing_flow -- " + std::to_string(replicas)); }

  void put(const std::string& queue, std::vector<std::string> payloads) {
    api::QueuePutRequest request;
    request.set_queue(queue);
    for (auto& payload : payloads)
      *request.add_payloads() = std::move(payload);
    if (auto done = client_->queue_put(request); !done)
      throw std::runtime_error{done.error().message};
  }

  std::uint64_t depth(const std::string& name) {
    auto snapshot = client_->snapshot(0);
    if (snapshot)
      for (auto& queue : snapshot->queues())
        if (queue.name() == name)
          return queue.depth_count();
    return 0;
  }

  /// When `queue` first held `count` records.
  steady::time_point wait_depth(const std::string& queue, std::uint64_t count) {
    while (depth(queue) < count)
      std::this_thread::yield();
    return steady::now();
  }

  std::vector<std::int64_t> latencies_ns() {
    std::vector<std::int64_t> found;
    api::QueuePeekRequest request;
    request.set_queue("seen");
    request.set_count_max(1000);
    for (;;) {
      auto part = client_->queue_peek(request);
      if (!part || part->records().empty())
        return found;
      for (auto& record : part->records()) {
        auto at = record.payload().find("latency_ns\":");
        found.push_back(std::stoll(record.payload().substr(at + 12)));
        request.set_after_seq(record.seq());
      }
    }
  }

  std::vector<pid_t> pids() {
    std::vector<pid_t> found;
    for (auto* dir : {"head", "worker-1"}) {
      std::ifstream lock{home_.path() / dir / "lock"};
      pid_t pid = 0;
      lock >> pid;
      found.push_back(pid);
    }
    return found;
  }

  steady::time_point started() const { return start_; }

private:
  nodes_home home_;
  steady::time_point start_;
  std::unique_ptr<control_client> client_;
};

std::string record_of(std::uint64_t id, std::size_t size_bytes) {
  auto sent = steady::now().time_since_epoch().count();
  auto text = "{\"id\":" + std::to_string(id) + ",\"sent_ns\":" + std::to_string(sent) + ",\"pad\":\"";
  text.resize(std::max(text.size(), size_bytes - 2), 'x');
  return text + "\"}";
}

void fill(cluster& it, const std::string& queue, std::size_t size_bytes, std::size_t count) {
  auto per_put = std::min<std::size_t>(1000, (2u << 20) / size_bytes);
  std::vector<std::string> payloads;
  for (std::size_t id = 1; id <= count; ++id) {
    payloads.push_back(record_of(id, size_bytes));
    if (payloads.size() == per_put || id == count)
      it.put(queue, std::exchange(payloads, {}));
  }
}

/// Records per second between the first and the last tenth.
double rate_per_s(std::size_t size_bytes, std::size_t count, int replicas) {
  cluster it;
  fill(it, "in", size_bytes, count);
  it.submit(replicas);
  auto from_count = std::max<std::uint64_t>(it.depth("out"), count / 10);
  auto from = it.wait_depth("out", from_count);
  from_count = it.depth("out");
  from = steady::now();
  auto to = it.wait_depth("out", count);
  return static_cast<double>(count - from_count) / std::chrono::duration<double>(to - from).count();
}

struct percentiles {
  double p50_ms = 0;
  double p99_ms = 0;
};

/// A record every two milliseconds, from put to the next processor's hands.
percentiles latency(std::size_t size_bytes) {
  constexpr std::size_t count = 1000;
  cluster it;
  it.submit(1);
  fill(it, "ping", size_bytes, 10);
  it.wait_depth("seen", 10);
  auto next = steady::now();
  for (std::size_t id = 1; id <= count; ++id) {
    std::this_thread::sleep_until(next += 2ms);
    it.put("ping", {record_of(id, size_bytes)});
  }
  it.wait_depth("seen", count + 10);
  auto all = it.latencies_ns();
  all.erase(all.begin(), all.begin() + 10);
  std::sort(all.begin(), all.end());
  return {static_cast<double>(all[all.size() / 2]) / 1e6,
          static_cast<double>(all[all.size() * 99 / 100]) / 1e6};
}

double cpu_seconds(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string stat{std::istreambuf_iterator<char>{file}, {}};
  std::istringstream rest{stat.substr(stat.rfind(')') + 2)};
  std::string skip;
  for (int i = 0; i < 11; ++i)
    rest >> skip;
  double user = 0;
  double system = 0;
  rest >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double resident_mib(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/statm"};
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void print_idle() {
  cluster it;
  auto pids = it.pids();
  auto sum = [&](auto measure) {
    double total = 0;
    for (auto pid : pids)
      total += measure(pid);
    return total;
  };
  constexpr auto window = 5s;
  auto before = sum(cpu_seconds);
  std::this_thread::sleep_for(window);
  std::printf("  \"idle_head_and_worker\": {\"resident_mib\": %.1f, \"cpu_percent\": %.2f},\n",
              sum(resident_mib), (sum(cpu_seconds) - before) * 100 / static_cast<double>(window.count()));
}

void print_start() {
  cluster it;
  fill(it, "in", 100, 1);
  it.submit(1);
  it.wait_depth("out", 1);
  std::printf("  \"start_to_first_record_s\": %.2f,\n", seconds_since(it.started()));
}

void print_size(std::size_t size_bytes, std::size_t count) {
  auto ceiling = ceiling_per_s(fs::temp_directory_path(), size_bytes, count);
  std::printf("  \"size_%zu_bytes\": {\"ceiling_per_s\": %.0f", size_bytes, ceiling);
  for (int replicas : {1, 4}) {
    auto rate = rate_per_s(size_bytes, count, replicas);
    std::printf(", \"replicas_%d\": {\"records_per_s\": %.0f, \"of_ceiling\": %.2f}", replicas, rate,
                rate / ceiling);
    std::fflush(stdout);
  }
  auto [p50_ms, p99_ms] = latency(size_bytes);
  std::printf(", \"latency_ms\": {\"p50\": %.2f, \"p99\": %.2f}}", p50_ms, p99_ms);
}

} // namespace

// With an argument, only records of that size: 100 or 10240 bytes.
int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";
  // Caught, so that what was started is stopped: an exception nobody catches unwinds nothing.
  try {
    std::printf("{\n");
    if (only.empty()) {
      print_start();
      print_idle();
    }
    if (only.empty() || only == "100")
      print_size(100, 400'000);
    if (only.empty())
      std::printf(",\n");
    if (only.empty() || only == "10240")
      print_size(10240, 20'000);
    std::printf("\n}\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "flow: %s\n", e.what());
    return 1;
  }
}
