#include "tests/integration/link/link_fixture.hpp"
#include "transport/link/io_core.hpp"
#include "transport/link/send_cork.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace sluice::link::testing {
namespace {

TEST_CASE("frames cross TCP in order, short and long, both ways") {
  io_thread io;
  server head{io, plain_listener()};
  auto made = connect(io, head.port(), plain_client());
  REQUIRE(made);
  CHECK((*made)->peer().name == "head");
  end_point node{*made};
  end_point there{head.links.take().value()};
  CHECK(there.link->peer().name == "node-1");
  CHECK(there.link->peer().role == peer_role::node);
  const std::vector<std::size_t> sizes{0, 1, 20, 5000, 32u << 10, 300000, 7, 5u << 20, 3};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    REQUIRE(node.send(i, std::string(sizes[i], static_cast<char>('a' + i))));
    REQUIRE(there.send(i, std::string(sizes[i], static_cast<char>('A' + i))));
  }
  for (auto* at : {&there, &node})
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto got = at->frames->take();
      REQUIRE(got);
      CHECK(got->id == i);
      CHECK(got->body.size() == sizes[i]);
      CHECK(got->body.find_first_not_of(static_cast<char>((at == &there ? 'a' : 'A') + i))
            == std::string::npos);
    }
}

TEST_CASE("frames sent before the other side listens wait for it") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  for (std::uint64_t i = 0; i < 1000; ++i)
    REQUIRE(node.send(i, std::string(2000, 'x')));
  end_point there{head.links.take().value()};
  REQUIRE(there.frames->wait_count(1000));
  for (std::uint64_t i = 0; i < 1000; ++i)
    REQUIRE(there.frames->take()->id == i);
}

TEST_CASE("an inherited socket pair makes a link, once") {
  io_thread io;
  auto ends = make_socket_pair();
  REQUIRE(ends);
  auto parent = make_fd_connector(io, ends->first, fd_end::parent, plain_client("node-1"));
  link_options host;
  host.self = make_hello(peer_role::host, "77");
  host.self.cluster_id.clear(); // a host learns it from its node
  auto child = make_fd_connector(io, ends->second, fd_end::child, host);
  inbox<result<connection_ptr>> at_parent;
  parent->connect([&](result<connection_ptr> made) { at_parent.put(std::move(made)); });
  end_point b{connect(*child).value()};
  end_point a{at_parent.take().value().value()};
  CHECK(a.link->peer().name == "77");
  CHECK(b.link->peer().cluster_id == "c1");
  REQUIRE(a.send(5, "hi"));
  CHECK(b.frames->take()->body == "hi");
  CHECK(connect(*child).error().code == errc::unavailable);
}

TEST_CASE("a unix socket is its owner's alone, replaces a dead one and refuses a living one") {
  auto folder = std::string{"/tmp/sluice-link-XXXXXX"};
  REQUIRE(::mkdtemp(folder.data()));
  io_thread io;
  auto options = plain_listener();
  options.at = {"", 0, folder + "/link.sock"};
  {
    server head{io, options};
    REQUIRE(head.listens);
    struct stat facts {};
    REQUIRE(::stat(options.at.path.c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == 0600);
    auto by = make_unix_connector(io, options.at.path, plain_client());
    end_point node{connect(*by).value()};
    end_point there{head.links.take().value()};
    REQUIRE(node.send(1));
    CHECK(there.frames->take()->id == 1);
    server second{io, options};
    CHECK(second.refusals.take()->code == errc::conflict);
  }
  CHECK_FALSE(std::filesystem::exists(options.at.path));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a port in use and addresses that need TLS are refused in words") {
  io_thread io;
  server head{io, plain_listener()};
  auto options = plain_listener();
  options.at.port = head.port();
  auto taken = listen(io, options);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == errc::conflict);
  CHECK(taken.error().message.find(std::to_string(head.port())) != std::string::npos);
  options.at = {"0.0.0.0", 0, ""};
  CHECK(listen(io, options).error().code == errc::invalid_argument);
  options.at = {"no address", 0, ""};
  CHECK(listen(io, options).error().code == errc::invalid_argument);
  auto far = make_tcp_connector(io, "192.0.2.1", 9, plain_client());
  CHECK(connect(*far).error().code == errc::invalid_argument);
}

TEST_CASE("nobody at the port is unavailable") {
  io_thread io;
  std::uint16_t port = 0;
  {
    server head{io, plain_listener()};
    port = head.port();
  }
  auto made = connect(io, port, plain_client());
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::unavailable);
}

