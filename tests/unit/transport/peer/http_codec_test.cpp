// Goal: a request and its answer come out of the frame as they went in, whatever bytes they are made of; bytes that nobody
// encoded are refused and do no harm.
#include "transport/peer/http_codec.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>

using namespace sluice;
using namespace sluice::peer;

namespace {

const std::string odd_bytes{"\0\r\n\xff\xfe", 5};

request full_request() {
  request in;
  in.method = method::patch;
  in.path = "/orders/7";
  in.query = "dry=1&q=%00";
  in.headers = {{"Host", "a"}, {"X-Empty", ""}, {"X-Odd", odd_bytes}, {"Host", "twice"}};
  in.body = std::string(70'000, 'b') + odd_bytes;
  in.client = "127.0.0.1:4711";
  in.id = "req-1";
  in.params = {{"id", "7"}, {"rest", ""}};
  return in;
}

void check_same(const request& a, const request& b) {
  CHECK(a.method == b.method);
  CHECK(a.path == b.path);
  CHECK(a.query == b.query);
  CHECK(a.headers == b.headers);
  CHECK(a.body == b.body);
  CHECK(a.client == b.client);
  CHECK(a.id == b.id);
  CHECK(a.params == b.params);
}

} // namespace

TEST_CASE("a request keeps every part of it") {
  const auto sent = full_request();
  for (const bool notice : {false, true}) {
    const auto got = decode_request(encode_request(replica_id{0xffff'ffff'ffff'fff1}, sent, notice));
    REQUIRE(got);
    CHECK(got->replica == replica_id{0xffff'ffff'ffff'fff1});
    CHECK(got->wants_sink_notice == notice);
    check_same(got->in, sent);
  }
}

TEST_CASE("an empty request is one, too, and every method is kept") {
  for (auto each : {method::get, method::post, method::put, method::patch, method::delete_, method::head,
                    method::options}) {
    request sent;
    sent.method = each;
    const auto got = decode_request(encode_request(replica_id{1}, sent, false));
    REQUIRE(got);
    check_same(got->in, sent);
  }
}

TEST_CASE("an answer keeps every part of it, a status that is none included") {
  for (const unsigned status : {200u, 599u, 0u, 65'736u, 4'000'000'000u}) {
    const response sent{status, {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"X", odd_bytes}}, odd_bytes};
    const auto got = decode_answer(encode_answer(sent));
    REQUIRE(got);
    CHECK(got->status == status);
    CHECK(got->headers == sent.headers);
    CHECK(got->body == sent.body);
  }
  const auto blank = decode_answer(encode_answer({}));
  REQUIRE(blank);
  CHECK(blank->headers.empty());
  CHECK(blank->body.empty());
}

TEST_CASE("each beginning of a request or an answer that lacks a part is refused") {
  auto sent = full_request();
  sent.body.clear();
  const auto bytes = encode_request(replica_id{3}, sent, true);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto got = decode_request(std::string_view{bytes}.substr(0, size));
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::corrupt);
  }
  const auto answer = encode_answer({404, {{"A", "b"}, {"C", ""}}, ""});
  for (std::size_t size = 0; size < answer.size(); ++size) {
    const auto got = decode_answer(std::string_view{answer}.substr(0, size));
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::corrupt);
  }
}

TEST_CASE("a number of fields that cannot be there takes no memory") {
  auto bytes = encode_answer({});
  for (std::size_t i = bytes.size() - sizeof(std::uint32_t); i < bytes.size(); ++i)
    bytes[i] = '\xff';
  const auto got = decode_answer(bytes + std::string(1000, '\0'));
  REQUIRE_FALSE(got);
  CHECK(got.error().message.find("no HTTP answer") != std::string::npos);
}

TEST_CASE("a method that is none is refused") {
  auto bytes = encode_request(replica_id{1}, {}, false);
  bytes[sizeof(std::uint64_t)] = 7;
  const auto got = decode_request(bytes);
  REQUIRE_FALSE(got);
  CHECK(got.error().message.find("unknown method") != std::string::npos);
}

TEST_CASE("damaged bytes never lead past the end") {
  std::mt19937 random{17};
  const auto request_bytes = encode_request(replica_id{3}, full_request(), true).substr(0, 200);
  const auto answer_bytes = encode_answer({200, {{"Content-Type", "text/plain"}}, "body"});
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = i % 2 == 0 ? request_bytes : answer_bytes;
    for (int flips = 0; flips < 3; ++flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    bytes.shrink_to_fit(); // so that AddressSanitizer sees a byte too many
    const auto as_request = decode_request(bytes);
    const auto as_answer = decode_answer(bytes);
    CHECK((!as_request || as_request->in.body.size() <= bytes.size()));
    CHECK((!as_answer || as_answer->body.size() <= bytes.size()));
  }
}
