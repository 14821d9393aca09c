#include "transport/http/answer_gate.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace sluice::http {

namespace {

/// A gate before one end of a pair of sockets.
struct gate_fixture {
  int ends[2];
  answer_gate gate;
  std::size_t sent = 0;
  bool wakes = false;

  gate_fixture() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0); }
  ~gate_fixture() {
    ::close(ends[0]);
    ::close(ends[1]);
  }

  void write(std::uint64_t call, std::string head, std::string body = {}) {
    const std::array<iovec, 2> pieces{{{head.data(), head.size()}, {body.data(), body.size()}}};
    gate.write(call, pieces, [this](std::size_t count, bool must_wake) {
      sent = count;
      wakes = must_wake;
    });
  }

  std::string received() {
    std::string out(4u << 20, '\0');
    const auto count = ::recv(ends[1], out.data(), out.size(), 0);
    out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return out;
  }
};

} // namespace

TEST_CASE_FIXTURE(gate_fixture, "an open gate lets one answer of its call through, and wakes nobody") {
  gate.open(3, ends[0], false);
  write(2, "of another call");
  CHECK(sent == 0);
  CHECK(wakes);
  write(3, "head", "body");
  CHECK(sent == 8);
  CHECK_FALSE(wakes);
  write(3, "again");
  CHECK(sent == 0);
  CHECK(received() == "headbody");
}

TEST_CASE_FIXTURE(gate_fixture, "a gate that is shut lets nothing through") {
  write(answer_gate::no_call, "before it was opened");
  CHECK(sent == 0);
  gate.open(1, ends[0], false);
  gate.shut();
  write(1, "late");
  CHECK(sent == 0);
  CHECK(wakes);
  CHECK(received().empty());
}

TEST_CASE_FIXTURE(gate_fixture, "what came in before the answer has its thread woken") {
  SUBCASE("before the request was handed out") { gate.open(1, ends[0], true); }
  SUBCASE("meanwhile") {
    gate.open(1, ends[0], false);
    CHECK_FALSE(gate.note_input());
  }
  write(1, "answer");
  CHECK(sent == 6);
  CHECK(wakes);
}

TEST_CASE_FIXTURE(gate_fixture, "who notes input behind the answer must look after it") {
  gate.open(1, ends[0], false);
  write(1, "answer");
  CHECK(gate.note_input());
  gate.open(2, ends[0], false);
  CHECK_FALSE(gate.note_input());
}

TEST_CASE_FIXTURE(gate_fixture, "what the socket does not take is left to its thread") {
  gate.open(1, ends[0], false);
  write(1, "head", std::string(4u << 20, 'x'));
  CHECK(sent > 0);
  CHECK(sent < (4u << 20));
  CHECK(wakes);
  CHECK_FALSE(gate.note_input());
}

TEST_CASE_FIXTURE(gate_fixture, "a client that is gone is found by its thread") {
  gate.open(1, ends[0], false);
  ::shutdown(ends[0], SHUT_RDWR);
  write(1, "answer");
  CHECK(sent == 0);
  CHECK(wakes);
}

} // namespace sluice::http
