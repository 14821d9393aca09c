// Goal: what a flow may be given as its environment is said by rule, and no text shows a value.
#include <sluice/core/flow_variables.hpp>
#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

using namespace sluice;

TEST_CASE("a name is one that any shell takes") {
  for (auto name : {"ADMIN_TOKEN", "_", "a", "X9", "LDAP_HOST", "SLUICE", "sluice_x"})
    CHECK_MESSAGE(variable_name_mistake(name).empty(), name);
  for (auto name : {"", "9X", "A-B", "A B", "A.B", "\xc3\x84", "A\n"})
    CHECK_MESSAGE(variable_name_mistake(name).find("does not begin with a digit") != std::string_view::npos,
                  name);
}

TEST_CASE("what is Sluice's or the loader's is not a flow's to set") {
  for (auto name : {"SLUICE_", "SLUICE_HOST"})
    CHECK_MESSAGE(variable_name_mistake(name).find("Sluice's own") != std::string_view::npos, name);
  for (auto name : {"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES"})
    CHECK_MESSAGE(variable_name_mistake(name).find("loader") != std::string_view::npos, name);
}

TEST_CASE("a mistake is told with the name and without the value") {
  CHECK(check_variables({}));
  CHECK(check_variables({{"A", ""}, {"B", "x=y # \"z\"\n"}}));
  auto done = check_variables({{"A", "fine"}, {"LD_PRELOAD", "s3cret"}});
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::invalid_argument);
  CHECK(done.error().message.find("LD_PRELOAD") != std::string::npos);
  CHECK(done.error().message.find("s3cret") == std::string::npos);
  done = check_variables({{"A", std::string("s3cret\0x", 8)}});
  REQUIRE_FALSE(done);
  CHECK(done.error().message == "variable 'A': its value has a zero byte, which no environment can hold");
  done = check_variables({{"A", "s3cret\xff"}});
  REQUIRE_FALSE(done);
  CHECK(done.error().message.starts_with("variable 'A': its value is not UTF-8"));
}

TEST_CASE("there is a bound, and the text has it") {
  CHECK(check_variables({{"A", std::string(limits::variables_bytes_max - 3, 'x')}}));
  auto done = check_variables({{"A", std::string(limits::variables_bytes_max - 2, 'x')}});
  REQUIRE_FALSE(done);
  CHECK_MESSAGE(
    done.error().message
      == "variable 'A' is too large: it takes 65537 bytes, and all together may have 65536 (64 KiB); put "
         "it in a file",
    done.error().message);
  done = check_variables({{"A", std::string(40'000, 'x')}, {"B", std::string(40'000, 'x')}});
  REQUIRE_FALSE(done);
  CHECK_MESSAGE(done.error().message.starts_with("the variables are too large: they take 80006 bytes"),
                done.error().message);
  flow_variables many;
  for (std::size_t i = 0; i <= limits::variables_count_max; ++i)
    many["V" + std::to_string(i)] = "x";
  done = check_variables(many);
  REQUIRE_FALSE(done);
  CHECK(done.error().message == "too many variables: 257 of at most 256");
}
