// Goal: a state dir has one owner at a time, and the commands of a machine find its nodes.
#include "tests/support/subprocess.hpp"
#include "runtime/config/state_dir.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::config;
using namespace sluice::test;

TEST_CASE("a state dir is made private and claimed by one") {
  temp_dir base;
  auto dir = base.path() / "a" / "head";
  auto first = claim_state_dir(dir);
  REQUIRE(first);
  struct stat entry {};
  REQUIRE(stat(dir.c_str(), &entry) == 0);
  CHECK((entry.st_mode & 0777) == 0700);
  CHECK(holder_of(dir) == getpid());
  auto second = claim_state_dir(dir);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == errc::conflict);
  CHECK(second.error().message.find(std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("a folder that was there keeps its mode, and is refused if others may use it") {
  temp_dir base;
  const auto dir = base.path() / "own";
  const auto mode_of = [&] {
    struct stat entry {};
    REQUIRE(stat(dir.c_str(), &entry) == 0);
    return entry.st_mode & 07777;
  };
  std::filesystem::create_directory(dir);
  for (mode_t open : {0755, 0750, 01777}) {
    REQUIRE(chmod(dir.c_str(), open) == 0);
    auto refused = claim_state_dir(dir);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::permission_denied);
    CHECK_MESSAGE(refused.error().message.find("chmod 700 " + dir.string()) != std::string::npos,
                  refused.error().message);
    CHECK(mode_of() == open);
    CHECK(std::filesystem::is_empty(dir));
  }
  REQUIRE(chmod(dir.c_str(), 0700) == 0);
  CHECK(claim_state_dir(dir));
  REQUIRE(chmod(dir.c_str(), 0711) == 0); // opened after its first start
  CHECK(claim_state_dir(dir).error().code == errc::permission_denied);
  CHECK(mode_of() == 0711);
}

TEST_CASE("a folder with other things in it is not taken, whatever its mode") {
  temp_dir base;
  const auto dir = base.path() / "photos";
  std::filesystem::create_directory(dir);
  REQUIRE(chmod(dir.c_str(), 0755) == 0);
  write_file(dir / "holiday.jpg", "x");
  for (mode_t mode : {0755, 0700}) {
    REQUIRE(chmod(dir.c_str(), mode) == 0);
    auto refused = claim_state_dir(dir);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_argument);
    CHECK_MESSAGE(refused.error().message.find("is no state folder of Sluice") != std::string::npos,
                  refused.error().message);
  }
  CHECK_FALSE(std::filesystem::exists(dir / "lock"));
  CHECK(claim_state_dir(dir / "sluice"));
  REQUIRE(chmod(dir.c_str(), 0700) == 0);
  std::filesystem::create_directory(dir / "identity"); // a copy without the lock is still a node's state
  CHECK(claim_state_dir(dir));
}

// Goal: a run by hand writes into no folder that is somebody's for something else, and still into those it always had.
TEST_CASE("a run by hand takes a folder as a node does, and that of an earlier run") {
  temp_dir base;
  const auto dir = base.path() / "own";
  const auto refused_with = [&](errc code, const std::string& text) {
    const auto refused = prepare_run_dir(dir);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == code);
    CHECK_MESSAGE(refused.error().message.find(text) != std::string::npos, refused.error().message);
  };
  REQUIRE(prepare_run_dir(dir));
  struct stat entry {};
  REQUIRE(stat(dir.c_str(), &entry) == 0);
  CHECK((entry.st_mode & 0777) == 0700);
  CHECK_FALSE(is_run_dir(dir));
  REQUIRE(chmod(dir.c_str(), 0755) == 0);
  refused_with(errc::permission_denied, "chmod 700");
  write_file(dir / "passwd", "x");
  refused_with(errc::invalid_argument, "is no state folder of Sluice");
  write_file(dir / "queue.db", "x");
  CHECK(is_run_dir(dir));
  CHECK(prepare_run_dir(dir));
  CHECK_FALSE(claim_state_dir(dir));
  REQUIRE(chmod(dir.c_str(), 0775) == 0);
  refused_with(errc::permission_denied, "chmod 700");
  REQUIRE(chmod(dir.c_str(), 0700) == 0);
  write_file(dir / "lock", "");
  CHECK_FALSE(is_run_dir(dir));
  refused_with(errc::invalid_argument, "that of a node");
}

TEST_CASE("a new state dir is private however it is written") {
  temp_dir base;
  CHECK(claim_state_dir(base.path() / "a" / ""));
  CHECK(claim_state_dir(base.path() / "b" / "."));
}

TEST_CASE("a dir that was made for nothing goes again, and no other does") {
  temp_dir base;
  const auto dir = base.path() / "worker";
  auto kept = [&](const std::string& file) {
    auto claim = claim_state_dir(dir);
    REQUIRE(claim);
    std::filesystem::create_directory(dir / "identity");
    write_file(dir / "node.log", "x");
    if (!file.empty())
      write_file(dir / file, "x");
    remove_unused_dir(dir, *claim);
    return std::filesystem::exists(dir / "lock") && std::filesystem::exists(dir / "node.log");
  };
  SUBCASE("a lock and a log are nothing") {
    CHECK_FALSE(kept(""));
    CHECK_FALSE(std::filesystem::exists(dir));
    CHECK(std::filesystem::exists(base.path()));
  }
  SUBCASE("the node is somebody") { CHECK(kept("identity/key.pem")); }
  SUBCASE("something else is in it") { CHECK(kept("queue.db")); }
  SUBCASE("it was there before") {
    CHECK(claim_state_dir(dir));
    CHECK(kept(""));
  }
}

