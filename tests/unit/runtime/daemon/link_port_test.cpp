// Goal: a head comes back where its workers look for it, and says so when it does not.
#include "tests/support/subprocess.hpp"
#include "runtime/daemon/link_port.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::daemon;
using namespace sluice::test;

TEST_CASE("a head takes the port it had, unless another is asked for") {
  CHECK(choose_link_port(7410, false, {}) == link_port_choice{7410, false, {}});
  CHECK(choose_link_port(7410, false, 5000) == link_port_choice{5000, false, 5000});
  CHECK(choose_link_port(6000, true, {}) == link_port_choice{6000, false, {}});
  CHECK(choose_link_port(6000, true, 5000) == link_port_choice{6000, false, 5000});
  CHECK(choose_link_port(0, true, {}) == link_port_choice{0, false, {}});
  CHECK(choose_link_port(0, true, 5000) == link_port_choice{5000, true, 5000}); // any, then rather that one
}

TEST_CASE("an earlier port that is taken is named with the rule and what to do") {
  const failure taken{errc::conflict, "cannot listen on 127.0.0.1:5000: Address already in use"};
  auto why = cannot_listen({5000, false, 5000}, taken, "127.0.0.1");
  CHECK(why.code == errc::conflict);
  for (auto* part :
       {"127.0.0.1:5000", "keeps the port", "'sport = :5000'", "--link-port", "start the workers again"})
    CHECK_MESSAGE(why.message.find(part) != std::string::npos, why.message);
  why = cannot_listen({6000, false, 5000}, taken, "127.0.0.1"); // somebody chose it
  CHECK(why.message.find("keeps the port") == std::string::npos);
  CHECK(why.message.find("--link-port") != std::string::npos);
}

TEST_CASE("who moves a head is told what becomes of its workers") {
  CHECK(moved_warning({7410, false, {}}, 7410, "h:7410").empty());
  CHECK(moved_warning({5000, false, 5000}, 5000, "h:5000").empty());
  auto text = moved_warning({6000, false, 5000}, 6000, "h:6000");
  for (auto* part : {"5000", "--address h:6000", "start them again"})
    CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  CHECK_FALSE(moved_warning({5000, true, 5000}, 6000, "h:6000").empty()); // it was taken
}

TEST_CASE("the port is kept beside the state") {
  temp_dir dir;
  CHECK_FALSE(read_link_port(dir.path()));
  REQUIRE(keep_link_port(dir.path(), 5000));
  CHECK(read_link_port(dir.path()) == 5000);
  REQUIRE(keep_link_port(dir.path(), 6000));
  CHECK(read_link_port(dir.path()) == 6000);
  for (auto* broken : {"", "x", "0", "70000", "-1"}) {
    write_file(dir.path() / "link-port", broken);
    CHECK_FALSE(read_link_port(dir.path()));
  }
  CHECK(keep_link_port(dir.path() / "none", 1).error().message.find("link-port") != std::string::npos);
}
