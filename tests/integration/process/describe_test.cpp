// Goal: a binary that is no flow, or none for us, is refused with the real reason.
#include "tests/support/subprocess.hpp"
#include "transport/artifact/artifact_admission.hpp"
#include "transport/artifact/describe.hpp"

#include <sluice/core/version.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::artifact;
using namespace std::chrono_literals;

namespace {

flow_spec example_flow(const std::string& version) {
  flow_spec spec;
  spec.name = flow_name{"orders"};
  spec.sluice_version = version;
  processor_spec work;
  work.name = processor_name{"work"};
  work.source = {"queue", {{"name", "in"}}};
  work.sink = {"queue", {{"name", "out"}}};
  spec.processors = {work};
  return spec;
}

[[noreturn]] void act_as(const std::string& role) {
  ::signal(SIGSEGV, SIG_DFL);
  if (role == "flow")
    std::puts(to_json(example_flow(SLUICE_VERSION)).c_str());
  else if (role == "old")
    std::puts(to_json(example_flow("9.9.0")).c_str());
  else if (role == "noise")
    std::puts("hello, world");
  else if (role == "flood")
    for (;;)
      std::puts("{\"sluice\":\"and so on and so on and so on\"");
  else if (role == "environment")
    for (auto name : {"ADMIN_TOKEN", "DESCRIBE_TEST_SECRET"})
      std::puts(std::getenv(name) == nullptr ? "none" : std::getenv(name));
  else if (role == "hang")
    for (std::fputs("waiting for the database\n", stderr);;)
      ::pause();
  else if (role == "crash")
    ::raise(SIGSEGV);
  else if (role == "fail") {
    std::fputs("cannot read \x1b[31mconfig\n", stderr);
    std::fflush(nullptr);
    ::_exit(4);
  } else if (role == "write") {
    ::signal(SIGXFSZ, SIG_IGN);
    std::ofstream file{"/tmp/sluice_describe_was_here"};
    file << "x" << std::flush;
    std::puts(file ? "written" : "refused");
  }
  std::fflush(nullptr);
  ::_exit(0);
}

/// This program plays the binary that is asked: `/proc/self/exe --describe ROLE`.
const bool is_the_test = [] {
  std::ifstream file{"/proc/self/cmdline"};
  std::vector<std::string> args;
  for (std::string each; std::getline(file, each, '\0');)
    args.push_back(each);
  if (args.size() == 3 && args[1] == "--describe")
    act_as(args[2]);
  return true;
}();

result<flow_spec> ask(const std::string& role, std::chrono::milliseconds deadline = 60s) {
  describe_options options;
  options.sluice_version = SLUICE_VERSION;
  options.args = {role};
  options.deadline = deadline;
  return describe("/proc/self/exe", options);
}

result<flow_spec> ask_file(const std::filesystem::path& path) {
  describe_options options;
  options.sluice_version = SLUICE_VERSION;
  return describe(path, options);
}

bool says(const result<flow_spec>& got, errc code, const std::string& text) {
  if (got)
    return false;
  if (got.error().message.find(text) == std::string::npos)
    MESSAGE(got.error().message);
  CHECK(to_string(got.error().code) == to_string(code));
  return got.error().message.find(text) != std::string::npos;
}

} // namespace

TEST_CASE("a flow describes itself") {
  auto got = ask("flow");
  REQUIRE(got);
  CHECK(*got == example_flow(SLUICE_VERSION));
}

TEST_CASE("a program that is no flow is shown with what it did") {
  CHECK(says(ask("noise"), errc::invalid_argument, "is not a flow"));
  CHECK(says(ask("noise"), errc::invalid_argument, "it printed: hello, world"));
  CHECK(says(ask("nothing"), errc::invalid_argument, "it printed nothing"));
  CHECK(says(ask("crash"), errc::invalid_argument, "killed by SIGSEGV"));
  CHECK(says(ask("fail"), errc::invalid_argument, "exited with code 4\ncannot read \\x1b[31mconfig"));
  CHECK(says(ask("flood"), errc::invalid_argument, "prints more than"));
}

TEST_CASE("a program that is asked finds what hosts will find in their environment, and no more") {
  ::setenv("DESCRIBE_TEST_SECRET", "ours", 1);
  describe_options options;
  options.sluice_version = SLUICE_VERSION;
  options.args = {"environment"};
  options.env = {{"ADMIN_TOKEN", "xyz"}};
  CHECK(says(describe("/proc/self/exe", options), errc::invalid_argument, "it printed: xyz\nnone"));
}

