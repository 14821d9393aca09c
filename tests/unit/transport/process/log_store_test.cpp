// Goal: logs are found by flow and host, also of hosts that ended, and their number is bounded.
#include "tests/support/subprocess.hpp"
#include "transport/process/log_store.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace sluice;
using namespace sluice::process;

namespace {

struct store_fixture {
  test::temp_dir dir;
  log_directory logs{dir.path()};
  flow_name orders{"orders"};

  void run_host(std::uint64_t host, std::string text, bool ends = true, const char* flow = "orders") {
    log_writer writer{logs.open(flow_name{flow}, flow_version{1}, host_id{host}), {}};
    writer.write(text);
    if (ends)
      logs.close(host_id{host});
  }

  result<node::log_chunk> read(node::log_request request) {
    log_store store{logs};
    std::promise<result<node::log_chunk>> answer;
    store.read(request, [&](result<node::log_chunk> got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
};

node::log_request request_of(const char* flow, std::uint64_t host = 0) {
  node::log_request request;
  request.flow = flow_name{flow};
  request.host = host_id{host};
  return request;
}

} // namespace

TEST_CASE_FIXTURE(store_fixture, "without a host the newest one of the flow is read") {
  run_host(90, "old\n");
  run_host(10, "new\n", false);
  auto got = read(request_of("orders"));
  REQUIRE(got);
  CHECK(got->host == host_id{10});
  CHECK(got->text == "new\n");
  CHECK_FALSE(got->host_ended);
  got = read(request_of("orders", 90));
  CHECK(got->text == "old\n");
  CHECK(got->host_ended);
  CHECK(got->offset_next == 4);
}

TEST_CASE_FIXTURE(store_fixture, "the end is told with the last piece only") {
  run_host(1, "one\ntwo\n");
  auto request = request_of("orders", 1);
  request.size_bytes_max = 4;
  auto got = read(request);
  CHECK(got->text == "one\n");
  CHECK_FALSE(got->host_ended);
  request.offset = got->offset_next;
  got = read(request);
  CHECK(got->text == "two\n");
  CHECK(got->host_ended);
  request.tail_lines = 1;
  request.size_bytes_max = 1000;
  CHECK(read(request)->text == "two\n");
}

TEST_CASE_FIXTURE(store_fixture, "what is not there is said by name") {
  run_host(1, "x\n");
  CHECK(read(request_of("other")).error().code == errc::not_found);
  CHECK(read(request_of("other")).error().message == "flow 'other' has no log on this node");
  CHECK(read(request_of("orders", 7)).error().code == errc::not_found);
  CHECK(read(request_of("")).error().code == errc::invalid_argument);
  CHECK(read(request_of("", 1))->text == "x\n");
}

TEST_CASE_FIXTURE(store_fixture, "a flow name cannot lead out of the log directory") {
  test::write_file(dir.path() / "secret", "x");
  CHECK(read(request_of("../orders")).error().code == errc::not_found);
  CHECK(read(request_of(".")).error().code == errc::not_found);
}

TEST_CASE_FIXTURE(store_fixture, "of hosts that ended only the newest few stay, live ones always") {
  run_host(1, "live\n", false);
  for (std::uint64_t host = 2; host < 20; ++host)
    run_host(host, "dead\n");
  run_host(20, "now\n", false);
  auto left = logs.list(orders);
  CHECK(left.size() == limits::dead_host_logs_kept_max + 2);
  CHECK(left.front().host == host_id{1});
  CHECK_FALSE(left.front().ended);
  CHECK(left.back().host == host_id{20});
  CHECK(left[1].ended);
}

TEST_CASE_FIXTURE(store_fixture, "logs of flows that are gone have a bound together, the oldest go first") {
  constexpr auto bound = 10 * log_directory::log_bytes_min;
  log_directory bounded{dir.path(), bound};
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours{1};
  auto write = [&](const std::string& flow, std::uint64_t host, std::size_t bytes) {
    const auto at = bounded.open(flow_name{flow}, flow_version{1}, host_id{host});
    test::write_file(at / "0", std::string(bytes, 'x'));
    std::filesystem::last_write_time(at / "0", long_ago + std::chrono::seconds{host});
  };
  write("runs", 1, 100);
  bounded.close(host_id{1});
  write("runs", 2, 100'000'000); // however large: it is not of one that ended
  for (std::uint64_t host = 3; host < 103; ++host) {
    write("flow-" + std::to_string(host), host, host == 102 ? 3 * log_directory::log_bytes_min : 100);
    bounded.close(host_id{host});
  }
  bounded.open(flow_name{"runs"}, flow_version{1}, host_id{200});
  std::uint64_t first = 200;
  std::uintmax_t total = 0;
  const auto left = bounded.list({});
  for (const auto& each : left)
    if (each.ended) {
      const auto size = std::filesystem::file_size(each.path / "0");
      total += std::max<std::uintmax_t>(size, log_directory::log_bytes_min);
      if (each.flow != flow_name{"runs"})
        first = std::min(first, each.host.value);
    }
  CHECK(total == bound);
  CHECK(first == 96); // 96 to 101 are one each, 102 is three, and one is of the flow that runs
  CHECK(left.size() == 7 + 3);
  CHECK(bounded.find(flow_name{"runs"}, host_id{1}));
  CHECK_FALSE(std::filesystem::exists(dir.path() / "flow-3")); // not even the folder
}

TEST_CASE_FIXTURE(store_fixture, "after a restart of the node every log is of a host that ended") {
  run_host(1, "x\n", false);
  log_directory again{dir.path()};
  auto left = again.list(flow_name{});
  REQUIRE(left.size() == 1);
  CHECK(left[0].ended);
  CHECK(left[0].version == flow_version{1});
  CHECK(again.open(orders, flow_version{2}, host_id{2}).filename() == "0000000002-v2-0000000000000002");
}

TEST_CASE_FIXTURE(store_fixture, "all hosts with a log are listed") {
  run_host(1, "x\n");
  run_host(2, "x\n", false, "prices");
  log_store store{logs};
  std::promise<result<node::log_sources_reply>> answer;
  store.sources({}, [&](auto got) { answer.set_value(std::move(got)); });
  auto got = answer.get_future().get();
  REQUIRE(got);
  REQUIRE(got->sources.size() == 2);
  CHECK(got->sources[0].ended);
  CHECK(got->sources[1].flow == flow_name{"prices"});
  CHECK_FALSE(got->sources[1].ended);
}

TEST_CASE_FIXTURE(store_fixture, "the access log is one more log, under a name that no flow has") {
  run_host(1, "of a host\n");
  const flow_name access{std::string{node::access_log_flow}};
  CHECK(logs.list(access).empty());
  CHECK_FALSE(read(request_of("@access")));
  test::temp_dir elsewhere;
  log_writer{elsewhere.path(), {}}.write("GET /\n");
  logs.add_access_log(elsewhere.path());
  REQUIRE(logs.list(access).size() == 1);
  CHECK(logs.list({}).size() == 1); // of the host
  auto got = read(request_of("@access", logs.list(access)[0].host.value));
  REQUIRE(got);
  CHECK(got->text == "GET /\n");
  CHECK_FALSE(got->host_ended);
}
