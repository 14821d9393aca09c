// Goal: guarded routes run on a cluster: a flow's variables are part of its version, over updates, rollbacks and
// a new head, and their values are shown nowhere.
#include "tests/support/cli_cluster.hpp"
#include "tests/support/http_client.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <string>

using namespace sluice::test;
using sluice::testing::http_client;

namespace {

/// One machine that runs `settings`, the example `guard`.
struct guarded : cli_cluster {
  guarded() { start_head({"--http", "127.0.0.1:0"}); }

  /// The status of one request; 0 while nobody listens.
  unsigned ask(const std::string& method, const std::string& header) const {
    const auto address = record_of(head_dir(), "http_address");
    http_client client{static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)))};
    const std::string body = method == "PUT" ? R"({"value":"on"})" : "";
    return client
      .ask(method
           + " /setting HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
           + std::to_string(body.size()) + "\r\n" + (header.empty() ? "" : header + "\r\n") + "\r\n" + body)
      .status;
  }
  unsigned show(const std::string& key) const { return ask("GET", key.empty() ? "" : "X-Api-Key: " + key); }
  unsigned change(const std::string& token) const {
    return ask("PUT", token.empty() ? "" : "Authorization: Bearer " + token);
  }

  std::string file(const std::string& text) {
    const auto path = (home() / "settings.env").string();
    write_file(path, text);
    return path;
  }
};

const std::string guard_program = program("example_guard");

} // namespace

TEST_CASE_FIXTURE(guarded, "a guard without its variable says what to do, and is served once it has it") {
  must({"submit", guard_program, "--detach"}); // /health needs no secret: it runs in part, and goes on trying
  CHECK(eventually([&] {
    return must({"get", "flow/settings"}).find("give it with: sluice submit ... --env ") != std::string::npos;
  }));
  auto missing = sluice({"submit", guard_program, "--env", "READER_KEY"});
  CHECK(missing.exit_code == 2);
  CHECK(missing.err.find("READER_KEY") != std::string::npos);

  // One from the caller's environment, one from a file.
  auto environment = env();
  environment["ADMIN_TOKEN"] = "s3cret-token";
  auto done = run({sluice_program(), "submit", guard_program, "--env", "ADMIN_TOKEN", "--env-file",
                   file("# readers\nREADER_KEY=s3cret-key\n")},
                  {.input = {}, .env = environment, .directory = home(), .deadline = 120s});
  REQUIRE_MESSAGE(done.exit_code == 0, done.err);
  CHECK(eventually([&] { return show("s3cret-key") == 200; }));
  CHECK(show("") == 401);
  CHECK(show("wrong") == 403);
  CHECK(change("") == 401);
  CHECK(change("wrong") == 401);
  CHECK(change("s3cret-token") == 204);
}

TEST_CASE_FIXTURE(guarded,
                  "an update has its own variables, a rollback those of before, and a new head all of them") {
  must({"submit", guard_program, "--env", "READER_KEY=first", "--env", "ADMIN_TOKEN=t"});
  CHECK(eventually([&] { return show("first") == 200; }));
  must({"submit", guard_program, "--env", "READER_KEY=second", "--env", "ADMIN_TOKEN=t"});
  CHECK(eventually([&] { return show("second") == 200 && show("first") == 403; }));
  must({"rollback", "flow/settings"});
  CHECK(eventually([&] { return show("first") == 200 && show("second") == 403; }));

  const auto pid = head_pid();
  REQUIRE(pid > 0);
  kill(pid, SIGKILL); // its hosts end with it
  REQUIRE(eventually([&] { return !process_alive(pid); }));
  start_head({"--http", "127.0.0.1:0"});
  CHECK(eventually([&] { return show("first") == 200; }));
  CHECK(show("second") == 403);
}

TEST_CASE_FIXTURE(guarded, "the names of variables are shown, the values nowhere") {
  const std::string secret = "s3cret-value";
  must(
    {"submit", guard_program, "--env-file", file("READER_KEY=" + secret + "\nADMIN_TOKEN=" + secret + "\n")});
  std::filesystem::remove(home() / "settings.env");
  CHECK(eventually([&] { return show(secret) == 200; }));
  const auto flow = must({"get", "flow/settings"});
  CHECK_MESSAGE(flow.find("ADMIN_TOKEN") != std::string::npos, flow);
  CHECK(flow.find(secret) == std::string::npos);
  for (const auto& args : std::vector<std::vector<std::string>>{{"get", "flow/settings", "-o", "json"},
                                                                {"list", "flows", "-o", "json"},
                                                                {"list", "hosts", "-o", "json"},
                                                                {"list", "events", "-o", "json"},
                                                                {"status", "-o", "json"},
                                                                {"logs", "flow/settings"}})
    CHECK_MESSAGE(must(args).find(secret) == std::string::npos, args.front());
  for (auto pid : host_pids("settings"))
    CHECK(read_file("/proc/" + std::to_string(pid) + "/cmdline").find(secret) == std::string::npos);
  // On disk it stands in the head's database alone, which is this user's.
  for (const auto& entry : std::filesystem::recursive_directory_iterator{home()}) {
    if (!entry.is_regular_file() || read_file(entry.path()).find(secret) == std::string::npos)
      continue;
    CHECK_MESSAGE(entry.path().filename().string().starts_with("cluster.db"), entry.path().string());
    CHECK((entry.status().permissions()
           & ~(std::filesystem::perms::owner_read | std::filesystem::perms::owner_write))
          == std::filesystem::perms::none);
  }
}
