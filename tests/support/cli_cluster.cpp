#include "tests/support/cli_cluster.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace sluice::test {

namespace fs = std::filesystem;
namespace js = boost::json;

namespace {

std::string joined(const std::vector<std::string>& args) {
  std::string text = "sluice";
  for (auto& arg : args)
    text += " " + arg;
  return text;
}

/// Protobuf's JSON writes 64-bit numbers as strings and leaves out zeros.
std::uint64_t to_number(const js::object& object, std::string_view member) {
  auto* value = object.if_contains(member);
  if (value == nullptr)
    return 0;
  return value->is_string() ? std::stoull(std::string{value->as_string()})
                            : value->to_number<std::uint64_t>();
}

std::string to_text(const js::object& object, std::string_view member) {
  auto* value = object.if_contains(member);
  return value != nullptr ? std::string{value->as_string()} : std::string{};
}

template <class F>
void for_each_of(const js::value& snapshot, std::string_view member, F&& visit) {
  if (auto* list = snapshot.as_object().if_contains(member))
    for (auto& entry : list->as_array())
      visit(entry.as_object());
}

} // namespace

// All programs of a build stand in one folder, the tests' own among them.
std::string program(const std::string& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

std::string sluice_program() { return program("sluice"); }

cli_cluster::cli_cluster() = default;

cli_cluster::~cli_cluster() {
  // kill, not stop: a test that failed may have left them in any state.
  for (auto& entry : fs::directory_iterator{dir_.path()})
    if (auto pid = node_pid(entry.path()); pid > 0) {
      kill(pid, SIGKILL);
      eventually([pid] { return !process_alive(pid); }, 10s);
    }
}

std::map<std::string, std::string> cli_cluster::env() const {
  return {{"SLUICE_HOME", dir_.path().string()}, {"NO_COLOR", "1"}};
}

run_result cli_cluster::sluice(std::vector<std::string> args, std::string input) {
  args.insert(args.begin(), sluice_program());
  return run(args, {.input = std::move(input), .env = env(), .directory = dir_.path(), .deadline = 120s});
}

std::string cli_cluster::must(std::vector<std::string> args, std::string input) {
  auto shown = joined(args);
  auto done = sluice(std::move(args), std::move(input));
  if (done.exit_code != 0)
    throw std::runtime_error{shown + " ended with " + std::to_string(done.exit_code) + ": " + done.out
                             + done.err};
  return done.out;
}

js::value cli_cluster::json(std::vector<std::string> args) {
  args.insert(args.end(), {"-o", "json"});
  return js::parse(must(std::move(args)));
}

void cli_cluster::start_head(std::vector<std::string> extra) {
  std::vector<std::string> args{"start", "--head", "--link-port", "0", "--control-port", "0"};
  args.insert(args.end(), extra.begin(), extra.end());
  must(args);
}

fs::path cli_cluster::start_worker(std::vector<std::string> extra) {
  auto state_dir = dir_.path() / ("w" + std::to_string(workers_.size() + 1));
  std::vector<std::string> args{"start", "--address", "auto", "--state-dir", state_dir.string()};
  args.insert(args.end(), extra.begin(), extra.end());
  must(args);
  workers_.push_back(state_dir);
  return state_dir;
}

std::string cli_cluster::record_of(const fs::path& state_dir, const char* member) {
  return to_text(js::parse(read_file(state_dir / "node.json")).as_object(), member);
}

pid_t cli_cluster::node_pid(const fs::path& state_dir) {
  auto text = read_file(state_dir / "node.json");
  if (text.empty())
    return 0;
  js::error_code broken;
  auto node = js::parse(text, broken);
  return broken ? 0 : static_cast<pid_t>(to_number(node.as_object(), "pid"));
}

pid_t cli_cluster::head_pid() const { return node_pid(head_dir()); }

void cli_cluster::put_jobs(const std::string& queue, std::uint64_t first, std::uint64_t count,
                           const std::string& extra) {
  std::string lines;
  for (std::uint64_t id = first; id < first + count; ++id)
    lines += R"({"id":)" + std::to_string(id) + extra + "}\n";
  must({"queue", "put", queue, "-"}, std::move(lines));
}

std::uint64_t cli_cluster::queue_number(const std::string& queue, const char* member) {
  std::uint64_t number = 0;
  for_each_of(json({"status"}), "queues", [&](const js::object& entry) {
    if (to_text(entry, "name") == queue)
      number = to_number(entry, member);
  });
  return number;
}

std::uint64_t cli_cluster::depth(const std::string& queue) { return queue_number(queue, "depth_count"); }

std::vector<js::value> cli_cluster::read_queue(const std::string& queue) {
  std::istringstream lines{must({"queue", "peek", queue, "--count", "0", "-o", "jsonl"})};
  std::vector<js::value> records;
  for (std::string line; std::getline(lines, line);)
    records.push_back(js::parse(line));
  return records;
}

std::vector<pid_t> cli_cluster::host_pids(const std::string& flow) {
  std::vector<pid_t> pids;
  for_each_of(json({"status"}), "nodes", [&](const js::object& node) {
    for_each_of(node, "hosts", [&](const js::object& host) {
      auto pid = static_cast<pid_t>(to_number(host, "pid"));
      if (to_text(host, "flow") == flow && to_text(host, "phase") == "running" && pid > 0)
        pids.push_back(pid);
    });
  });
  return pids;
}

std::string cli_cluster::flow_phase(const std::string& flow) {
  std::string phase;
  for_each_of(json({"status"}), "flows", [&](const js::object& entry) {
    if (to_text(entry, "name") == flow)
      phase = to_text(entry, "phase");
  });
  return phase;
}

void cli_cluster::wait_running(const std::string& flow) {
  REQUIRE_MESSAGE(eventually([&] { return flow_phase(flow) == "running"; }), must({"status"}));
}

} // namespace sluice::test
