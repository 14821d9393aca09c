// Goal: a value comes from where the order says, with its origin, and whatever is wrong is named
// with the place it stands in.
#include "tests/support/subprocess.hpp"
#include "runtime/config/settings.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>

using namespace sluice;
using namespace sluice::config;
using namespace sluice::test;

namespace {

struct settings_fixture {
  variable_reader reader() {
    return [this](const std::string& name) -> std::optional<std::string> {
      auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional{found->second};
    };
  }

  std::string write(const std::string& name, const std::string& text) {
    auto path = dir.path() / name;
    write_file(path, text);
    return path.string();
  }

  result<settings> load() { return load_settings({flags, reader(), file, search}); }

  failure load_failure() {
    auto loaded = load();
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == errc::invalid_argument);
    return loaded.error();
  }

  result<node_options> options() {
    auto loaded = load();
    REQUIRE_MESSAGE(loaded, loaded.error().message);
    return node_options_of(*loaded);
  }

  bool says(const failure& why, std::string_view text) { return why.message.find(text) != std::string::npos; }

  temp_dir dir;
  std::map<std::string, std::string> flags;
  std::map<std::string, std::string> variables;
  std::string file;
  std::vector<std::filesystem::path> search;
};

} // namespace

TEST_CASE_FIXTURE(settings_fixture,
                  "a flag goes before the environment, that before the file, that before the default") {
  CHECK(load()->at("link-port").text == "7410");
  CHECK(load()->at("link-port").origin == "default");
  file = write("a.toml", "# comment\nlink_port = 1\n");
  CHECK(load()->at("link-port").text == "1");
  CHECK(load()->at("link-port").origin == file + ":2");
  variables["SLUICE_LINK_PORT"] = "2";
  CHECK(load()->at("link-port").text == "2");
  CHECK(load()->at("link-port").origin == "environment SLUICE_LINK_PORT");
  flags["link-port"] = "3";
  CHECK(load()->at("link-port").text == "3");
  CHECK(load()->at("link-port").origin == "flag --link-port");
}

TEST_CASE_FIXTURE(settings_fixture, "an empty variable is no value") {
  variables["SLUICE_LISTEN"] = "";
  CHECK(load()->is_default("listen"));
}

TEST_CASE_FIXTURE(settings_fixture, "of the usual files the first that exists is read, and only it") {
  search = {dir.path() / "none.toml", write("first.toml", "listen = \"10.0.0.1\"\n"),
            write("second.toml", "listen = \"10.0.0.2\"\ncpus = 2\n")};
  CHECK(load()->text("listen") == "10.0.0.1");
  CHECK(load()->is_default("cpus"));
  file = write("named.toml", "cpus = 3\n");
  CHECK(load()->is_default("listen"));
  CHECK(load()->text("cpus") == "3");
}

TEST_CASE_FIXTURE(settings_fixture, "keys may be written like the flags") {
  file = write("a.toml", "link-port = 5\nstate_dir = \"/x\"\n");
  CHECK(load()->text("link-port") == "5");
  CHECK(load()->text("state-dir") == "/x");
}

TEST_CASE_FIXTURE(settings_fixture, "numbers, booleans and tables of labels become text") {
  file = write("a.toml", "cpus = 0.5\nhead = true\n[labels]\nzone = \"a\"\nrack = 7\n");
  CHECK(load()->text("cpus") == "0.5");
  CHECK(load()->text("head") == "true");
  CHECK(options()->labels == std::map<std::string, std::string>{{"rack", "7"}, {"zone", "a"}});
}

TEST_CASE_FIXTURE(settings_fixture, "an unknown key is refused with its line and the one that was meant") {
  file = write("a.toml", "\nlink_prot = 1\n");
  auto why = load_failure();
  CHECK(says(why, file + ":2"));
  CHECK(says(why, "link_prot"));
  CHECK(says(why, "did you mean 'link-port'?"));
}

TEST_CASE_FIXTURE(settings_fixture, "a file that is no TOML is refused with its line") {
  file = write("a.toml", "listen = \"x\"\nlink_port = = 1\n");
  CHECK(says(load_failure(), file + ":2"));
}

TEST_CASE_FIXTURE(settings_fixture, "a value of a wrong shape is refused with its line") {
  file = write("a.toml", "listen = [1, 2]\n");
  CHECK(says(load_failure(), file + ":1"));
}

TEST_CASE_FIXTURE(settings_fixture, "a named file must exist") {
  file = (dir.path() / "missing.toml").string();
  auto loaded = load();
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code == errc::not_found);
  CHECK(says(loaded.error(), "missing.toml: No such file or directory"));
  file = dir.path().string();
  CHECK(load().error().code == errc::invalid_argument);
  CHECK(says(load().error(), "Is a directory"));
}

