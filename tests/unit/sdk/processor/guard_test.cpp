// Goal: without the secret nobody reaches user code, and a replica without it does not start.

#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

using namespace sluice;

namespace {

int calls = 0;
std::string secret() {
  ++calls;
  return "treasure";
}

constexpr const char* variable = "SLUICE_TEST_GUARD_SECRET";

struct environment_variable {
  explicit environment_variable(const char* value) { setenv(variable, value, 1); }
  ~environment_variable() { unsetenv(variable); }
};

request with(std::string header, std::string value) {
  auto in = get("/");
  in.headers.add(std::move(header), std::move(value));
  return in;
}

/// Answer and challenge.
std::string told(request_body& body, request in) {
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  encoded_results results;
  body.handle(exchange, results);
  auto answer = exchange->seen->answer().value();
  auto text = shown(answer);
  if (auto challenge = answer.headers.find("WWW-Authenticate"))
    text.append(" [").append(*challenge).append("]");
  return text;
}

} // namespace

TEST_CASE("a bearer token is needed and compared") {
  environment_variable set{"xyz"};
  auto body = endpoint_of<secret>(false, bearer_token_from_env(variable));
  REQUIRE(body->setup());
  calls = 0;
  CHECK(
    told(*body, get("/"))
    == R"(401 application/json {"error":"a bearer token is needed: Authorization: Bearer TOKEN"} [Bearer])");
  for (const char* no_token : {"Basic xyz", "Bearer", "xyz", "", "Bearerxyz"})
    CHECK(told(*body, with("Authorization", no_token)).ends_with("[Bearer]"));
  for (const char* wrong :
       {"Bearer abc", "Bearer xy", "Bearer xyzz", "Bearer xyzxyz", "Bearer ", "Bearer XYZ"})
    CHECK(told(*body, with("Authorization", wrong))
          == R"(401 application/json {"error":"the bearer token is wrong"} [Bearer error="invalid_token"])");
  CHECK(calls == 0);
  CHECK(told(*body, with("Authorization", "Bearer xyz")) == "200 text/plain; charset=utf-8 treasure");
  CHECK(told(*body, with("authorization", "bearer  xyz")) == "200 text/plain; charset=utf-8 treasure");
}

TEST_CASE("an API key is needed and compared") {
  environment_variable set{"xyz"};
  auto body = endpoint_of<secret>(false, api_key_from_env("X-Api-Key", variable));
  REQUIRE(body->setup());
  CHECK(
    told(*body, get("/"))
    == R"(401 application/json {"error":"an API key is needed, in the header X-Api-Key"} [ApiKey header="X-Api-Key"])");
  CHECK(told(*body, with("X-Api-Key", "abc")) == R"(403 application/json {"error":"the API key is wrong"})");
  CHECK(told(*body, with("x-api-key", "xyz")) == "200 text/plain; charset=utf-8 treasure");
}

TEST_CASE("a variable that is not set is a failed setup that names it") {
  unsetenv(variable);
  auto body = endpoint_of<secret>(false, bearer_token_from_env(variable));
  auto done = body->setup();
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find(variable) != std::string::npos);
  CHECK(done.error().message.ends_with(std::string{"give it with: sluice submit ... --env "} + variable));
  environment_variable empty{""};
  CHECK_FALSE(body->setup());
}

TEST_CASE("nobody passes a guard that was not set up") {
  auto body = endpoint_of<secret>(false, api_key_from_env("X-Api-Key", variable));
  calls = 0;
  CHECK(told(*body, with("X-Api-Key", "")).starts_with("403 "));
  CHECK(calls == 0);
}

TEST_CASE("texts are equal only if they are the same") {
  using processor::equal_in_constant_time;
  CHECK(equal_in_constant_time("abc", "abc"));
  for (const char* other : {"", "a", "ab", "abd", "abca", "abcabc"})
    CHECK_FALSE(equal_in_constant_time(other, "abc"));
  CHECK_FALSE(equal_in_constant_time("a", ""));
}
