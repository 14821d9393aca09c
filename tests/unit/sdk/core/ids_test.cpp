// Goal: names are what a shell, a URL and a file name can all carry, and ids of different
// kinds cannot be mixed up.

#include <sluice/core/ids.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <unordered_set>

using namespace sluice;

TEST_CASE("a name has 1 to 63 characters") {
  CHECK_FALSE(is_valid_name(""));
  CHECK(is_valid_name("a"));
  CHECK(is_valid_name(std::string(63, 'a')));
  CHECK_FALSE(is_valid_name(std::string(64, 'a')));
}

TEST_CASE("a name is made of lower-case letters, digits and three signs") {
  CHECK(is_valid_name("az09-_."));
  std::string text = "aa";
  for (int c = 0; c < 256; ++c) {
    text[1] = static_cast<char>(c);
    bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    CHECK_MESSAGE(is_valid_name(text) == allowed, "character " << c);
  }
}

TEST_CASE("a name begins with a letter or digit") {
  CHECK(is_valid_name("0a"));
  CHECK_FALSE(is_valid_name("-a"));
  CHECK_FALSE(is_valid_name(".."));
  CHECK_FALSE(is_valid_name("_a"));
}

TEST_CASE("an incarnation is shown as 32 hex digits, high word first") {
  CHECK(to_string(incarnation{}) == "00000000000000000000000000000000");
  CHECK(to_string(incarnation{{0x0123456789abcdefu, 0xfedcba9876543210u}})
        == "0123456789abcdeffedcba9876543210");
}

TEST_CASE("only an incarnation of zeros is none") {
  CHECK_FALSE(incarnation{});
  CHECK(incarnation{{1, 0}});
  CHECK(incarnation{{0, 1}});
}

TEST_CASE("ids of different kinds do not convert into each other") {
  CHECK_FALSE(std::is_convertible_v<flow_name, queue_name>);
  CHECK_FALSE(std::is_constructible_v<flow_name, queue_name>);
  CHECK_FALSE(std::is_constructible_v<replica_id, host_id>);
  CHECK_FALSE(std::is_convertible_v<std::string, flow_name>);
}

TEST_CASE("ids are ordered, comparable and hashable") {
  CHECK(flow_name{"a"} < flow_name{"b"});
  CHECK(replica_id{2} == replica_id{2});
  std::unordered_set<node_id, id_hash> nodes{node_id{"a"}, node_id{"b"}, node_id{"a"}};
  CHECK(nodes.size() == 2);
}