TEST_CASE("close hands over what was sent, then its reason, and ends both sides once") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  end_point there{head.links.take().value()};
  constexpr std::uint64_t count = 2000;
  for (std::uint64_t i = 0; i < count; ++i)
    REQUIRE(node.send(i, std::string(3000, 'x')));
  node.link->close({errc::shutting_down, "going home"});
  node.link->close({errc::internal, "twice"});
  REQUIRE(there.frames->wait_count(count));
  CHECK(there.closed->take() == failure{errc::shutting_down, "going home"});
  CHECK(node.closed->take() == failure{errc::shutting_down, "going home"});
  CHECK(node.send(1).error().code == errc::unavailable);
  there.link.reset();
  node.link.reset();
  io.stop();
  CHECK(node.closed->count() == 0);
  CHECK(there.closed->count() == 0);
}

TEST_CASE("dropping a connection closes it") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  end_point there{head.links.take().value()};
  node.link.reset();
  CHECK(there.closed->take()->code == errc::cancelled);
}

TEST_CASE("stopping the io thread closes every link with a word and leaves none behind") {
  io_thread client_io;
  auto server_io = std::make_unique<io_thread>();
  auto head = std::make_unique<server>(*server_io, plain_listener());
  end_point node{connect(client_io, head->port(), plain_client()).value()};
  end_point there{head->links.take().value()};
  server_io->stop();
  CHECK(there.closed->take()->code == errc::shutting_down);
  CHECK(node.closed->take()->code == errc::shutting_down);
  CHECK(there.send(1).error().code == errc::unavailable);
  auto late = make_tcp_connector(*server_io, "127.0.0.1", 1, plain_client());
  CHECK(connect(*late).error().code == errc::shutting_down);
  CHECK(listen(*server_io, plain_listener()).error().code == errc::shutting_down);
  head.reset();
  server_io.reset();
}

TEST_CASE("an exception in a receiver ends its link and not the process") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  auto there = head.links.take().value();
  inbox<failure> closed;
  there->start({[](std::vector<frame>) { throw std::runtime_error{"boom"}; },
                [&](failure why) { closed.put(std::move(why)); }});
  REQUIRE(node.send(1));
  auto why = closed.take();
  REQUIRE(why);
  CHECK(why->code == errc::internal);
  CHECK(why->message.find("boom") != std::string::npos);
  CHECK(node.closed->take()->code == errc::internal);
}

TEST_CASE("wrong version, cluster and role are refused in words on both sides") {
  io_thread io;
  auto strict = plain_listener();
  strict.link.expect_role = peer_role::node;
  strict.admit = [](const hello& peer) {
    return peer.name == "node-9" ? fail(errc::permission_denied, "node-9 was removed") : result<void>{};
  };
  server head{io, strict};
  auto refused = [&](auto change, errc code, const char* word) {
    auto options = plain_client();
    change(options);
    auto made = connect(io, head.port(), options);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == code);
    CHECK(made.error().message.find(word) != std::string::npos);
    auto there = head.refusals.take();
    REQUIRE(there);
    CHECK(there->code == code);
  };
  refused([](link_options& o) { o.self.protocol_version = 9; }, errc::unsupported, "protocol 9");
  refused([](link_options& o) { o.self.cluster_id = "c2"; }, errc::permission_denied, "c2");
  refused([](link_options& o) { o.self.role = peer_role::host; }, errc::permission_denied, "host");
  refused([](link_options& o) { o.self.name = "node-9"; }, errc::permission_denied, "removed");
  refused([](link_options& o) { o.self.started = {}; }, errc::invalid_argument, "incarnation");
  CHECK(head.links.count() == 0);
  SUBCASE("and a client refuses a server that is not whom it wants") {
    auto options = plain_client();
    options.expect_name = "other-head";
    CHECK(connect(io, head.port(), options).error().code == errc::permission_denied);
    end_point there{head.links.take().value()};
    CHECK(there.closed->take()->code == errc::permission_denied);
  }
}

TEST_CASE("a process that comes again replaces its link, a copy of it is refused") {
  io_thread io;
  server head{io, plain_listener()};
  end_point first{connect(io, head.port(), plain_client("node-1", 1)).value()};
  end_point at_head{head.links.take().value()};
  auto copy = connect(io, head.port(), plain_client("node-1", 2));
  REQUIRE_FALSE(copy);
  CHECK(copy.error().code == errc::conflict);
  end_point again{connect(io, head.port(), plain_client("node-1", 1)).value()};
  CHECK(at_head.closed->take()->code == errc::conflict);
  CHECK(first.closed->take()->code == errc::conflict);
  end_point now{head.links.take().value()};
  REQUIRE(again.send(4));
  CHECK(now.frames->take()->id == 4);
}

TEST_CASE("a full window refuses, says when there is room, and loses nothing") {
  io_thread io, slow_io;
  server head{slow_io, plain_listener()};
  auto options = plain_client();
  options.window_bytes = 1u << 20;
  end_point node{connect(io, head.port(), options).value()};
  auto there = head.links.take().value(); // does not listen yet
  std::uint64_t sent = 0;
  for (;;) {
    auto outcome = node.send(sent, std::string(10000, 'x'));
    if (!outcome) {
      CHECK(outcome.error().code == errc::overloaded);
      break;
    }
    ++sent;
    REQUIRE(sent < 100000); // kernel buffers and the window are not that large
  }
  end_point late{there};
  CHECK(node.writable->take().has_value());
  REQUIRE(late.frames->wait_count(sent));
  REQUIRE(node.send(sent, "after"));
  for (std::uint64_t i = 0; i <= sent; ++i)
    REQUIRE(late.frames->take()->id == i);
}

