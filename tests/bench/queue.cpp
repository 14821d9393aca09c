// How fast the embedded queues are, beside the ceiling: raw SQLite rows in batches of
// the same size on the same disk. One JSON document on stdout.
//
//   append   clients add blocks of records
//   move     clients lease records and commit one result for each to a second queue,
//            which is what a replica does; the ceiling inserts the result and deletes
//            the input in one synced transaction
//
// Runs in a folder of its own below the current one, so that it measures that disk.

#include "actors/queue/queue.hpp"

#include "transport/store/queue_store.hpp"
#include "transport/store/queue_store_thread.hpp"
#include "transport/store/sqlite.hpp"

#include <boost/json.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

using steady = std::chrono::steady_clock;

struct load {
  std::size_t record_bytes;
  std::size_t record_count;
  std::size_t batch_count;
};

constexpr load loads[] = {{100, 400'000, 500}, {10'240, 12'000, 100}};
constexpr int client_counts[] = {1, 4};
constexpr std::chrono::seconds request_timeout{60};

const std::string input = "in";
const std::string output = "out";

double rate(std::size_t count, steady::time_point since) {
  return static_cast<double>(count) / std::chrono::duration<double>(steady::now() - since).count();
}

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench queue: " << why << '\n';
  std::exit(1);
}

std::filesystem::path fresh_file(const std::filesystem::path& dir, const std::string& name) {
  for (auto* suffix : {"", "-wal"})
    std::filesystem::remove(dir / (name + suffix));
  return dir / name;
}

struct rates {
  double append = 0;
  double move = 0;
};

/// One row per record, the way a queue in SQLite is usually written.
rates measure_ceiling(const std::filesystem::path& dir, const load& what) {
  store::sqlite_options opts;
  opts.path = fresh_file(dir, "ceiling.db");
  opts.kind = "ceiling";
  auto opened = store::sqlite_database::open(opts);
  if (!opened)
    give_up(opened.error().message);
  auto& db = **opened;
  db.run(
    "CREATE TABLE q(queue INTEGER, seq INTEGER, attempts INTEGER, payload BLOB, PRIMARY KEY(queue, seq)) "
    "WITHOUT ROWID");
  auto insert = db.prepare("INSERT INTO q VALUES(?,?,0,?)");
  auto remove = db.prepare("DELETE FROM q WHERE queue = ? AND seq = ?");
  std::string payload(what.record_bytes, 'x');
  rates out;
  auto start = steady::now();
  for (std::size_t seq = 0; seq < what.record_count;) {
    store::sqlite_transaction all{db};
    for (std::size_t i = 0; i < what.batch_count; ++i)
      insert.bind(1, 1).bind(2, ++seq).bind_blob(3, payload).run();
    all.commit();
    db.checkpoint_if_due();
  }
  out.append = rate(what.record_count, start);
  start = steady::now();
  for (std::size_t seq = 0; seq < what.record_count;) {
    store::sqlite_transaction all{db};
    for (std::size_t i = 0; i < what.batch_count; ++i) {
      remove.bind(1, 1).bind(2, ++seq).run();
      insert.bind(1, 2).bind(2, seq).bind_blob(3, payload).run();
    }
    all.commit();
    db.checkpoint_if_due();
  }
  out.move = rate(what.record_count, start);
  return out;
}

struct work {
  load what;
  queue::admin_handle queues;
  std::atomic<std::int64_t> left{0}; ///< records nobody has taken on yet, or settled yet
  std::atomic<int> clients{0};
};

void fail_on(const caf::error& why) { give_up(from_caf(why).message); }

void append_next(caf::event_based_actor* self, work* of) {
  if (of->left.fetch_sub(static_cast<std::int64_t>(of->what.batch_count)) <= 0) {
    of->clients.fetch_sub(1);
    return self->quit();
  }
  record_block_builder records;
  std::string payload(of->what.record_bytes, 'x');
  for (std::size_t i = 0; i < of->what.batch_count; ++i)
    records.add(payload);
  queue::append_request request;
  request.queue = queue_name{input};
  request.records = records.finish();
  self->request(of->queues, request_timeout, std::move(request))
    .then([=](const queue::append_reply&) { append_next(self, of); }, fail_on);
}

void move_next(caf::event_based_actor* self, work* of, queue::owner_id owner) {
  queue::lease_request request;
  request.queue = queue_name{input};
  request.owner = owner;
  request.count_max = static_cast<std::uint32_t>(of->what.batch_count);
  request.size_bytes_max = 2u << 20;
  request.wait_max = 50ms;
  self->request(of->queues, request_timeout, std::move(request))
    .then(
      [=](queue::lease_reply& leased) {
        if (leased.records.empty() && of->left.load() <= 0) {
          of->clients.fetch_sub(1);
          return self->quit();
        }
        queue::commit_request commit;
        commit.queue = queue_name{input};
        commit.owner = owner;
        commit.epoch = leased.epoch;
        record_block_builder results;
        for (auto record : leased.records) {
          commit.acks.push_back(record.seq);
          results.add(record.seq, 0, record.payload);
        }
        auto count = static_cast<std::int64_t>(commit.acks.size());
        commit.results.push_back({queue_name{output}, results.finish()});
        self->request(of->queues, request_timeout, std::move(commit))
          .then(
            [=](const queue::commit_reply& reply) {
              if (!reply.stale.empty())
                give_up("a lease went stale");
              of->left.fetch_sub(count);
              move_next(self, of, owner);
            },
            fail_on);
      },
      fail_on);
}

template <class Client>
double run_clients(caf::actor_system& sys, work& of, int clients, Client client) {
  of.left = static_cast<std::int64_t>(of.what.record_count);
  of.clients = clients;
  auto start = steady::now();
  for (int i = 0; i < clients; ++i)
    sys.spawn([&of, i, client](caf::event_based_actor* self, int) { client(self, &of, i); }, 0);
  while (of.clients.load() > 0)
    std::this_thread::sleep_for(1ms);
  return rate(of.what.record_count, start);
}

std::uint64_t depth_of(caf::actor_system& sys, const queue::admin_handle& queues, const std::string& name) {
  std::uint64_t depth = 0;
  caf::scoped_actor self{sys};
  self->request(queues, request_timeout, queue::stats_request{})
    .receive(
      [&](const queue::stats_reply& reply) {
        for (const auto& one : reply.queues)
          if (one.name.value == name)
            depth = one.depth_count;
      },
      [](caf::error& why) { fail_on(why); });
  return depth;
}

rates measure_queue(const std::filesystem::path& dir, const load& what, int clients) {
  store::queue_store_options opts;
  opts.path = fresh_file(dir, "queues.db");
  auto opened = store::open_queue_store(opts);
  if (!opened)
    give_up(opened.error().message);
  auto disk = std::make_shared<store::queue_store_thread>(std::move(*opened));
  rates out;
  {
    caf::actor_system_config cfg;
    cfg.set("scheduler.policy", caf::atom("sharing"));
    cfg.set("scheduler.max-threads", std::size_t{2});
    caf::actor_system sys{cfg};
    queue::options queue_opts;
    queue_opts.store = disk;
    queue_opts.wall_clock = [] { return std::chrono::system_clock::now(); };
    queue_opts.jitter = [] { return 0.5; };
    work of{what, queue::spawn(sys, queue_opts), {}, {}};
    out.append = run_clients(sys, of, clients, [](auto* self, work* w, int) { append_next(self, w); });
    out.move = run_clients(sys, of, clients, [](auto* self, work* w, int i) {
      move_next(self, w, {node_id{"bench"}, host_id{1}, replica_id{static_cast<std::uint64_t>(i) + 1}});
    });
    if (depth_of(sys, of.queues, input) != 0 || depth_of(sys, of.queues, output) != what.record_count)
      give_up("records are missing");
    caf::anon_send_exit(of.queues, caf::exit_reason::user_shutdown);
    disk->stop();
  }
  return out;
}

} // namespace

int main() {
  auto dir = std::filesystem::current_path() / "bench-queue.tmp";
  std::filesystem::create_directories(dir);
  boost::json::array rows;
  for (const auto& what : loads) {
    auto ceiling = measure_ceiling(dir, what);
    for (auto clients : client_counts) {
      auto got = measure_queue(dir, what, clients);
      auto row = [&](const char* name, double rate, double top) {
        rows.push_back({{"what", name},
                        {"record_bytes", what.record_bytes},
                        {"batch_count", what.batch_count},
                        {"clients", clients},
                        {"records_per_s", rate},
                        {"ceiling_records_per_s", top},
                        {"ratio", rate / top}});
      };
      row("append", got.append, ceiling.append);
      row("move", got.move, ceiling.move);
    }
  }
  std::filesystem::remove_all(dir);
  std::cout << boost::json::serialize(boost::json::object{{"benchmark", "queue"}, {"rows", rows}}) << '\n';
}
