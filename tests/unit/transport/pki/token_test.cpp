#include "transport/pki/secret_file.hpp"
#include "transport/pki/token.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sys/stat.h>

namespace sluice::pki {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const wall_time now{std::chrono::seconds{1'800'000'000}};

/// A folder of the test's own, gone with it.
struct scratch {
  fs::path at;
  scratch() {
    auto name = (fs::temp_directory_path() / "sluice-pki-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    at = name;
  }
  ~scratch() { fs::remove_all(at); }
  fs::path operator/(const char* name) const { return at / name; }
};

auto mode_of(const fs::path& path) {
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

TEST_CASE("a secret file is its owner's alone and replaced as a whole") {
  scratch dir;
  auto path = dir / "secret";
  REQUIRE(write_secret(path, "one"));
  REQUIRE(write_secret(path, "two"));
  CHECK(read_secret(path) == std::string{"two"});
  CHECK(mode_of(path) == 0600);
  CHECK(std::distance(fs::directory_iterator{dir.at}, {}) == 1);
}

TEST_CASE("a secret that others can read is refused with the command that mends it") {
  scratch dir;
  auto path = dir / "secret";
  REQUIRE(write_secret(path, "one"));
  for (auto mode : {0640, 0604, 0644, 0620}) {
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    auto read = read_secret(path);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == errc::permission_denied);
    CHECK(read.error().message.find("chmod 600 " + path.string()) != std::string::npos);
  }
  CHECK(read_secret(dir / "none").error().code == errc::not_found);
  CHECK_FALSE(read_secret(dir.at));
  CHECK_FALSE(write_secret(dir / "no" / "where", "x"));
}

TEST_CASE("the cluster token is made once and then read") {
  scratch dir;
  auto path = dir / "token";
  auto made = load_or_make_cluster_token(path);
  REQUIRE(made);
  CHECK(made->size() == 5 + 64);
  CHECK(made == load_or_make_cluster_token(path));
  CHECK(made != load_or_make_cluster_token(dir / "other"));
  CHECK(is_token(*made, hash_secret(*made)));
  CHECK(is_token(*made + "\n", hash_secret(*made)));
  CHECK_FALSE(is_token("", hash_secret(*made)));
  CHECK_FALSE(is_token(*made, ""));
  CHECK_FALSE(is_token("slc1.x", hash_secret(*made)));
}

TEST_CASE("a damaged or open token file ends the start and is not replaced") {
  scratch dir;
  auto path = dir / "token";
  REQUIRE(write_secret(path, "slc1.short\n"));
  CHECK(load_or_make_cluster_token(path).error().code == errc::corrupt);
  CHECK(read_secret(path) == std::string{"slc1.short\n"});
  ::chmod(path.c_str(), 0644);
  CHECK(load_or_make_cluster_token(path).error().code == errc::permission_denied);
}

TEST_CASE("a join token is printed and read back") {
  join_token token{std::string(64, 'a'), std::string(64, 'b')};
  auto text = to_string(token);
  CHECK(text == "slj1." + std::string(64, 'a') + "." + std::string(64, 'b'));
  auto read = parse_join_token(" " + text + "\n");
  REQUIRE(read);
  CHECK(read->ca_fingerprint == token.ca_fingerprint);
  CHECK(read->secret == token.secret);
  for (auto bad :
       {std::string{}, text.substr(1), text + "x", "slj2" + text.substr(4), text.substr(0, 70) + text})
    CHECK_FALSE(parse_join_token(bad));
  auto upper = text;
  upper[6] = 'A';
  REQUIRE_FALSE(parse_join_token(upper));
  CHECK(parse_join_token(upper).error().message.find("bbb") == std::string::npos);
}

TEST_CASE("a join token is good once, for one key and one hour") {
  scratch dir;
  auto store = join_token_store::open(dir / "tokens");
  REQUIRE(store);
  const std::string key(64, '1'), other_key(64, '2');
  auto token = (*store)->create(std::string(64, 'a'), now);
  REQUIRE(token);
  CHECK((*store)->redeem("wrong", key, now).error().code == errc::unauthenticated);
  CHECK((*store)->redeem(token->secret, "", now).error().code == errc::invalid_argument);
  CHECK((*store)->redeem(token->secret, key, now + 59min));
  CHECK((*store)->redeem(token->secret, key, now + 59min)); // the answer was lost
  CHECK((*store)->redeem(token->secret, other_key, now + 59min).error().code == errc::unauthenticated);
  CHECK((*store)->redeem(token->secret, key, now + 1h).error().code == errc::unauthenticated);
}

TEST_CASE("join tokens outlive the head, as hashes") {
  scratch dir;
  auto path = dir / "tokens";
  const std::string key(64, '1'), other_key(64, '2');
  auto first = join_token_store::open(path).value();
  auto used = first->create(std::string(64, 'a'), now).value();
  auto open = first->create(std::string(64, 'a'), now, 10min).value();
  REQUIRE(first->redeem(used.secret, key, now));
  CHECK(mode_of(path) == 0600);
  CHECK(read_secret(path)->find(open.secret) == std::string::npos);
  auto second = join_token_store::open(path).value();
  CHECK_FALSE(second->redeem(used.secret, other_key, now));
  CHECK(second->redeem(used.secret, key, now));
  CHECK_FALSE(second->redeem(open.secret, key, now + 10min));
}

TEST_CASE("the number and the life of join tokens have bounds") {
  scratch dir;
  auto store = join_token_store::open(dir / "tokens").value();
  CHECK_FALSE(store->create("", now, 0s));
  CHECK_FALSE(store->create("", now, 25h));
  for (std::size_t i = 0; i < join_tokens_max; ++i)
    REQUIRE(store->create("", now));
  CHECK(store->create("", now).error().code == errc::overloaded);
  CHECK(store->create("", now + 1h));
}

TEST_CASE("a damaged token store is reported by name") {
  scratch dir;
  auto path = dir / "tokens";
  for (auto text : {"", "other 1\n", "sluice-join-tokens 1\nxx 1 -\n", "sluice-join-tokens 1\n\n"}) {
    REQUIRE(write_secret(path, text));
    auto opened = join_token_store::open(path);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == errc::corrupt);
    CHECK(opened.error().message.find(path.string()) != std::string::npos);
  }
}

} // namespace
} // namespace sluice::pki