TEST_CASE("a program that hangs is ended at the deadline") {
  const std::string last_words = "waiting for the database";
  auto deadline = 300ms;
  auto got = ask("hang", deadline);
  // A busy machine may not even have let it say something.
  for (; !got && got.error().message.find(last_words) == std::string::npos && deadline < 60s;
       got = ask("hang", deadline))
    deadline *= 4;
  CHECK(says(got, errc::timeout,
             "did not describe its flow within " + std::to_string(deadline.count()) + " ms\n" + last_words));
}

TEST_CASE("a flow of another Sluice is refused with both versions") {
  CHECK(says(ask("old"), errc::unsupported, "it was built against Sluice 9.9.0, this is " SLUICE_VERSION));
  CHECK(check_version("1.2.3", "1.2.9"));
  CHECK_FALSE(check_version("1.2.3", "1.3.3"));
  CHECK_FALSE(check_version("1.2.3", "2.2.3"));
  CHECK_FALSE(check_version("", "1.2.3"));
  CHECK_FALSE(check_version("1.20", "1.2"));
}

TEST_CASE("describing writes no files") {
  ::unlink("/tmp/sluice_describe_was_here");
  CHECK(says(ask("write"), errc::invalid_argument, "it printed: refused"));
  ::unlink("/tmp/sluice_describe_was_here");
}

TEST_CASE("a file that is no program is told apart from one that is missing") {
  test::temp_dir dir;
  auto path = dir.path() / "thing";
  CHECK(says(ask_file(path), errc::not_found, "No such file"));
  CHECK(says(ask_file(dir.path()), errc::invalid_argument, "is not a file"));
  test::write_file(path, "#!/bin/sh\n");
  ::chmod(path.c_str(), 0600);
  CHECK(says(ask_file(path), errc::invalid_argument, "not executable"));
  ::chmod(path.c_str(), 0700);
  CHECK(says(ask_file(path), errc::invalid_argument, "not a compiled program (ELF)"));
  test::write_file(path, std::string{"\177ELF"} + std::string(100, 'x'));
  CHECK(says(ask_file(path), errc::invalid_argument, "exec format error"));
}

TEST_CASE("a missing shared library is named as the loader names it") {
  test::temp_dir dir;
  auto bytes = test::read_file("/bin/true");
  auto at = bytes.find(std::string{"libc.so.6\0", 10});
  REQUIRE(at != std::string::npos);
  bytes.replace(at, 9, "libq.so.6");
  auto path = dir.path() / "lacking";
  test::write_file(path, bytes);
  ::chmod(path.c_str(), 0700);
  CHECK(says(ask_file(path), errc::invalid_argument,
             "lacks a shared library on this machine: libq.so.6: cannot open shared object file"));
}

namespace {

struct admission_fixture {
  test::temp_dir dir;
  std::unique_ptr<artifact_store> store = std::move(*artifact_store::open(dir.path()));
  artifact_admission admission{*store, SLUICE_VERSION};
  std::string self = test::read_file("/proc/self/exe");

  artifact_id hash_of(const std::string& bytes) {
    sha256 hash;
    hash.add(bytes);
    return hash.finish();
  }

  result<control::admitted_artifact> submit(const std::string& bytes, const std::string& role) {
    auto incoming = admission.begin(hash_of(bytes), bytes.size(), {role}, {});
    REQUIRE(incoming);
    REQUIRE((*incoming)->append(bytes));
    return (*incoming)->finish();
  }
};

} // namespace

TEST_CASE_FIXTURE(admission_fixture, "a flow is taken in, with what it says of itself") {
  auto got = submit(self, "flow");
  REQUIRE(got);
  CHECK(got->spec.name == flow_name{"orders"});
  CHECK(got->size_bytes == self.size());
  CHECK(store->open_verified(got->artifact));
}

TEST_CASE_FIXTURE(admission_fixture, "what is no flow is not kept, and harms no artifact that was") {
  CHECK_FALSE(submit(self, "crash"));
  CHECK(store->list().empty());
  REQUIRE(submit(self, "flow"));
  CHECK_FALSE(submit(self, "crash"));
  CHECK(store->list().size() == 1);
  CHECK_FALSE(submit("no program", "flow"));
  CHECK(store->list().size() == 1);
}

TEST_CASE_FIXTURE(admission_fixture, "a truncated upload runs nothing") {
  auto incoming = admission.begin(hash_of(self), self.size(), {"flow"}, {});
  REQUIRE((*incoming)->append(self.substr(0, self.size() - 1)));
  auto got = (*incoming)->finish();
  REQUIRE_FALSE(got);
  CHECK(got.error().code == errc::corrupt);
  CHECK(store->list().empty());
}
