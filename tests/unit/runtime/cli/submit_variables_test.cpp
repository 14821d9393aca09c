// Goal: a flow gets the variables that submit was given, what is wrong is named by option or line, and no value is
// ever shown.
#include "tests/support/cli_fixture.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::test;

namespace {

struct variables_fixture : cli_fixture {
  variables_fixture() {
    binary = (dir.path() / "orders").string();
    write_file(binary, "abc");
    described->name = flow_name{"orders"};
    head.submit_reply.set_flow("orders");
    head.submit_reply.set_version(1);
  }

  int submit(std::vector<std::string> options, const std::string& input = {}) {
    options.insert(options.begin(), {"submit", binary, "--detach"});
    return run(options, input);
  }

  flow_variables sent() { return {head.header.env().begin(), head.header.env().end()}; }

  std::string file(const std::string& text) {
    auto path = (dir.path() / "vars").string();
    write_file(path, text);
    return path;
  }

  std::string binary;
};

} // namespace

TEST_CASE_FIXTURE(variables_fixture, "variables go to the head and to the program that describes the flow") {
  CHECK(submit({"--env", "ADMIN_TOKEN=s3cret", "--env", "EMPTY=", "--env", "URL=a=b"}) == cli::ok);
  const flow_variables expected{{"ADMIN_TOKEN", "s3cret"}, {"EMPTY", ""}, {"URL", "a=b"}};
  CHECK(sent() == expected);
  CHECK(described_with == expected);
  CHECK_FALSE(out_has("s3cret"));
  CHECK_FALSE(err_has("s3cret"));
  CHECK(head.header.args().empty());
}

TEST_CASE_FIXTURE(variables_fixture, "a name alone takes the caller's value") {
  variables["ADMIN_TOKEN"] = "s3cret";
  CHECK(submit({"--env", "ADMIN_TOKEN", "-o", "json"}) == cli::ok);
  CHECK(sent() == flow_variables{{"ADMIN_TOKEN", "s3cret"}});
  CHECK_FALSE(out_has("s3cret"));
  CHECK(submit({"--env", "READER_KEY"}) == cli::bad_usage);
  CHECK(err_has("--env READER_KEY: your environment has no such variable"));
}

TEST_CASE_FIXTURE(variables_fixture,
                  "a file has a variable per line; what is on the command line goes before it") {
  auto path =
    file("# who may change it\n\n  \t# indented\nADMIN_TOKEN= \"s3 cret\" # x\r\n  READER_KEY=abc\nLAST=1");
  CHECK(submit({"--env-file", path, "--env", "READER_KEY=xyz"}) == cli::ok);
  CHECK(sent() == flow_variables{{"ADMIN_TOKEN", " \"s3 cret\" # x"}, {"READER_KEY", "xyz"}, {"LAST", "1"}});
  CHECK(submit({"--env-file", "-"}, "A=1\n") == cli::ok);
  CHECK(sent() == flow_variables{{"A", "1"}});
}

TEST_CASE_FIXTURE(variables_fixture, "the standard input is read once") {
  CHECK(submit({"--env-file", "-", "--env-file", "-"}, "A=1\n") == cli::bad_usage);
  CHECK_MESSAGE(err_has("--env-file - was given twice: the standard input can be read once only"), err);
  CHECK(head.targets.empty());
  auto path = file("A=1\n");
  CHECK(submit({"--env-file", path, "--env-file", "-", "--env-file", path}, "A=2\n") == cli::ok);
  CHECK(sent() == flow_variables{{"A", "1"}}); // the last goes before
}

TEST_CASE_FIXTURE(variables_fixture, "a wrong line is named by file and number, and not shown") {
  auto path = file("A=1\n\nt0pS3cret\n");
  CHECK(submit({"--env-file", path}) == cli::bad_usage);
  CHECK(err_has(path + ":3: the line is not NAME=VALUE"));
  CHECK_FALSE(err_has("t0pS3cret"));
  file("# x\nt0p-S3cret==\n");
  CHECK(submit({"--env-file", path}) == cli::bad_usage);
  CHECK(err_has(path + ":2: a variable's name has letters"));
  CHECK_FALSE(err_has("S3cret"));
  file("A=s3cret\xff\n");
  CHECK(submit({"--env-file", path}) == cli::bad_usage);
  CHECK(err_has(path + ":1: A: its value is not UTF-8"));
  CHECK_FALSE(err_has("s3cret"));
  file(std::string(limits::variables_file_bytes_max + 1, '#'));
  CHECK(submit({"--env-file", path}) == cli::bad_usage);
  CHECK(err_has("at most 1024 KiB"));
  CHECK(submit({"--env-file", path + "-none"}) == cli::not_found);
  CHECK(err_has(path + "-none"));
  CHECK(submit({"--env-file", dir.path().string()}) == cli::bad_usage);
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(variables_fixture, "what no flow may be given is refused before anything is sent") {
  struct row {
    const char* given;
    const char* said;
  };
  for (auto [given, said] :
       {row{"9X=s3cret", "--env '9X': a variable's name has letters"}, row{"=s3cret", "--env ''"},
        row{"SLUICE_HOST=s3cret", "SLUICE_ are Sluice's own"}, row{"LD_PRELOAD=s3cret", "the loader's"}}) {
    CHECK(submit({"--env", given}) == cli::bad_usage);
    CHECK_MESSAGE(err_has(said), err);
    CHECK_FALSE(err_has("s3cret"));
  }
  CHECK(submit({"--env", "BIG=" + std::string(70'000, 'x')}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("variable 'BIG' is too large: it takes 70005 bytes"), err);
  CHECK(err_has("64 KiB"));
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(variables_fixture, "a head that would drop the variables gets nothing") {
  head.takes_submit_env = false;
  CHECK(submit({"--env", "A=s3cret"}) == cli::failed);
  CHECK_MESSAGE(err_has("the head is of an older Sluice (9.9.9), which drops what --env and --env-file give"),
                err);
  CHECK_FALSE(err_has("s3cret"));
  CHECK(head.uploaded.empty());
  CHECK(submit({}) == cli::ok); // there is nothing to lose
  CHECK(head.uploaded == "abc");
}

TEST_CASE_FIXTURE(variables_fixture, "of a flow's variables the names are shown") {
  auto* flow = head.snapshot.add_flows();
  flow->set_name("orders");
  flow->add_env_names("ADMIN_TOKEN");
  CHECK(run({"get", "flow/orders"}) == cli::ok);
  CHECK(out_has("env_names:\n  ADMIN_TOKEN\n"));
}
