#include "transport/http/answer.hpp"
#include "transport/http/gzip.hpp"
#include "transport/http/head_check.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

namespace sluice::http {
namespace {

constexpr std::string_view date = "Tue, 24 Nov 2026 14:02:17 GMT";

answer_form form() { return {.request_id = "id1"}; }

std::string gunzip(std::string_view packed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string out(1u << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

} // namespace

TEST_CASE("an answer has what the server adds, and not what the route has no say in") {
  response answer{201,
                  {{"Content-Type", "text/plain"},
                   {"content-length", "99"},
                   {"Transfer-Encoding", "chunked"},
                   {"Connection", "upgrade"},
                   {"Date", "never"},
                   {"Server", "other"},
                   {"X-Request-Id", "forged"}},
                  "hello"};
  auto wire = make_answer(answer, form(), date);
  CHECK(wire.head
        == "HTTP/1.1 201 Created\r\nServer: sluice\r\nDate: Tue, 24 Nov 2026 14:02:17 GMT\r\n"
           "Content-Type: text/plain\r\nX-Request-Id: id1\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(wire.body.empty());
  CHECK(wire.body_bytes == 5);
  CHECK(wire.keep_alive);
}

TEST_CASE("the end of the connection is announced as the client's version has it") {
  auto closing = form();
  closing.keep_alive = false;
  CHECK(make_answer({}, closing, date).head.find("Connection: close\r\n") != std::string::npos);
  auto old = form();
  old.http_1_1 = false;
  CHECK(make_answer({}, old, date).head.find("Connection: keep-alive\r\n") != std::string::npos);
}

TEST_CASE("an answer to HEAD has the length and not the body") {
  auto head = form();
  head.head = true;
  auto wire = make_answer({200, {}, std::string(100000, 'x')}, head, date);
  CHECK(wire.head.ends_with("Content-Length: 100000\r\n\r\n"));
  CHECK(wire.body.empty());
  CHECK(wire.body_bytes == 0);
}

TEST_CASE("204 and 304 have neither body nor length") {
  for (unsigned status : {204u, 304u}) {
    auto wire = make_answer({status, {}, "body"}, form(), date);
    CHECK(wire.head.find("Content-Length") == std::string::npos);
    CHECK(wire.head.ends_with("\r\n\r\n"));
    CHECK(wire.body_bytes == 0);
  }
}

TEST_CASE("205 has no body, and says so") {
  for (const auto& wire :
       {make_answer({205, {}, "body"}, form(), date), make_stream_head({205, {}, "body"}, form(), date)}) {
    CHECK(wire.head.starts_with("HTTP/1.1 205 Reset Content\r\n"));
    CHECK(wire.head.ends_with("\r\nContent-Length: 0\r\n\r\n"));
    CHECK(wire.head.find("Transfer-Encoding") == std::string::npos);
    CHECK(wire.body_bytes == 0);
    CHECK(wire.complete);
  }
}

TEST_CASE("every registered status has its phrase") {
  for (const auto& [first, last] : {std::pair{100u, 103u},
                                    {200u, 208u},
                                    {226u, 226u},
                                    {300u, 305u},
                                    {307u, 308u},
                                    {400u, 418u},
                                    {421u, 426u},
                                    {428u, 429u},
                                    {431u, 431u},
                                    {451u, 451u},
                                    {500u, 508u},
                                    {510u, 511u}})
    for (auto status = first; status <= last; ++status) {
      CAPTURE(status);
      CHECK(status_text(status) != "Unknown");
    }
  CHECK(status_text(418) == "I'm a Teapot");
  CHECK(status_text(299) == "Unknown");
}

TEST_CASE("an answer that would break the framing becomes 500") {
  for (const response& bad :
       {response{200, {{"X", "a\r\nSet-Cookie: b"}}, {}}, response{200, {{"X\r\nY", "a"}}, {}},
        response{200, {{"X", std::string{"a\0b", 3}}}, {}}, response{200, {{"", "a"}}, {}},
        response{100, {}, {}}, response{0, {}, {}}, response{1000, {}, {}}}) {
    CHECK(make_answer(bad, form(), date).status == 500);
    auto stream = make_stream_head(bad, form(), date);
    CHECK(stream.status == 500);
    CHECK(stream.complete);
  }
}

TEST_CASE("a long body is not copied behind its head") {
  auto wire = make_answer({200, {}, std::string(100000, 'x')}, form(), date);
  CHECK(wire.body.size() == 100000);
  CHECK(wire.head.ends_with("\r\n\r\n"));
}

TEST_CASE("text is compressed for who takes it, if it is long and gets shorter") {
  auto takes = form();
  takes.gzip = true;
  takes.gzip_bytes_min = 100;
  std::string text(5000, 'a');
  response answer{200, {{"Content-Type", "application/json; charset=utf-8"}, {"ETag", "\"1\""}}, text};
  auto wire = make_answer(answer, takes, date);
  CHECK(wire.head.find("Content-Encoding: gzip\r\n") != std::string::npos);
  CHECK(wire.head.find("Vary: Accept-Encoding\r\n") != std::string::npos);
  CHECK(wire.head.find("ETag: W/\"1\"\r\n") != std::string::npos);
  CHECK(wire.body_bytes < 200);
  CHECK(gunzip(wire.head.substr(wire.head.find("\r\n\r\n") + 4)) == text);

  auto plain = [&](response other, answer_form how) {
    auto head = make_answer(std::move(other), how, date).head;
    return head.find("Content-Encoding: gzip") == std::string::npos;
  };
  auto refuses = takes;
  refuses.gzip = false;
  CHECK(plain(answer, refuses));
  CHECK(plain({200, {{"Content-Type", "application/json"}}, std::string(99, 'a')}, takes));
  CHECK(plain({200, {{"Content-Type", "image/png"}}, text}, takes));
  CHECK(plain({200, {{"Content-Type", "text/event-stream"}}, text}, takes));
  CHECK(plain({200, {}, text}, takes));
  CHECK(plain({206, {{"Content-Type", "text/plain"}}, text}, takes));
  auto packed =
    make_answer({200, {{"Content-Type", "text/plain"}, {"Content-Encoding", "br"}}, text}, takes, date);
  CHECK(packed.body_bytes == text.size());
}

TEST_CASE("text that does not get shorter stays as it is") {
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 2000; ++i)
    noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  CHECK(!gzip(noise));
  CHECK(gunzip(*gzip(std::string(3000, 'z'))) == std::string(3000, 'z'));
}

TEST_CASE("a stream is chunked, or for HTTP/1.0 goes on to the connection's end") {
  auto wire = make_stream_head({200, {{"Content-Type", "text/plain"}}, "abc"}, form(), date);
  CHECK(wire.head.ends_with("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  CHECK(!wire.complete);
  CHECK(wire.keep_alive);
  CHECK(make_stream_part(std::string(26, 'x'), true) == "1a\r\n" + std::string(26, 'x') + "\r\n");
  CHECK(make_stream_part("", true).empty());

  auto old = form();
  old.http_1_1 = false;
  wire = make_stream_head({200, {}, "abc"}, old, date);
  CHECK(wire.head.ends_with("Connection: close\r\n\r\nabc"));
  CHECK(!wire.keep_alive);
  CHECK(make_stream_part("abc", false) == "abc");

  auto head = form();
  head.head = true;
  wire = make_stream_head({200, {}, "abc"}, head, date);
  CHECK(wire.head.ends_with("Transfer-Encoding: chunked\r\n\r\n"));
  CHECK(wire.complete);
  CHECK(make_stream_head({204, {}, ""}, form(), date).complete);
}

TEST_CASE("an origin may read the answer if the route says so") {
  CHECK(allowed_origin("http://a", {"http://b", "http://a"}) == "http://a");
  CHECK(allowed_origin("http://c", {"http://a"}).empty());
  CHECK(allowed_origin("http://c", {"*"}) == "*");
  auto cors = form();
  cors.origin = "http://a";
  cors.origin_varies = true;
  auto head = make_answer({}, cors, date).head;
  CHECK(head.find("Access-Control-Allow-Origin: http://a\r\nVary: Origin\r\n") != std::string::npos);
}

TEST_CASE("Accept-Encoding is read with its weights") {
  CHECK(accepts_gzip("gzip"));
  CHECK(accepts_gzip("deflate, GZIP;q=0.5, br"));
  CHECK(accepts_gzip("*"));
  CHECK(accepts_gzip("br, *;q=0.1"));
  CHECK(!accepts_gzip(""));
  CHECK(!accepts_gzip("br"));
  CHECK(!accepts_gzip("gzip;q=0"));
  CHECK(!accepts_gzip("gzip; q=0.000, *"));
  CHECK(!accepts_gzip("*;q=0"));
  CHECK(!accepts_gzip("identity;q=1, gzip;q=0.5"));
  CHECK(!accepts_gzip("gzip;q=0.899, identity;q=0.9"));
  CHECK(accepts_gzip("gzip;q=0.9, identity;q=0.9"));
  CHECK(accepts_gzip("identity;q=0.5, *;q=0.6"));
  CHECK(accepts_gzip("identity;q=0, gzip"));
  CHECK(accepts_gzip("gzip;q=what"));
}

TEST_CASE("a request id is taken over if it is short and plain") {
  CHECK(sane_request_id("0190-ab.C_d:1"));
  CHECK(!sane_request_id(""));
  CHECK(!sane_request_id("a b"));
  CHECK(!sane_request_id("a\"b"));
  CHECK(!sane_request_id(std::string(65, 'a')));
}

TEST_CASE("the date is the one of HTTP") {
  auto text = http_date();
  CHECK(text.size() == 29);
  CHECK(text.ends_with(" GMT"));
  CHECK(text[3] == ',');
}

} // namespace sluice::http
