// Goal: what the head has stored is there after any end of the process, and damage, foreign
// files and files of newer programs are refused by name.

#include "tests/support/fault_vfs.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/store/cluster_rows.hpp"
#include "transport/store/cluster_store.hpp"

#include <doctest/doctest.h>
#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace sluice;
using namespace sluice::cluster;

struct fixture {
  std::filesystem::path folder =
    std::filesystem::temp_directory_path() / ("sluice-cluster-store-" + std::to_string(::getpid()));
  std::filesystem::path file = folder / "cluster.db";

  fixture() {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  ~fixture() { std::filesystem::remove_all(folder); }

  std::shared_ptr<store_port> open() {
    auto store = store::open_cluster_store(file);
    REQUIRE(store);
    return *store;
  }

  /// What the file holds when it is opened again.
  stored_state reopen() {
    auto state = open()->load();
    REQUIRE(state);
    return *state;
  }

  void sql(const std::string& text) { SQLite::Database{file.string(), SQLite::OPEN_READWRITE}.exec(text); }
};

mode_t mode_of(const std::string& file) {
  struct stat facts {};
  return ::stat(file.c_str(), &facts) == 0 ? facts.st_mode & 07777 : 0;
}

stored_version version_of(std::string flow, std::uint64_t number) {
  stored_version row;
  row.flow = flow_name{flow};
  row.version = flow_version{number};
  row.artifact = artifact_id{std::string(64, 'a')};
  row.artifact_size_bytes = 12345678901;
  row.args = {"--rate", "5", "ä \"quoted\"\n"};
  row.env = {{"ADMIN_TOKEN", "x\"y\nz"}, {"EMPTY", ""}};
  row.spec.name = row.flow;
  row.spec.sluice_version = "0.1.0";
  processor_spec price;
  price.name = processor_name{"price"};
  price.source = {"queue", {{"name", "in"}}};
  price.sink = {"queue", {{"name", "out"}}};
  price.num_cpus = 0.25;
  row.spec.processors.push_back(price);
  row.submitted_at = std::chrono::system_clock::time_point{std::chrono::seconds{1700000000}};
  return row;
}

change_set sample() {
  change_set changes;
  stored_node node;
  node.info.id = node_id{"node-a"};
  node.info.started = incarnation{{~0ull, 1ull << 63}};
  node.info.address = "10.0.0.1:7410";
  node.info.cpus = 3.5;
  node.info.memory_bytes = 1ull << 40;
  node.info.labels = {{"zone", "b"}};
  node.info.sluice_version = "0.1.0";
  node.info.is_head = true;
  node.info.http_address = "http://10.0.0.1:8000";
  node.drain_requested = true;
  changes.nodes.push_back(node);
  stored_flow flow;
  flow.name = flow_name{"orders"};
  flow.current = flow_version{1};
  flow.target = flow_version{2};
  flow.counted = flow_version{2};
  flow.scale = {{processor_name{"price"}, 4}};
  flow.scale_before = {{processor_name{"price"}, 3}};
  flow.draining = true;
  flow.update_error = "it crashed";
  changes.flows.push_back(flow);
  changes.versions = {version_of("orders", 1), version_of("orders", 2)};
  stored_replica replica;
  replica.id = replica_id{9};
  replica.flow = flow.name;
  replica.processor = processor_name{"price"};
  replica.version = flow_version{1};
  replica.node = node.info.id;
  replica.goal = host::replica_goal::drain;
  changes.replicas.push_back(replica);
  changes.answers = {{1, "req-1", {flow_version{1}, true}}, {2, "req-2", {flow_version{2}, true}}};
  event_view line;
  for (line.id = 8; line.id <= 11; ++line.id) {
    line.severity = "info";
    line.subject = "node/node-a";
    line.text = "line " + std::to_string(line.id);
    changes.events.push_back(line);
  }
  changes.replica_id_last = 9;
  changes.deleted = {{flow_name{"gone"}, flow_version{7}}, {flow_name{"long-gone"}, flow_version{2}}};
  changes.deleted_floor = flow_version{1};
  return changes;
}

TEST_CASE_FIXTURE(fixture, "secrets of versions are this user's alone, also in files of before") {
  { const auto store = open(); }
  CHECK(mode_of(file.string()) == 0600);
  REQUIRE(::chmod(file.c_str(), 0644) == 0);
  const auto store = open();
  CHECK(mode_of(file.string()) == 0600);
  CHECK(mode_of(file.string() + "-wal") == 0600);
}

TEST_CASE_FIXTURE(fixture, "all that was written is read again, member by member") {
  REQUIRE(open()->write(sample()));
  const auto state = reopen();
  REQUIRE(state.nodes.size() == 1);
  const auto& node = state.nodes[0];
  CHECK(node.info.id == node_id{"node-a"});
  CHECK(node.info.started == incarnation{{~0ull, 1ull << 63}});
  CHECK(node.info.address == "10.0.0.1:7410");
  CHECK(node.info.cpus == 3.5);
  CHECK(node.info.memory_bytes == 1ull << 40);
  CHECK(node.info.labels == std::map<std::string, std::string>{{"zone", "b"}});
  CHECK(node.info.sluice_version == "0.1.0");
  CHECK(node.info.is_head);
  CHECK(node.info.http_address == "http://10.0.0.1:8000");
  CHECK(node.drain_requested);
  CHECK(!node.gone);
  REQUIRE(state.flows.size() == 1);
  const auto& flow = state.flows[0];
  CHECK(flow.current == flow_version{1});
  CHECK(flow.target == flow_version{2});
  CHECK(flow.counted == flow_version{2});
  CHECK(flow.scale.at(processor_name{"price"}) == 4);
  CHECK(flow.scale_before.at(processor_name{"price"}) == 3);
  CHECK(flow.draining);
  CHECK(!flow.deleting);
  CHECK(flow.update_error == "it crashed");
  REQUIRE(state.versions.size() == 2);
  const auto expected = version_of("orders", 2);
  CHECK(state.versions[1].version == expected.version);
  CHECK(state.versions[1].spec == expected.spec);
  CHECK(state.versions[1].args == expected.args);
  CHECK(state.versions[1].env == expected.env);
  CHECK(state.versions[1].artifact_size_bytes == expected.artifact_size_bytes);
  CHECK(state.versions[1].submitted_at == expected.submitted_at);
  REQUIRE(state.replicas.size() == 1);
  CHECK(state.replicas[0].id == replica_id{9});
  CHECK(state.replicas[0].goal == host::replica_goal::drain);
  CHECK(state.replicas[0].node == node_id{"node-a"});
  REQUIRE(state.answers.size() == 2);
  CHECK(state.answers[1].request_id == "req-2");
  CHECK(state.answers[1].reply.version == flow_version{2});
  REQUIRE(state.events.size() == 4);
  CHECK(state.events.front().id == 8);
  CHECK(state.events.back().id == 11); // by number, not by text
  CHECK(state.replica_id_last == 9);
  REQUIRE(state.deleted.size() == 2);
  CHECK(state.deleted[0].name == flow_name{"gone"});
  CHECK(state.deleted[0].counted == flow_version{7});
  CHECK(state.deleted_floor == flow_version{1});
}

TEST_CASE_FIXTURE(fixture, "what user code says may be no UTF-8, and is read again all the same") {
  auto state = sample();
  REQUIRE_FALSE(state.events.empty());
  state.events.back().text = "setup: broken \xff \xe2\x82";
  state.flows.at(0).update_error = "\xfe";
  REQUIRE(open()->write(state));
  const auto again = reopen();
  CHECK(again.events.back().text == "setup: broken \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(again.flows.at(0).update_error == "\xEF\xBF\xBD");
}

TEST_CASE("a version of before there were variables has none, a node of then says no HTTP address") {
  auto text = store::encode(version_of("orders", 1));
  const auto begin = text.find("\"env\":");
  REQUIRE(begin != std::string::npos);
  text.erase(begin, text.find("},", begin) + 2 - begin);
  stored_version row;
  REQUIRE(store::decode(text, row));
  CHECK(row.env.empty());
  CHECK(row.args == version_of("orders", 1).args);
  CHECK(row.spec == version_of("orders", 1).spec);
  stored_node node;
  REQUIRE(store::decode(R"({"id":"node-a","address":"10.0.0.1:7410"})", node));
  CHECK(node.info.address == "10.0.0.1:7410");
  CHECK(node.info.http_address.empty());
}

TEST_CASE_FIXTURE(fixture, "each opening is counted") {
  CHECK(reopen().openings == 1);
  CHECK(reopen().openings == 2);
}

TEST_CASE_FIXTURE(fixture, "what is forgotten is gone, and no more than that") {
  auto store = open();
  REQUIRE(store->write(sample()));
  change_set other;
  other.versions = {version_of("orders-eu", 1), version_of("order", 1)};
  stored_flow flow;
  flow.name = flow_name{"orders-eu"};
  flow.target = flow_version{1};
  other.flows.push_back(flow);
  REQUIRE(store->write(other));
  change_set changes;
  changes.nodes_forgotten = {node_id{"node-a"}, node_id{"never-there"}};
  changes.flows_forgotten = {flow_name{"orders"}};
  changes.replicas_forgotten = {replica_id{9}};
  changes.deleted_forgotten = {flow_name{"long-gone"}};
  changes.answers_forgotten_to = 1;
  changes.events_forgotten_to = 9;
  REQUIRE(store->write(changes));
  const auto state = reopen();
  CHECK(state.nodes.empty());
  REQUIRE(state.flows.size() == 1);
  CHECK(state.flows[0].name == flow_name{"orders-eu"});
  CHECK(state.versions.size() == 2);
  CHECK(state.replicas.empty());
  REQUIRE(state.answers.size() == 1);
  CHECK(state.answers[0].number == 2);
  CHECK(state.events.size() == 2);
  CHECK(state.replica_id_last == 9);
  REQUIRE(state.deleted.size() == 1);
  CHECK(state.deleted[0].name == flow_name{"gone"});
}

TEST_CASE_FIXTURE(fixture,
                  "a flow that is forgotten and submitted anew in one write is there, without its past") {
  auto store = open();
  REQUIRE(store->write(sample()));
  change_set changes;
  changes.flows_forgotten = {flow_name{"orders"}};
  change_set later;
  stored_flow flow;
  flow.name = flow_name{"orders"};
  flow.target = flow_version{1};
  later.flows.push_back(flow);
  later.versions.push_back(version_of("orders", 1));
  changes.append(std::move(later));
  REQUIRE(store->write(changes));
  const auto state = reopen();
  REQUIRE(state.flows.size() == 1);
  CHECK(!state.flows[0].draining);
  CHECK(state.versions.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a row that was tampered with is refused by name") {
  REQUIRE(open()->write(sample()));
  sql("UPDATE rows SET body = replace(body, '3.5', '9.5') WHERE kind = 'node'");
  auto state = open()->load();
  REQUIRE(!state);
  CHECK(state.error().code == errc::corrupt);
  CHECK(state.error().message.find(file.string()) != std::string::npos);
  CHECK(state.error().message.find("node-a") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a row in another's place is refused") {
  REQUIRE(open()->write(sample()));
  sql("UPDATE rows SET key = 'node-b' WHERE kind = 'node'");
  CHECK(open()->load().error().code == errc::corrupt);
}

TEST_CASE_FIXTURE(fixture, "a file of a newer program is refused and left alone") {
  REQUIRE(open()->write(sample()));
  sql("PRAGMA user_version = 2");
  auto store = store::open_cluster_store(file);
  REQUIRE(!store);
  CHECK(store.error().code == errc::unsupported);
  CHECK(store.error().message.find("newer") != std::string::npos);
  sql("PRAGMA user_version = 1");
  CHECK(reopen().nodes.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a file that is no database, or somebody else's, is refused") {
  std::ofstream{file} << std::string(5000, 'x');
  CHECK(store::open_cluster_store(file).error().code == errc::corrupt);
  std::filesystem::remove(file);
  SQLite::Database{file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE}.exec("CREATE TABLE mine (x)");
  CHECK(store::open_cluster_store(file).error().code == errc::corrupt);
}

TEST_CASE_FIXTURE(fixture, "a file whose pages are damaged is refused, not crashed on") {
  {
    auto store = open();
    for (int round = 0; round < 20; ++round)
      REQUIRE(store->write(sample()));
  }
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto text_of = [](const stored_state& state) {
    std::string text = std::to_string(state.replica_id_last);
    const auto add = [&](const auto& rows) {
      for (const auto& row : rows)
        text += store::encode(row) + "\n";
    };
    add(state.nodes);
    add(state.flows);
    add(state.versions);
    add(state.replicas);
    add(state.answers);
    add(state.events);
    return text;
  };
  const auto whole = text_of(reopen());
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto size = std::filesystem::file_size(file);
  int refused = 0;
  REQUIRE(size > 4096);
  for (std::uintmax_t at = 0; at < size; at += 197) {
    const auto copy = folder / "copy.db";
    std::filesystem::copy_file(file, copy, std::filesystem::copy_options::overwrite_existing);
    {
      std::fstream bytes{copy, std::ios::in | std::ios::out | std::ios::binary};
      bytes.seekg(static_cast<std::streamoff>(at));
      const auto old = static_cast<char>(bytes.get());
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(static_cast<char>(old ^ 0x10));
    }
    auto store = store::open_cluster_store(copy);
    auto state = store ? (*store)->load() : result<stored_state>{fail(store)};
    if (!state) {
      ++refused;
      CHECK(state.error().message.find(copy.string()) != std::string::npos);
    } else {
      CHECK(text_of(*state) == whole); // nothing depended on that byte
    }
    store = fail(errc::ok, "");
    for (const char* suffix : {"-wal", "-shm"})
      std::filesystem::remove(copy.string() + suffix);
  }
  CHECK(refused > 0);
}

/// Frames of a log that are not left from an earlier one have the salts of its header.
std::size_t bytes_of_log(const std::string& wal) {
  constexpr std::size_t header = 32;
  constexpr std::size_t frame = 24 + 4096;
  std::size_t end = header;
  while (end + frame <= wal.size() && wal.compare(end + 8, 8, wal, 16, 8) == 0)
    end += frame;
  return end;
}

TEST_CASE_FIXTURE(fixture, "a flipped bit in the log of a killed head is named, and loses nothing silently") {
  auto store = open();
  for (int round = 0; round < 5; ++round)
    REQUIRE(store->write(sample()));
  const auto copy = folder / "copy.db";
  auto original = test::read_file(file.string() + "-wal");
  original.resize(bytes_of_log(original)); // what follows is of an earlier log
  int refused = 0;
  for (std::size_t at = 0; at < original.size(); at += 1 + original.size() / 100) {
    for (const char* suffix : {"", "-mark"})
      std::filesystem::copy_file(file.string() + suffix, copy.string() + suffix,
                                 std::filesystem::copy_options::overwrite_existing);
    std::filesystem::last_write_time(copy, std::filesystem::last_write_time(file));
    auto bytes = original;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    test::write_file(copy.string() + "-wal", bytes);
    std::filesystem::remove(copy.string() + "-shm");
    auto opened = store::open_cluster_store(copy);
    if (opened)
      continue; // a byte of the log that nothing depends on; what does is compared elsewhere
    ++refused;
    CHECK(opened.error().code == errc::corrupt);
    CHECK(opened.error().message.find(copy.string() + "-wal is ") != std::string::npos);
    CHECK(opened.error().message.find("damaged at byte") != std::string::npos);
  }
  CHECK(refused > 90);
}

/// On a disk of 2 MiB of its own; returns 0, or the number of what was not as it should be.
int fill_disk_and_go_on(const std::filesystem::path& file) {
  auto store = store::open_cluster_store(file);
  if (!store || !(*store)->load() || !(*store)->write(sample()))
    return 1;
  const auto filler = file.parent_path() / "filler";
  {
    std::ofstream fill{filler, std::ios::binary};
    for (const std::string page(4096, 'x'); fill << page << std::flush;) {
    }
  }
  auto changes = sample();
  for (int i = 0; i < 200; ++i) {
    changes.flows.at(0).draining = i % 2 == 0;
    changes.events.at(0).id = 100 + static_cast<std::uint64_t>(i);
    if (!(*store)->write(changes))
      return 2;
  }
  changes.events.at(0).text.assign(1 << 20, 'x');
  auto refused = (*store)->write(changes);
  if (refused || refused.error().code != errc::exhausted
      || refused.error().message.find("cluster.db: no space is left on its disk") == std::string::npos)
    return 3;
  std::filesystem::remove(filler);
  if (!(*store)->write(sample()))
    return 4;
  *store = nullptr;
  auto again = store::open_cluster_store(file);
  auto state = again ? (*again)->load() : result<stored_state>{fail(again)};
  return state && state->events.size() == 204 ? 0 : 5;
}

TEST_CASE_FIXTURE(fixture,
                  "on a full disk small changes are stored, and what cannot be is refused with what to do") {
  constexpr int not_allowed = 77;
  const auto child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0
        || ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2m") != 0)
      ::_exit(not_allowed);
    ::_exit(fill_disk_and_go_on(file));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == not_allowed)
    MESSAGE("skipped: only root can mount a small disk");
  else
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE_FIXTURE(fixture, "a sync that fails while the log is moved breaks the store, and loses nothing") {
  sluice::testing::fault_vfs disk;
  auto opened = store::open_cluster_store(file, disk.name);
  REQUIRE(opened);
  auto store = std::move(*opened);
  REQUIRE(store->load());
  auto changes = sample();
  changes.events.at(0).text.assign(200'000, 'x');
  const auto before = disk.syncs();
  REQUIRE(store->write(changes));
  const auto per_commit = static_cast<int>(disk.syncs() - before);
  std::uint64_t written = 1;
  for (; !store->broken() && written < 100; ++written) {
    changes.events.at(0).id = 100 + written;
    disk.fail_sync(per_commit + 1); // commits succeed, what follows does not
    REQUIRE(store->write(changes));
  }
  REQUIRE(store->broken());
  CHECK(written > 10);
  CHECK(store->broken()->message.find("a sync failed") != std::string::npos);
  disk.heal(); // even if the disk says it works again
  CHECK_FALSE(store->write(sample()));
  store.reset();
  CHECK(reopen().events.size() == 4 + written - 1);
}

TEST_CASE_FIXTURE(fixture, "a folder that is not there is named") {
  auto store = store::open_cluster_store(folder / "missing" / "cluster.db");
  REQUIRE(!store);
  CHECK(store.error().code == errc::unavailable);
  CHECK(store.error().message.find("missing") != std::string::npos);
}

} // namespace
