#include "transport/http/websocket_codec.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace sluice::http {
namespace {

/// A frame as a client sends it.
std::string masked(unsigned first, std::string_view payload, bool final = true) {
  std::string out;
  out += static_cast<char>(first | (final ? 0x80 : 0));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() <= 0xffff) {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  } else {
    out += static_cast<char>(0x80 | 127);
    for (int i = 7; i >= 0; --i)
      out += static_cast<char>(payload.size() >> (8 * i));
  }
  const unsigned char mask[] = {0x12, 0x34, 0x56, 0x78};
  out.append(reinterpret_cast<const char*>(mask), 4);
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(static_cast<unsigned char>(payload[i]) ^ mask[i % 4]);
  return out;
}

struct reading {
  websocket_reader reader{1000};
  std::vector<std::string> seen = {};
  bool paused = false;
  std::optional<websocket_reader::breach> breach = {};
  std::string left = {};

  /// Gives it `bytes` behind what it left.
  void feed(std::string_view bytes) {
    left.append(bytes);
    std::size_t consumed = 0;
    breach = reader.advance(
      left, consumed,
      {.on_message = [&](std::string m,
                         bool is_text) { seen.push_back((is_text ? "text " : "binary ") + m); },
       .on_ping = [&](std::string_view p) { seen.push_back("ping " + std::string{p}); },
       .on_close =
         [&](std::uint16_t code, std::string_view reason) {
           seen.push_back("close " + std::to_string(code) + " " + std::string{reason});
         },
       .is_paused = [&] { return paused; }});
    left.erase(0, consumed);
  }
};

std::uint16_t breach_of(std::string_view bytes) {
  reading r;
  r.feed(bytes);
  reading slowly;
  for (char c : bytes) {
    slowly.feed({&c, 1});
    if (slowly.breach)
      break;
  }
  CHECK((r.breach ? r.breach->code : 0) == (slowly.breach ? slowly.breach->code : 0));
  return r.breach ? r.breach->code : 0;
}

} // namespace

TEST_CASE("messages come out whatever the pieces they come in") {
  auto bytes = masked(1, "one") + masked(2, std::string(200, 'b')) + masked(1, "par", false) + masked(9, "hi")
               + masked(0, "ts, ", false) + masked(0, "joined") + masked(10, "") + masked(1, "")
               + masked(8, "\x03\xe8"
                           "bye")
               + masked(1, "after");
  const std::vector<std::string> expected = {"text one", "binary " + std::string(200, 'b'),
                                             "ping hi",  "text parts, joined",
                                             "text ",    "close 1000 bye"};
  for (std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{64}, bytes.size()}) {
    CAPTURE(piece);
    reading r;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      r.feed(std::string_view{bytes}.substr(at, piece));
    CHECK(!r.breach);
    CHECK(r.seen == expected);
    CHECK(r.reader.closed());
  }
}

TEST_CASE("a client that breaks the protocol is told how") {
  namespace code = websocket_code;
  CHECK(breach_of(std::string{"\x81\x01x", 3}) == code::protocol_error);            // not masked
  CHECK(breach_of(masked(0x41, "x")) == code::protocol_error);                      // reserved bit
  CHECK(breach_of(masked(3, "x")) == code::protocol_error);                         // reserved opcode
  CHECK(breach_of(masked(11, "x")) == code::protocol_error);                        // reserved control opcode
  CHECK(breach_of(masked(0, "x")) == code::protocol_error);                         // continues nothing
  CHECK(breach_of(masked(1, "x", false) + masked(1, "y")) == code::protocol_error); // begins within another
  CHECK(breach_of(masked(9, "x", false)) == code::protocol_error);                  // a split ping
  CHECK(breach_of(masked(9, std::string(126, 'x'))) == code::protocol_error);       // a long ping
  CHECK(breach_of(masked(8, "x")) == code::protocol_error);                         // half a code
  CHECK(breach_of(masked(8, std::string{"\x03\xed", 2})) == code::protocol_error);  // 1005 is never sent
  CHECK(breach_of(masked(8, std::string{"\x00\x01", 2})) == code::protocol_error);
  CHECK(breach_of(masked(8, "\x03\xe8\xff")) == code::not_utf8);
  CHECK(breach_of(masked(1, "\xff")) == code::not_utf8);
  CHECK(breach_of(masked(1, "\xed\xa0\x80")) == code::not_utf8); // a surrogate
  CHECK(breach_of(masked(1, "a\xc3", false) + masked(0, "")) == code::not_utf8);
  CHECK(breach_of(masked(2, std::string(1001, 'x'))) == code::too_big);
  CHECK(breach_of(masked(2, std::string(600, 'x'), false) + masked(0, std::string(401, 'x')))
        == code::too_big);
  CHECK(breach_of(std::string{"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff....", 14}) == code::too_big);
  CHECK(breach_of(std::string{"\x82\xfe\x00\x01....x", 9})
        == code::protocol_error); // not the shortest length
  CHECK(breach_of(masked(2, std::string(1000, 'x'))) == 0);
  CHECK(breach_of(masked(1, "a\xc3", false) + masked(0, "\xa4")) == 0); // a character over two frames
}

TEST_CASE("a paused reader leaves what it has not read") {
  reading r;
  r.paused = true;
  r.feed(masked(1, "one") + masked(1, "two"));
  CHECK(r.seen.empty());
  r.paused = false;
  r.feed("");
  CHECK(r.seen.size() == 2);
  CHECK(r.left.empty());
}

TEST_CASE("frames of the server have the shortest length and no mask") {
  CHECK(websocket_frame(websocket_opcode::text, "hi") == "\x81\x02hi");
  CHECK(websocket_frame(websocket_opcode::binary, std::string(126, 'x')).substr(0, 4)
        == std::string{"\x82\x7e\x00\x7e", 4});
  CHECK(websocket_frame(websocket_opcode::binary, std::string(65536, 'x')).substr(0, 10)
        == std::string{"\x82\x7f\0\0\0\0\0\x01\0\0", 10});
  CHECK(websocket_close_frame(1000, "bye")
        == "\x88\x05\x03\xe8"
           "bye");
  CHECK(websocket_close_frame(websocket_code::none, "not sent") == std::string{"\x88\x00", 2});
  // Cut between characters.
  auto cut = websocket_close_frame(1000, std::string(122, 'x') + "\xc3\xa4");
  CHECK(cut.size() == 2 + 2 + 122);
}

TEST_CASE("a key is answered as the RFC's example says") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(!websocket_accept(""));
  CHECK(!websocket_accept("dGhlIHNhbXBsZSBub25j"));
  CHECK(!websocket_accept("no base64 at all!"));
}

} // namespace sluice::http
