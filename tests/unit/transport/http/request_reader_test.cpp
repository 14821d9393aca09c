#include "transport/http/request_reader.hpp"

#include <doctest/doctest.h>

#include <string>

namespace sluice::http {
namespace {

/// Reads one request with its body.
struct reading {
  server_limits limits = {};
  request_reader reader{limits};
  std::optional<refusal> refused = {};
  std::size_t used = 0;

  /// Gives it all that came in so far, as a connection does.
  void feed(std::string_view all, std::uint64_t body_bytes_max = 1u << 20) {
    if (!reader.head_done()) {
      refused = reader.read_head(all);
      if (refused || !reader.head_done())
        return;
      used = reader.head_bytes();
      reader.allow_body(body_bytes_max);
    }
    while (!refused && !reader.done() && used < all.size()) {
      std::size_t taken = 0;
      refused = reader.read_body(all.substr(used), taken);
      used += taken;
      if (taken == 0)
        return;
    }
  }
};

unsigned status_of(std::string_view bytes, std::uint64_t body_bytes_max = 1u << 20) {
  reading r;
  r.feed(bytes, body_bytes_max);
  return r.refused ? r.refused->status : r.reader.done() ? 200 : 0;
}

std::string text_of(std::string_view bytes, std::uint64_t body_bytes_max = 1u << 20) {
  reading r;
  r.feed(bytes, body_bytes_max);
  return r.refused ? r.refused->text : "";
}

std::string get(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string{fields} + "\r\n";
}
std::string post(std::string_view fields, std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string{fields} + "\r\n" + std::string{body};
}

} // namespace

TEST_CASE("what is too large is told with its bound") {
  CHECK(text_of(post("Content-Length: 1001\r\n", "a"), 1000)
        == "the body is larger than the 1000 bytes that this route takes");
  CHECK(
    text_of(post("Transfer-Encoding: chunked\r\n", "3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n"), 1000)
    == "the body is larger than the 1000 bytes that this route takes");
  CHECK(text_of("GET /" + std::string(9000, 'x'))
        == "the request line is longer than the 8192 bytes that are taken here");
  CHECK(text_of(get("X: " + std::string(17000, 'x') + "\r\n"))
        == "the header fields are longer than the 16384 bytes that are taken here");
  std::string fields;
  for (int i = 0; i < 101; ++i)
    fields += "X: y\r\n";
  CHECK(text_of(get(fields)) == "there are more header fields than the 100 that are taken here");
  CHECK(text_of(post("Transfer-Encoding: chunked\r\n", "0\r\n" + std::string(20000, 'x')))
        == "the trailers are longer than the 8192 bytes that are taken here");
}

TEST_CASE("what two servers could read differently is refused") {
  struct row {
    const char* what;
    std::string bytes;
    unsigned status;
  };
  const row rows[] = {
    // What Beast lets through.
    {"another coding before a length", post("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n", "abc"), 400},
    {"a length before another coding", post("Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", "abc"), 400},
    {"a coding that is not known", post("Transfer-Encoding: gzip\r\n", "abc"), 501},
    {"a coding that only looks like chunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
    {"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501},
    {"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
    {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
    {"chunked in two fields",
     post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"two codings in two fields",
     post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"an empty coding", post("Transfer-Encoding:\r\n", ""), 501},
    {"a quoted coding", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 501},
    {"chunked with a vertical tab",
     post("Transfer-Encoding: \x0b"
          "chunked\r\n",
          "0\r\n\r\n"),
     400},
    {"two equal lengths", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
    {"a list of equal lengths", post("Content-Length: 3, 3\r\n", "abc"), 400},
    {"HTTP/1.0 with a coding", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", get("Host: b\r\n"), 400},
    {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"a continued field", get("X: a\r\n b\r\n"), 400},
    {"a continued field with a tab", get("X: a\r\n\tb\r\n"), 400},
    {"a continued first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    {"a long chunk extension",
     post("Transfer-Encoding: chunked\r\n", "1;" + std::string(2000, 'x') + "\r\na\r\n0\r\n\r\n"), 400},
    {"many short chunk extensions",
     [] {
       std::string body;
       for (int i = 0; i < 300; ++i)
         body += "1;abc\r\na\r\n";
       return post("Transfer-Encoding: chunked\r\n", body + "0\r\n\r\n");
     }(),
     400},
    {"trailers without end", post("Transfer-Encoding: chunked\r\n", "0\r\n" + std::string(20000, 'x')), 431},
    {"101 fields", get([] {
       std::string fields;
       for (int i = 0; i < 100; ++i)
         fields += "X: y\r\n";
       return fields;
     }()),
     431},
    // What it refuses, and has to go on refusing.
    {"both framings", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"both framings, the other way round",
     post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), 400},
    {"differing lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400},
    {"a length with a sign", post("Content-Length: +3\r\n", "abc"), 400},
    {"a negative length", post("Content-Length: -1\r\n", "abc"), 400},
    {"a length above 64 bits", post("Content-Length: 18446744073709551616\r\n", "abc"), 400},
    {"a hexadecimal length", post("Content-Length: 0x3\r\n", "abc"), 400},
    {"an empty length", post("Content-Length:\r\n", ""), 400},
    {"a length with a blank inside", post("Content-Length: 1 2\r\n", "abc"), 400},
    {"a blank before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
    {"a bare line feed", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
    {"a bare line feed after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
    {"a bare line feed at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
    {"a bare carriage return", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
    {"a NUL", get(std::string_view{"X: a\0b\r\n", 8}), 400},
    {"a NUL in the name", get(std::string_view{"X\0: a\r\n", 7}), 400},
    {"a field without a name", get(": a\r\n"), 400},
    {"a field without a colon", get("abc\r\n"), 400},
    {"a chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x5\r\nabcde\r\n0\r\n\r\n"), 400},
    {"a negative chunk size", post("Transfer-Encoding: chunked\r\n", "-1\r\nabcde\r\n0\r\n\r\n"), 400},
    {"a chunk size above 64 bits", post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nabc"), 400},
    {"a chunk size that is empty", post("Transfer-Encoding: chunked\r\n", "\r\nabc\r\n0\r\n\r\n"), 400},
    {"a chunk with bare line feeds", post("Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\n"), 400},
    {"a chunk that is longer than it says", post("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
     400},
  };
  for (const auto& [what, bytes, status] : rows) {
    CAPTURE(what);
    CHECK(status_of(bytes) == status);
    // The same, whatever the pieces in which it comes.
    reading slowly;
    for (std::size_t i = 1; i <= bytes.size() && !slowly.refused && !slowly.reader.done(); ++i)
      slowly.feed(std::string_view{bytes}.substr(0, i));
    REQUIRE(slowly.refused);
    CHECK(slowly.refused->status == status);
  }
}

TEST_CASE("the request line is held to its form") {
  struct row {
    std::string line;
    unsigned status;
  };
  const row rows[] = {
    {"GET / HTTP/1.1", 200},
    {"GET /a%20b?c=%00 HTTP/1.1", 200},
    {"GET http://a/b?c HTTP/1.1", 200},
    {"GET http://a HTTP/1.1", 200},
    {"GET HTTPS://a:8080/ HTTP/1.1", 200},
    {"OPTIONS * HTTP/1.1", 200},
    {"GET /\xc3\xa4 HTTP/1.1", 200},
    {"GET /.a/..b/c./...?/../ HTTP/1.1", 200},
    {"GET /.%61/%2e.b HTTP/1.1", 200},
    {"GET http://../a HTTP/1.1", 200}, // that is a host
    {"GET /.. HTTP/1.1", 400},
    {"GET /a/. HTTP/1.1", 400},
    {"GET /a/./b HTTP/1.1", 400},
    {"GET /a/../b?c HTTP/1.1", 400},
    {"GET /a/%2e%2E HTTP/1.1", 400},
    {"GET /a/.%2e/b HTTP/1.1", 400},
    {"GET /a/..%2fb HTTP/1.1", 400},
    {"GET /a%2F..?b HTTP/1.1", 400},
    {"GET http://a/.. HTTP/1.1", 400},
    {"GET * HTTP/1.1", 400},
    {"GET a HTTP/1.1", 400},
    {"GET a:80 HTTP/1.1", 400},
    {"GET http HTTP/1.1", 400},
    {"GET https HTTP/1.1", 400},
    {"GET http: HTTP/1.1", 400},
    {"GET http:/ HTTP/1.1", 400},
    {"GET ftp://a/ HTTP/1.1", 400},
    {"GET http:///a HTTP/1.1", 400},
    {"GET http://u@a/ HTTP/1.1", 400},
    {"GET /a%00b HTTP/1.1", 400},
    {"GET /a%0 HTTP/1.1", 400},
    {"GET /a%zz HTTP/1.1", 400},
    {"GET /a#b HTTP/1.1", 400},
    {"GET /a\tb HTTP/1.1", 400},
    {"GET /a\x01 HTTP/1.1", 400},
    {"GET /a\x7f HTTP/1.1", 400},
    {"GET  / HTTP/1.1", 400},
    {"GET /  HTTP/1.1", 400},
    {"GET / HTTP/1.1 ", 400},
    {" GET / HTTP/1.1", 400},
    {"GET /", 400},
    {"GET", 400},
    {"", 400},
    {"GET / http/1.1", 400},
    {"GET / HTTP/11", 400},
    {"GET / HTTP/1.2", 505},
    {"GET / HTTP/0.9", 505},
    {"GET / HTTP/2.0", 505},
    {"PRI * HTTP/2.0", 505},
    {"G\x01T / HTTP/1.1", 400},
    {"BREW / HTTP/1.1", 405},
    {"TRACE / HTTP/1.1", 405},
    {"CONNECT a:80 HTTP/1.1", 405},
    {"get / HTTP/1.1", 405},
  };
  for (const auto& [line, status] : rows) {
    CAPTURE(line);
    CHECK(status_of(line + "\r\nHost: a\r\n\r\n") == status);
  }
}

TEST_CASE("lines and heads are bounded before they are complete") {
  std::string path(8192, 'a');
  CHECK(status_of("GET /" + path) == 414);
  CHECK(status_of("GET /" + path.substr(0, 8192 - 14) + " HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of("GET /" + path.substr(0, 8192 - 13) + " HTTP/1.1\r\nHost: a\r\n\r\n") == 414);
  std::string value(16 << 10, 'v');
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + value) == 431);
  CHECK(status_of(get("X: " + value.substr(0, (16 << 10) - 16) + "\r\n")) == 200);
  CHECK(status_of(get("X: " + value.substr(0, (16 << 10) - 8) + "\r\n")) == 431);
  std::string many;
  for (int i = 0; i < 2000; ++i)
    many += "X:abcdef\r\n";
  CHECK(status_of(get(many)) == 431);
}

TEST_CASE("a body is counted as it comes in") {
  CHECK(status_of(post("Content-Length: 5\r\n", "abcde"), 5) == 200);
  CHECK(status_of(post("Content-Length: 6\r\n", "abcdef"), 5) == 413);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\n0\r\n\r\n"), 5) == 200);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "6\r\nabcdef\r\n0\r\n\r\n"), 5) == 413);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"), 5) == 413);
  // The announcement is enough.
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "7fffffffffffffff\r\n"), 5) == 413);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n"), 5) == 413);
}

TEST_CASE("a request is read whatever the pieces it comes in") {
  std::string bytes =
    "POST /orders/7?a=b&c HTTP/1.1\r\nHost: shop:80\r\nX-One:  1 \r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
  std::string next = "GET /";
  for (std::size_t piece : {1, 2, 3, 7, 1000}) {
    CAPTURE(piece);
    reading r;
    for (std::size_t i = piece; !r.reader.done() && i < bytes.size() + piece; i += piece)
      r.feed((bytes + next).substr(0, std::min(i, bytes.size() + next.size())));
    CHECK(!r.refused);
    REQUIRE(r.reader.done());
    CHECK(r.used == bytes.size()); // the next request is left alone
    auto& request = r.reader.current().request;
    CHECK(request.method == method::post);
    CHECK(request.path == "/orders/7");
    CHECK(request.query == "a=b&c");
    CHECK(request.body == "abcde");
    CHECK(request.headers == headers{{"Host", "shop:80"}, {"X-One", "1"}});
  }
}

TEST_CASE("one reader takes one request after another") {
  reading r;
  r.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  REQUIRE(r.reader.done());
  CHECK(r.reader.current().request.body == "abc");
  r.reader.next();
  r.used = 0;
  r.feed("GET /b HTTP/1.0\r\n\r\n");
  REQUIRE(r.reader.done());
  CHECK(r.reader.current().request.body.empty());
  CHECK(r.reader.current().request.path == "/b");
  CHECK(!r.reader.current().http_1_1);
  CHECK(!r.reader.current().keep_alive);
}

TEST_CASE("the authority of an absolute target counts, not the Host") {
  reading r;
  r.feed("GET http://real/x HTTP/1.1\r\nHost: other\r\n\r\n");
  REQUIRE(r.reader.done());
  CHECK(r.reader.current().request.headers.find("host") == "real");
  CHECK(r.reader.current().request.path == "/x");
}

TEST_CASE("what a head says about its connection is understood") {
  auto head = [](std::string_view bytes) {
    reading r;
    r.feed(bytes);
    REQUIRE(r.reader.head_done());
    return std::move(r.reader.current());
  };
  CHECK(head(get("")).keep_alive);
  CHECK(!head(get("Connection: close\r\n")).keep_alive);
  CHECK(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  CHECK(!head("GET / HTTP/1.0\r\n\r\n").keep_alive);
  CHECK(head(post("Expect: 100-continue\r\nContent-Length: 1\r\n", "")).expects_continue);
  CHECK(!head("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expects_continue);
  CHECK(status_of(post("Expect: a-miracle\r\nContent-Length: 1\r\n", "a")) == 417);
  CHECK(head(get("Connection: Upgrade\r\nUpgrade: websocket\r\n")).wants_upgrade);
  CHECK(!head(get("Upgrade: websocket\r\n")).wants_upgrade);
  CHECK(!head("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").wants_upgrade);
  CHECK(!head(post("Content-Length: 0\r\n", "")).has_body);
}

} // namespace sluice::http
