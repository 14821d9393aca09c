#include "transport/http/request_reader.hpp"
#include "transport/http/websocket_codec.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

// Goal: bytes put together at random from what requests and frames are made of. Whatever comes, the readers say the
// same for all pieces it comes in, take no more than there is, and keep their bounds.

namespace sluice::http {
namespace {

template <std::size_t Count>
std::string_view pick(std::mt19937& random, const std::string_view (&from)[Count]) {
  return from[random() % Count];
}

std::string request_soup(std::mt19937& random) {
  constexpr std::string_view lines[] = {
    "GET / HTTP/1.1\r\n",          "POST /a HTTP/1.1\r\n",  "POST /a HTTP/1.0\r\n", "GET  / HTTP/1.1\r\n",
    "PUT http://h/x HTTP/1.1\r\n", "GET http HTTP/1.1\r\n", "GET / HTTP/1.1\n"};
  constexpr std::string_view fields[] = {"Host: a\r\n",
                                         "Host: b\r\n",
                                         "Content-Length: 5\r\n",
                                         "Content-Length: 0\r\n",
                                         "Content-Length: 70\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "Transfer-Encoding: gzip\r\n",
                                         "Connection: close\r\n",
                                         "X: y\r\n",
                                         " folded\r\n",
                                         "Expect: 100-continue\r\n",
                                         "X : y\r\n"};
  constexpr std::string_view bodies[] = {
    "hello",     "5\r\nhello\r\n",    "0\r\n\r\n",     "0\r\nT: x\r\n\r\n", "\r\n",
    "5;a=b\r\n", "ffffffff\r\n",      "1\r\nx\r\n",    "3\r\nabcd\r\n",     "\n",
    "00005\r\n", "5 ;x\r\nhello\r\n", "GET / HTTP/1.1"};
  std::string out{pick(random, lines)};
  if (random() % 8 != 0)
    out += "Host: a\r\n";
  for (auto count = random() % 3; count > 0; --count)
    out += pick(random, fields);
  out += "\r\n";
  for (auto count = random() % 6; count > 0; --count)
    out += pick(random, bodies);
  if (random() % 4 == 0 && !out.empty())
    out[random() % out.size()] = static_cast<char>(random());
  return out;
}

/// What became of it, as text.
std::string read_request(std::string_view bytes, std::size_t piece) {
  server_limits within;
  within.chunk_extension_bytes_max = 50;
  request_reader reader{within};
  std::size_t used = 0, came = 0;
  while (came < bytes.size()) {
    came = std::min(came + piece, bytes.size());
    if (!reader.head_done()) {
      if (auto refused = reader.read_head(bytes.substr(0, came)))
        return "refused " + std::to_string(refused->status);
      if (!reader.head_done())
        continue;
      used = reader.head_bytes();
      reader.allow_body(60);
    }
    if (!reader.done()) {
      std::size_t taken = 0;
      auto refused = reader.read_body(bytes.substr(used, came - used), taken);
      REQUIRE(taken <= came - used);
      used += taken;
      REQUIRE(reader.current().request.body.size() <= 60);
      if (refused)
        return "refused " + std::to_string(refused->status);
    }
    if (reader.done())
      return "done " + std::to_string(used) + " " + reader.current().request.body;
  }
  return "waiting";
}

std::string frame_soup(std::mt19937& random) {
  std::string out;
  for (auto count = 1 + random() % 6; count > 0; --count) {
    constexpr unsigned char firsts[] = {0x81, 0x82, 0x01, 0x02, 0x00, 0x80,
                                        0x89, 0x8a, 0x88, 0x09, 0x83, 0xc1};
    auto size = random() % 10 == 0 ? random() % 300 : random() % 8;
    out += static_cast<char>(firsts[random() % sizeof(firsts)]);
    if (size < 126) {
      out += static_cast<char>(0x80 | size);
    } else {
      out += static_cast<char>(0xfe);
      out += static_cast<char>(size >> 8);
      out += static_cast<char>(size);
    }
    for (std::size_t i = 0; i < 4 + size; ++i)
      out += static_cast<char>(random() % 4 == 0 ? random() : 'a');
  }
  if (random() % 4 == 0)
    out[random() % out.size()] = static_cast<char>(random());
  return out;
}

std::string read_frames(std::string_view bytes, std::size_t piece) {
  websocket_reader reader{100};
  std::string seen, kept;
  websocket_reader::events to{
    .on_message =
      [&](std::string message, bool is_text) {
        REQUIRE(message.size() <= 100);
        seen += (is_text ? "text " : "binary ") + message + "\n";
      },
    .on_ping = [&](std::string_view payload) { seen += "ping " + std::string{payload} + "\n"; },
    .on_close = [&](std::uint16_t code, std::string_view) { seen += "close " + std::to_string(code); },
    .is_paused = [] { return false; }};
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    kept += bytes.substr(at, piece);
    std::size_t taken = 0;
    auto breach = reader.advance(kept, taken, to);
    REQUIRE(taken <= kept.size());
    kept.erase(0, taken);
    if (breach)
      return seen + "breach " + std::to_string(breach->code);
    REQUIRE(kept.size() < 14); // the head of a frame, no more
  }
  return seen;
}

} // namespace

TEST_CASE("requests are read the same in all pieces they may come in") {
  std::mt19937 random{1};
  int done = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = request_soup(random);
    CAPTURE(bytes);
    auto whole = read_request(bytes, bytes.size());
    for (std::size_t piece : {1, 2, 5, 17})
      REQUIRE(read_request(bytes, piece) == whole);
    done += whole.starts_with("done");
    refused += whole.starts_with("refused");
  }
  CHECK(done > 1000); // the soup is neither all wrong nor all right
  CHECK(refused > 1000);
}

TEST_CASE("frames are read the same in all pieces they may come in") {
  std::mt19937 random{1};
  int breaches = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = frame_soup(random);
    auto whole = read_frames(bytes, bytes.size());
    for (std::size_t piece : {1, 2, 5, 17})
      REQUIRE(read_frames(bytes, piece) == whole);
    breaches += whole.find("breach") != std::string::npos;
  }
  CHECK(breaches > 1000);
  CHECK(breaches < 19'000);
}

} // namespace sluice::http
