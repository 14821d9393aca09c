#include "transport/link/memory_link.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

namespace sluice::link {
namespace {

hello named(std::string name) {
  hello h;
  h.name = std::move(name);
  return h;
}

std::vector<frame> one(std::uint64_t id, std::string body = {}) {
  std::vector<frame> frames(1);
  frames[0].kind = frame_kind::request;
  frames[0].id = id;
  frames[0].body = std::move(body);
  return frames;
}

struct end {
  std::vector<std::uint64_t> ids;
  std::vector<failure> closed;
  receiver to() {
    return {[this](std::vector<frame> frames) {
              for (const auto& f : frames)
                ids.push_back(f.id);
            },
            [this](failure why) { closed.push_back(std::move(why)); }};
  }
};

TEST_CASE("each end sees the other and gets its frames in order, early ones too") {
  end at_b;
  auto [a, b] = make_memory_link_pair(named("a"), named("b"));
  CHECK(a->peer().name == "b");
  CHECK(b->peer().name == "a");
  CHECK(a->send(one(1)));
  CHECK(a->send(one(2)));
  b->start(at_b.to());
  CHECK(a->send(one(3)));
  CHECK(at_b.ids == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("answers from inside a receiver do not recurse") {
  int depth = 0, depth_max = 0, left = 100000;
  auto [a, b] = make_memory_link_pair(named("a"), named("b"));
  auto bounce = [&](connection* from) {
    return [&, from](std::vector<frame> frames) {
      depth_max = std::max(depth_max, ++depth);
      if (--left > 0)
        CHECK(from->send(std::move(frames)));
      --depth;
    };
  };
  a->start({bounce(a.get()), [](failure) {}});
  b->start({bounce(b.get()), [](failure) {}});
  CHECK(a->send(one(1)));
  CHECK(left == 0);
  CHECK(depth_max <= 2);
}

TEST_CASE("close reaches both ends once, after what was sent before") {
  end at_a, at_b;
  auto [a, b] = make_memory_link_pair(named("a"), named("b"));
  CHECK(a->send(one(1)));
  a->start(at_a.to());
  a->close({errc::shutting_down, "done"});
  a->close({errc::internal, "again"});
  b->start(at_b.to());
  CHECK(at_b.ids == std::vector<std::uint64_t>{1});
  CHECK(at_b.closed == std::vector<failure>{{errc::shutting_down, "done"}});
  CHECK(at_a.closed == std::vector<failure>{{errc::shutting_down, "done"}});
  CHECK(a->send(one(2)).error().code == errc::unavailable);
  CHECK(b->send(one(2)).error().code == errc::unavailable);
}

TEST_CASE("dropping one end closes the other") {
  end at_b;
  auto [a, b] = make_memory_link_pair(named("a"), named("b"));
  b->start(at_b.to());
  a.reset();
  REQUIRE(at_b.closed.size() == 1);
  CHECK(at_b.closed[0].code == errc::unavailable);
}

TEST_CASE("a receiver that is not there yet bounds its sender, who hears when there is room") {
  end at_a, at_b;
  int room = 0;
  auto [a, b] = make_memory_link_pair(named("a"), named("b"), 1000);
  auto to = at_a.to();
  to.on_writable = [&] { ++room; };
  a->start(to);
  CHECK(a->send(one(1, std::string(600, 'x'))));
  CHECK(a->send(one(2, std::string(600, 'x'))).error().code == errc::overloaded);
  b->start(at_b.to());
  CHECK(room == 1);
  CHECK(a->send(one(3, std::string(600, 'x'))));
  CHECK(room == 1);
  CHECK(at_b.ids == std::vector<std::uint64_t>{1, 3});
}

TEST_CASE("threads at both ends lose and double nothing") {
  constexpr int per_thread = 5000;
  std::atomic<int> got{0};
  std::atomic<bool> inside{false}, overlapped{false};
  auto [a, b] = make_memory_link_pair(named("a"), named("b"));
  b->start({[&](std::vector<frame> frames) {
              if (inside.exchange(true))
                overlapped = true;
              got += static_cast<int>(frames.size());
              inside = false;
            },
            [](failure) {}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, sender = a] {
      for (int i = 0; i < per_thread; ++i)
        if (!sender->send(one(1)))
          --i;
    });
  for (auto& t : threads)
    t.join();
  CHECK(got == 4 * per_thread);
  CHECK_FALSE(overlapped);
}

} // namespace
} // namespace sluice::link