TEST_CASE("a claim that is gone leaves the dir free") {
  temp_dir base;
  {
    auto claim = claim_state_dir(base.path() / "head");
    REQUIRE(claim);
  }
  CHECK_FALSE(holder_of(base.path() / "head"));
  CHECK(claim_state_dir(base.path() / "head"));
}

TEST_CASE("a forked child keeps the claim when its parent lets go, and is named by it") {
  temp_dir base;
  auto dir = base.path() / "head";
  auto claim = claim_state_dir(dir);
  REQUIRE(claim);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  auto child = fork();
  if (child == 0) {
    claim->sign();
    char byte = 0;
    close(ends[1]);
    static_cast<void>(!read(ends[0], &byte, 1)); // until the parent closes its end
    _exit(0);
  }
  close(ends[0]);
  *claim = state_claim{};
  CHECK(eventually([&] { return holder_of(dir) == child; }));
  CHECK(claim_state_dir(dir).error().message.find(std::to_string(child)) != std::string::npos);
  close(ends[1]);
  waitpid(child, nullptr, 0);
  CHECK_FALSE(holder_of(dir));
}

TEST_CASE("workers take the first folder that is free") {
  temp_dir base;
  auto first = claim_worker_dir(base.path());
  auto second = claim_worker_dir(base.path());
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->path.filename() == "worker-1");
  CHECK(second->path.filename() == "worker-2");
  first->claim = state_claim{};
  CHECK(claim_worker_dir(base.path())->path.filename() == "worker-1");
}

TEST_CASE("a path that can be no folder is wrong usage, and said") {
  temp_dir base;
  const auto file = base.path() / "file";
  write_file(file, "x");
  for (const auto& path : {file, file / "head"}) {
    auto claim = claim_state_dir(path);
    REQUIRE_FALSE(claim);
    CHECK(claim.error().code == errc::invalid_argument);
    CHECK(claim.error().message.find(path.string()) != std::string::npos);
  }
}

TEST_CASE("a node's record is read as it was written") {
  temp_dir base;
  node_record record{"head", "node-1", 4711, "127.0.0.1:7410", "127.0.0.1:7411", "/a \"b\"/control.sock",
                     "/log", 1234};
  REQUIRE(write_node_record(base.path(), record));
  CHECK(read_node_record(base.path()) == record);
  remove_node_record(base.path());
  CHECK_FALSE(read_node_record(base.path()));
  write_file(base.path() / "node.json", "{\"pid\": ");
  CHECK_FALSE(read_node_record(base.path()));
  write_file(base.path() / "node.json", "[]");
  CHECK_FALSE(read_node_record(base.path()));
}

TEST_CASE("running nodes are found, workers first; what a killed one left is not") {
  temp_dir base;
  auto head = claim_state_dir(base.path() / "head");
  auto worker = claim_worker_dir(base.path());
  std::filesystem::create_directories(base.path() / "worker-9");
  node_record stale{"worker", "node-9", 1, "", "", "", "", 0};
  REQUIRE(write_node_record(base.path() / "worker-9", stale));
  node_record record{"head", "node-1", getpid(), "127.0.0.1:1", "", "s", "", 0};
  REQUIRE(write_node_record(base.path() / "head", record));
  REQUIRE(write_node_record(worker->path, stale)); // of an earlier process with another pid

  auto found = find_nodes(base.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].dir == worker->path);
  CHECK_FALSE(found[0].record);
  CHECK(found[1].record == record);
  CHECK(find_head(base.path()) == record);
  *head = state_claim{};
  CHECK_FALSE(find_head(base.path()));
  CHECK(find_nodes(base.path() / "none").empty());
}

TEST_CASE("nodes with state elsewhere are found while the process that listed them has it") {
  temp_dir home, elsewhere;
  const auto base = home.path() / "home";
  auto own = claim_state_dir(elsewhere.path() / "own");
  auto usual = claim_state_dir(base / "worker-1");
  REQUIRE(own);
  REQUIRE(list_node(base, base / "worker-1")); // found anyway
  CHECK_FALSE(std::filesystem::exists(base / "run"));
  REQUIRE(list_node(base, elsewhere.path() / "own"));
  auto found = find_nodes(base);
  REQUIRE(found.size() == 2);
  CHECK((found[0].dir == elsewhere.path() / "own" || found[1].dir == elsewhere.path() / "own"));
  CHECK(found[0].pid == getpid());
  write_file(base / "run" / "1", (elsewhere.path() / "own").string()); // not the process that has it
  write_file(base / "run" / "2", "nowhere");
  CHECK(find_nodes(base).size() == 2);
  REQUIRE(list_node(base, elsewhere.path() / "own"));
  CHECK_FALSE(std::filesystem::exists(base / "run" / "1"));
  CHECK_FALSE(std::filesystem::exists(base / "run" / "2"));
  *own = state_claim{};
  CHECK(find_nodes(base).size() == 1);
  unlist_node(base);
  CHECK(std::filesystem::is_empty(base / "run"));
}
