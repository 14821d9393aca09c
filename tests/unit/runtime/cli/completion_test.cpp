// Goal: the completion script is good bash and completes what there is.
#include "tests/support/cli_fixture.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::test;

namespace {

struct completion_fixture : cli_fixture {
  completion_fixture() {
    REQUIRE(cli_fixture::run({"completion", "bash"}) == cli::ok);
    script = (dir.path() / "completion.bash").string();
    write_file(script, out);
  }

  /// What bash offers for the last of the words; `names` is what the head knows of one kind, as
  /// `list -o name` prints it.
  std::string complete(const std::string& words, int cursor, const std::string& names = {}) {
    auto test = "sluice() { [ \"$2\" = \"" + names.substr(0, names.find('/')) + "s\" ] && printf '" + names
                + "'; }\nsource " + script + "\nCOMP_WORDS=(" + words
                + ")\nCOMP_CWORD=" + std::to_string(cursor) + "\n_sluice\necho \"${COMPREPLY[@]}\"\n";
    auto done = test::run({"bash", "-c", test});
    CHECK(done.err.empty());
    return done.out;
  }

  std::string script;
};

} // namespace

TEST_CASE_FIXTURE(completion_fixture, "bash accepts the script") {
  CHECK(test::run({"bash", "-n", script}).exit_code == 0);
  CHECK(test::run({"bash", "-c", "source " + script + " && complete -p sluice"}).out
        == "complete -F _sluice sluice\n");
}

TEST_CASE_FIXTURE(completion_fixture, "commands, their children and options are completed") {
  CHECK(complete("sluice st", 1) == "start stop status\n");
  CHECK(complete("sluice queue pe", 2) == "peek\n");
  CHECK(complete("sluice queue peek in --co", 4) == "--count --control --config\n");
  CHECK(complete("sluice start --hea", 2) == "--head\n");
  CHECK(complete("sluice list no", 2) == "nodes\n");
  CHECK(complete("sluice completion ''", 2) == "bash\n");
}

TEST_CASE_FIXTURE(completion_fixture, "names come from the head") {
  CHECK(complete("sluice drain flow/o", 2, "flow/orders\\nflow/other\\n") == "flow/orders flow/other\n");
  CHECK(complete("sluice queue put or", 3, "queue/orders\\n") == "orders\n");
  CHECK(complete("sluice scale orders/", 2, "processor/orders/price\\n") == "orders/price\n");
}

TEST_CASE_FIXTURE(completion_fixture, "where nothing is known files are offered") {
  CHECK(complete("sluice submit " + dir.path().string() + "/compl", 2) == script + "\n");
}

TEST_CASE_FIXTURE(completion_fixture, "another shell is refused") {
  CHECK(cli_fixture::run({"completion", "tcsh"}) == cli::bad_usage);
}