TEST_CASE("room that came before anybody listened for it is told at the start") {
  io_thread io, other_io;
  server head{other_io, plain_listener()};
  auto options = plain_client();
  options.window_bytes = 10000;
  inbox<connection_ptr> made;
  auto by = make_tcp_connector(io, "127.0.0.1", head.port(), options);
  by->connect([&](result<connection_ptr> outcome) {
    std::vector<frame> frames(1);
    frames[0].body.assign(6000, 'x');
    CHECK((*outcome)->send(frames));
    CHECK((*outcome)->send(frames).error().code == errc::overloaded);
    made.put(std::move(*outcome));
  });
  auto link = made.take().value();
  end_point there{head.links.take().value()};
  REQUIRE(there.frames->take()); // so the queue is empty by now
  end_point node{link};
  CHECK(node.writable->take().has_value());
}

TEST_CASE("what a thread sends under a cork leaves when that is pulled or ends, in order") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  end_point there{head.links.take().value()};
  REQUIRE(node.send(1)); // both sides have started
  REQUIRE(there.frames->take()->id == 1);
  {
    send_cork cork;
    REQUIRE(node.send(2));
    send_cork inner; // does nothing
    REQUIRE(node.send(3));
    cork.pull();
    CHECK(there.frames->take()->id == 2);
    CHECK(there.frames->take()->id == 3);
    REQUIRE(node.send(4, std::string(1u << 20, 'x'))); // more than a socket takes at once
    REQUIRE(node.send(5));
    node.link->close({errc::shutting_down, "bye"}); // does not cut off what is held back
  }
  CHECK(there.frames->take()->body.size() == 1u << 20);
  CHECK(there.frames->take()->id == 5);
  CHECK(there.closed->take() == failure{errc::shutting_down, "bye"});
}

/// Answers each frame from where it is handed over, with the next number, and says that more follows; `seen` has every thousandth.
void answer_at_once(const io_thread& io, const connection_ptr& link, inbox<std::uint64_t>& seen) {
  link->start({[to = std::weak_ptr{link}, &seen, &core = *io.core()](std::vector<frame> got) {
                 core.expect_more();
                 for (auto& each : got)
                   if (++each.id % 1000 == 0)
                     seen.put(each.id);
                 if (auto open = to.lock())
                   static_cast<void>(open->send(std::move(got)));
               },
               [](const failure&) {}, [] {}});
}

TEST_CASE("one frame after the other, each sent when the last one came, goes on through thousands of turns "
          "until the loops end") {
  inbox<std::uint64_t> seen;
  io_thread here; // polls once it knows what comes
  io_thread yonder{false};
  server head{yonder, plain_listener()};
  auto node = connect(here, head.port(), plain_client()).value();
  auto there = head.links.take().value();
  answer_at_once(yonder, there, seen);
  answer_at_once(here, node, seen);
  std::vector<frame> first(1);
  first[0] = {frame_kind::request, 1, 0, 0, {}};
  REQUIRE(node->send(std::move(first)));
  for (std::uint64_t wanted = 1000; wanted <= 6000; wanted += 1000)
    CHECK(seen.take() == wanted);
  here.stop(); // in the midst of it
  yonder.stop();
}

TEST_CASE("one thread's links send what came on each other") {
  io_thread here;
  io_thread yonder{false};
  server middle{here, plain_listener()};
  auto first = connect(yonder, middle.port(), plain_client("node-1")).value();
  auto second = connect(yonder, middle.port(), plain_client("node-2")).value();
  check_forwarding(middle, first, second);
}

TEST_CASE("threads that send at once each keep their order") {
  io_thread io;
  server head{io, plain_listener()};
  end_point node{connect(io, head.port(), plain_client()).value()};
  end_point there{head.links.take().value()};
  constexpr int threads = 4;
  constexpr std::uint64_t per_thread = 3000;
  std::vector<std::thread> senders;
  for (int t = 0; t < threads; ++t)
    senders.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < per_thread; ++i)
        static_cast<void>(node.send(static_cast<std::uint64_t>(t) << 32 | i, std::string(i % 300, 'x')));
    });
  for (auto& s : senders)
    s.join();
  REQUIRE(there.frames->wait_count(threads * per_thread));
  std::vector<std::uint64_t> next(threads);
  for (std::uint64_t i = 0; i < threads * per_thread; ++i) {
    auto got = there.frames->take()->id;
    REQUIRE((got & 0xffffffff) == next[got >> 32]++);
  }
}

} // namespace
} // namespace sluice::link::testing
