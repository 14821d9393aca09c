#include "transport/link/frame_codec.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace sluice::link {
namespace {

frame make_frame(std::uint64_t id, std::string body) {
  return {frame_kind::request, static_cast<std::uint16_t>(id * 7), id, static_cast<std::uint32_t>(id * 3),
          std::move(body)};
}

bool same(const frame& a, const frame& b) {
  return a.kind == b.kind && a.method == b.method && a.id == b.id && a.deadline_ms == b.deadline_ms
         && a.body == b.body;
}

std::string encoded(const std::vector<frame>& frames) {
  std::string bytes;
  for (const auto& f : frames)
    append_frame(bytes, f);
  return bytes;
}

std::vector<frame> sample_frames() {
  std::vector<frame> frames;
  for (std::uint64_t id = 1; id <= 5; ++id)
    frames.push_back(make_frame(id << 40 | id, std::string(id * id * 11, static_cast<char>('a' + id))));
  frames.push_back(make_frame(9, ""));
  return frames;
}

TEST_CASE("a header is twenty little-endian bytes in the documented order") {
  frame f{frame_kind::reply, 0x0102, 0x1122334455667788, 0x0a0b0c0d, {}};
  auto header = encode_header(f, 0x00010203);
  const unsigned char expected[] = {0x03, 0x02, 0x01, 0x00, 2,    0,    0x02, 0x01, 0x0d, 0x0c,
                                    0x0b, 0x0a, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
  CHECK(std::equal(header.begin(), header.end(), expected, expected + sizeof(expected),
                   [](char a, unsigned char b) { return static_cast<unsigned char>(a) == b; }));
}

TEST_CASE("frames come out as they went in, wherever the stream was cut") {
  auto sent = sample_frames();
  auto bytes = encoded(sent);
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    frame_parser parser;
    std::vector<frame> got;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      auto part = std::string_view{bytes}.substr(at, step);
      auto used = parser.feed(part, got);
      REQUIRE(used);
      REQUIRE(*used == part.size());
    }
    REQUIRE(got.size() == sent.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      REQUIRE(same(got[i], sent[i]));
    REQUIRE_FALSE(parser.mid_frame());
  }
}

TEST_CASE("the parser stops after as many frames as were asked for") {
  auto sent = sample_frames();
  auto bytes = encoded(sent);
  frame_parser parser;
  std::vector<frame> got;
  std::string_view rest = bytes;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    auto used = parser.feed(rest, got, 1);
    REQUIRE(used);
    REQUIRE(*used == frame_header_bytes + sent[i].body.size());
    rest.remove_prefix(*used);
    REQUIRE(got.size() == i + 1);
  }
  CHECK(rest.empty());
  CHECK(*parser.feed(bytes, got, 0) == 0);
}

TEST_CASE("a body of exactly the cap passes and one byte more is refused") {
  constexpr std::size_t cap = 100;
  for (std::size_t split : {std::size_t{1}, frame_header_bytes, std::size_t{1000}}) {
    for (std::size_t size : {cap, cap + 1}) {
      frame_parser parser{cap};
      std::vector<frame> got;
      auto bytes = encoded({make_frame(1, std::string(size, 'x'))});
      auto first = parser.feed(std::string_view{bytes}.substr(0, split), got);
      auto second = first && split < bytes.size() ? parser.feed(std::string_view{bytes}.substr(split), got)
                                                  : std::move(first);
      CHECK(second.has_value() == (size == cap));
      if (!second)
        CHECK(second.error().code == errc::corrupt);
    }
  }
}

TEST_CASE("a promised length takes no memory until bytes arrive") {
  frame_parser parser;
  std::vector<frame> got;
  auto header = encode_header(make_frame(1, ""), limits::frame_size_bytes_max);
  REQUIRE(parser.feed({header.data(), header.size()}, got));
  CHECK(parser.mid_frame());
  CHECK(parser.held_bytes() <= 64u << 10);
  std::string part(300u << 10, 'x');
  REQUIRE(parser.feed(part, got));
  CHECK(parser.held_bytes() <= 2 * part.size());
}

