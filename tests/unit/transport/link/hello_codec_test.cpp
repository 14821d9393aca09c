#include "transport/link/hello_codec.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <random>

namespace sluice::link {
namespace {

hello sample() {
  hello h;
  h.protocol_version = 1;
  h.role = peer_role::node;
  h.cluster_id = "cluster-1";
  h.name = "node-7";
  h.started.bits = {0x1122334455667788, 42};
  h.sluice_version = "0.1.0";
  return h;
}

template <class Decode>
void survives_mutation(const std::string& good, Decode decode) {
  std::mt19937_64 random{11};
  for (std::size_t size = 0; size < good.size(); ++size)
    decode(std::string_view{good}.substr(0, size));
  for (int run = 0; run < 20000; ++run) {
    auto bytes = good;
    for (int i = static_cast<int>(random() % 3); i >= 0; --i)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0)
      bytes.append(random() % 8, 'x');
    decode(bytes);
  }
}

TEST_CASE("a hello comes out as it went in") {
  auto sent = sample();
  auto got = decode_hello(encode_hello(sent));
  REQUIRE(got);
  CHECK(got->protocol_version == sent.protocol_version);
  CHECK(got->role == sent.role);
  CHECK(got->cluster_id == sent.cluster_id);
  CHECK(got->name == sent.name);
  CHECK(got->started == sent.started);
  CHECK(got->sluice_version == sent.sluice_version);
}

TEST_CASE("the longest hello fits the bytes that are believed before one") {
  hello h;
  h.cluster_id = h.name = h.sluice_version = std::string(1000, 'x');
  CHECK(encode_hello(h).size() <= limits::hello_size_bytes_max);
  failure why{errc::conflict, std::string(100000, 'x')};
  CHECK(encode_goodbye(why).size() <= limits::hello_size_bytes_max);
  CHECK(decode_goodbye(encode_goodbye(why)).message.size() == limits::goodbye_text_bytes_max);
  std::string long_text(100000, 'x');
  CHECK(encode_join({long_text, long_text, long_text}).size() <= limits::join_size_bytes_max);
  CHECK(encode_grant({long_text, long_text, long_text, long_text}).size() <= limits::join_size_bytes_max);
}

TEST_CASE("bytes that are short, long, foreign or unprintable are no hello") {
  auto good = encode_hello(sample());
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(decode_hello(std::string_view{good}.substr(0, size)));
  CHECK_FALSE(decode_hello(good + "x"));
  auto foreign = decode_hello("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().code == errc::unsupported);
  for (int role : {0, 4, 255}) {
    auto bytes = good;
    bytes[6] = static_cast<char>(role);
    CHECK_FALSE(decode_hello(bytes));
  }
  auto h = sample();
  h.name = "node\n7";
  CHECK_FALSE(decode_hello(encode_hello(h)));
}

TEST_CASE("a text above its cap is refused, however well it is framed") {
  auto h = sample();
  h.cluster_id = h.name = "";
  h.sluice_version = std::string(128, 'x');
  auto bytes = encode_hello(h);
  CHECK(decode_hello(bytes));
  auto length_at = bytes.size() - 128 - 2;
  bytes[length_at] = static_cast<char>(129);
  bytes += 'x';
  CHECK_FALSE(decode_hello(bytes));
}

TEST_CASE("a goodbye keeps code and text and never reads as success") {
  CHECK(decode_goodbye(encode_goodbye({errc::conflict, "twice"})) == failure{errc::conflict, "twice"});
  CHECK(decode_goodbye("").code == errc::corrupt);
  CHECK(decode_goodbye(encode_goodbye({errc::ok, "fine"})).code == errc::corrupt);
  auto unknown = encode_goodbye({errc::conflict, "x"});
  unknown[0] = 99;
  CHECK(decode_goodbye(unknown).code == errc::corrupt);
  CHECK(decode_goodbye(encode_goodbye({errc::conflict, "a\x1b[2Jb"})).message == "a?[2Jb");
}

TEST_CASE("join request and grant come out as they went in") {
  auto request = decode_join(encode_join({"secret", "node-1", "PEM"}));
  REQUIRE(request);
  CHECK(request->token == "secret");
  CHECK(request->name == "node-1");
  CHECK(request->request_pem == "PEM");
  auto grant = decode_grant(encode_grant({"c", "node-1", "CERT", "CA"}));
  REQUIRE(grant);
  CHECK(grant->cluster_id == "c");
  CHECK(grant->name == "node-1");
  CHECK(grant->certificate_pem == "CERT");
  CHECK(grant->ca_pem == "CA");
}

TEST_CASE("mutated bodies do no harm to any of the readers") {
  survives_mutation(encode_hello(sample()), [](std::string_view b) { static_cast<void>(decode_hello(b)); });
  survives_mutation(encode_goodbye({errc::stale, "text"}),
                    [](std::string_view b) { CHECK(decode_goodbye(b).code != errc::ok); });
  survives_mutation(encode_join({"a", "b", "c"}),
                    [](std::string_view b) { static_cast<void>(decode_join(b)); });
  survives_mutation(encode_grant({"a", "b", "c", "d"}),
                    [](std::string_view b) { static_cast<void>(decode_grant(b)); });
}

TEST_CASE("peers must agree on protocol and cluster and have a name and an incarnation") {
  auto self = sample();
  CHECK(check_hello(self, sample()));
  auto other = sample();
  other.protocol_version = 7;
  CHECK(check_hello(self, other).error().code == errc::unsupported);
  other = sample();
  other.cluster_id = "cluster-2";
  CHECK(check_hello(self, other).error().code == errc::permission_denied);
  other.cluster_id = "";
  CHECK(check_hello(self, other));
  other = sample();
  other.name = "";
  CHECK(check_hello(self, other).error().code == errc::invalid_argument);
  other = sample();
  other.started = {};
  CHECK(check_hello(self, other).error().code == errc::invalid_argument);
}

} // namespace
} // namespace sluice::link