TEST_CASE_FIXTURE(settings_fixture, "a head has all options") {
  flags = {{"head", "true"},    {"worker", "false"},    {"listen", "0.0.0.0"}, {"link-port", "0"},
           {"cpus", "2.5"},     {"memory", "4GiB"},     {"labels", "a=b"},     {"control-port", "65535"},
           {"state-dir", "/s"}, {"log-level", "debug"}, {"http-docs", "false"}};
  auto made = options();
  REQUIRE(made);
  node_options expected;
  expected.http_docs = false;
  expected.head = true;
  expected.worker = false;
  expected.listen = "0.0.0.0";
  expected.listen_given = true;
  expected.link_port = 0;
  expected.link_port_given = true;
  expected.control_port = 65535;
  expected.cpus = 2.5;
  expected.memory_bytes = 4ull << 30;
  expected.labels = {{"a", "b"}};
  expected.state_dir = "/s";
  expected.log_level = "debug";
  CHECK(*made == expected);
}

TEST_CASE_FIXTURE(settings_fixture, "a wrong value names the setting and where it stands") {
  struct row {
    const char* name;
    const char* text;
  };
  for (auto [name, text] :
       {row{"link-port", "65536"}, row{"control-port", "x"}, row{"cpus", "0"}, row{"memory", "much"},
        row{"labels", "zone"}, row{"log-level", "loud"}, row{"queue-size-max", "1MiB"},
        row{"listen", "my-host"}, row{"head", "perhaps"}, row{"http-docs", "hidden"}}) {
    flags = {{"head", "true"}};
    variables = {{variable_of(name), text}};
    if (name == std::string{"head"})
      flags.clear();
    auto made = options();
    REQUIRE_FALSE(made);
    CHECK(made.error().code == errc::invalid_argument);
    CHECK(says(made.error(), name));
    CHECK(says(made.error(), variable_of(name)));
  }
}

TEST_CASE_FIXTURE(settings_fixture, "values are checked without a role, those of commands too") {
  CHECK(check_values(*load()));
  for (auto [name, text] : {std::pair{"timeout", "0"}, std::pair{"timeout", "-1s"},
                            std::pair{"link-port", "65536"}, std::pair{"listen", "1.2.3"}}) {
    variables = {{variable_of(name), text}};
    const auto checked = check_values(*load());
    REQUIRE_FALSE(checked);
    CHECK(says(checked.error(), variable_of(name)));
  }
}

TEST_CASE_FIXTURE(settings_fixture, "a node is a head or joins one") {
  CHECK(says(options().error(), "sluice start --head"));
  flags = {{"head", "true"}, {"address", "h:1"}};
  CHECK(says(options().error(), "exclude each other"));
  flags = {{"address", "h:1"}, {"worker", "false"}};
  CHECK(says(options().error(), "--no-worker needs --head"));
  flags = {{"address", "h:1"}};
  CHECK(options()->address == "h:1");
}

TEST_CASE_FIXTURE(settings_fixture,
                  "a secret comes from its file, without the end of the line, or from the environment") {
  variables["SLUICE_TOKEN"] = "from-environment";
  CHECK(*read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), true) == "from-environment");
  flags["token-file"] = write("token", "from-file \r\n");
  REQUIRE(chmod(flags["token-file"].c_str(), 0600) == 0);
  CHECK(*read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), true) == "from-file");
}

TEST_CASE_FIXTURE(settings_fixture,
                  "a secret that is missing, empty or open to others is a failure, never passed over") {
  variables["SLUICE_TOKEN"] = "from-environment";
  flags["token-file"] = (dir.path() / "none").string();
  CHECK(read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), true).error().code == errc::not_found);
  flags["token-file"] = write("token", "\n");
  REQUIRE(chmod(flags["token-file"].c_str(), 0600) == 0);
  CHECK(read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), true).error().code
        == errc::invalid_argument);
  flags["token-file"] = write("open", "secret\n");
  REQUIRE(chmod(flags["token-file"].c_str(), 0644) == 0);
  auto open = read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), true);
  CHECK(open.error().code == errc::permission_denied);
  CHECK(says(open.error(), "chmod 600"));
  CHECK(*read_secret(*load(), "token-file", "SLUICE_TOKEN", reader(), false) == "secret");
}

TEST_CASE_FIXTURE(settings_fixture, "state is kept in SLUICE_HOME or below HOME") {
  CHECK_FALSE(base_dir(reader()));
  variables["HOME"] = "/home/u";
  CHECK(*base_dir(reader()) == "/home/u/.sluice");
  variables["SLUICE_HOME"] = "/srv/sluice";
  CHECK(*base_dir(reader()) == "/srv/sluice");
}

TEST_CASE("every setting has a variable of its own") {
  CHECK(variable_of("link-port") == "SLUICE_LINK_PORT");
  for (const auto& one : all_settings())
    CHECK_FALSE(one.help.empty());
}