TEST_CASE("a length of four gigabytes is refused by its header alone") {
  frame_parser parser;
  std::vector<frame> got;
  auto header = encode_header(make_frame(1, ""), 0xffffffff);
  auto fed = parser.feed({header.data(), header.size()}, got);
  REQUIRE_FALSE(fed);
  CHECK(fed.error().code == errc::corrupt);
  CHECK(parser.held_bytes() == 0);
}

TEST_CASE("unknown kinds and flags are refused, and the parser stays refused") {
  for (auto [at, value] : {std::pair{4, 0}, std::pair{4, 5}, std::pair{4, 15}, std::pair{4, 22},
                           std::pair{4, 255}, std::pair{5, 1}, std::pair{5, 128}}) {
    auto bytes = encoded({make_frame(1, "body")});
    bytes[static_cast<std::size_t>(at)] = static_cast<char>(value);
    frame_parser parser;
    std::vector<frame> got;
    CHECK_FALSE(parser.feed(bytes, got));
    CHECK_FALSE(parser.feed(encoded({make_frame(2, "good")}), got));
    CHECK(got.empty());
  }
}

TEST_CASE("every kind of frame passes, the link's own too") {
  for (auto kind : {frame_kind::request, frame_kind::reply, frame_kind::error, frame_kind::notice, hello_kind,
                    goodbye_kind, ping_kind, pong_kind, join_kind, grant_kind}) {
    frame_parser parser;
    std::vector<frame> got;
    REQUIRE(parser.feed(encoded({{kind, 1, 2, 3, "x"}}), got));
    REQUIRE(got.size() == 1);
    CHECK(got[0].kind == kind);
  }
}

TEST_CASE("a stream that broke within a header stays broken") {
  auto bad = encoded({make_frame(1, "body")});
  bad[5] = 1;
  frame_parser parser;
  std::vector<frame> got;
  REQUIRE(parser.feed(bad.substr(0, 7), got));
  CHECK_FALSE(parser.feed(bad.substr(7), got));
  CHECK_FALSE(parser.feed(encoded({make_frame(2, "good")}), got));
  CHECK(got.empty());
}

TEST_CASE("what came before a damaged frame is delivered") {
  auto bytes = encoded({make_frame(1, "one"), make_frame(2, "two")});
  bytes += std::string(frame_header_bytes, '\xff');
  frame_parser parser;
  std::vector<frame> got;
  CHECK_FALSE(parser.feed(bytes, got));
  REQUIRE(got.size() == 2);
  CHECK(got[1].body == "two");
}

TEST_CASE("random bytes never yield a frame above the cap nor hold memory above it") {
  constexpr std::size_t cap = 4096;
  std::mt19937_64 random{20261124};
  for (int run = 0; run < 3000; ++run) {
    frame_parser parser{cap};
    std::vector<frame> got;
    for (int part = 0; part < 8; ++part) {
      std::string bytes(random() % 200, '\0');
      for (auto& c : bytes)
        c = static_cast<char>(random() % (part % 2 ? 256 : 6)); // small values get further
      if (!parser.feed(bytes, got))
        break;
      REQUIRE(parser.held_bytes() <= cap);
    }
    for (const auto& f : got)
      REQUIRE(f.body.size() <= cap);
  }
}

TEST_CASE("mutated streams end in a failure or in frames, never in more bytes than were fed") {
  std::mt19937_64 random{7};
  auto original = encoded(sample_frames());
  for (int run = 0; run < 20000; ++run) {
    auto bytes = original;
    for (int flips = static_cast<int>(random() % 4) + 1; flips > 0; --flips)
      bytes[random() % bytes.size()] ^= static_cast<char>(1u << random() % 8);
    bytes.resize(random() % bytes.size() + 1);
    frame_parser parser{8192};
    std::vector<frame> got;
    std::size_t at = 0;
    while (at < bytes.size()) {
      auto part = std::string_view{bytes}.substr(at, random() % 64 + 1);
      auto used = parser.feed(part, got);
      if (!used)
        break;
      REQUIRE(*used == part.size());
      at += *used;
    }
    std::size_t total = 0;
    for (const auto& f : got)
      total += frame_header_bytes + f.body.size();
    REQUIRE(total <= bytes.size());
    REQUIRE(parser.held_bytes() <= 8192);
  }
}

} // namespace
} // namespace sluice::link
