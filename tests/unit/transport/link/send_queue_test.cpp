#include "transport/link/frame_codec.hpp"
#include "transport/link/send_queue.hpp"

#include <doctest/doctest.h>

#include <random>

namespace sluice::link {
namespace {

std::vector<frame> frames_of(std::size_t count, std::size_t body_bytes, std::uint64_t first_id = 0) {
  std::vector<frame> frames(count);
  for (auto& f : frames) {
    f.id = first_id++;
    f.body.assign(body_bytes, 'x');
  }
  return frames;
}

std::string drain(send_queue& queue, std::size_t pieces_max, std::size_t bytes_max, std::size_t take_max) {
  std::string out;
  std::vector<std::string_view> pieces;
  for (;;) {
    queue.peek(pieces, pieces_max, bytes_max);
    if (pieces.empty())
      return out;
    REQUIRE(pieces.size() <= pieces_max);
    std::size_t total = 0;
    std::string seen;
    for (auto piece : pieces) {
      total += piece.size();
      seen += piece;
    }
    REQUIRE(total <= bytes_max);
    auto taken = std::min(total, take_max);
    out += seen.substr(0, taken);
    queue.consume(taken);
  }
}

TEST_CASE("bytes leave in the order of the pushes, however writes are cut") {
  for (std::size_t take : {std::size_t{1}, std::size_t{77}, std::size_t{100000}, std::size_t{1} << 30}) {
    std::mt19937_64 random{3};
    send_queue queue{64u << 20};
    std::string expected;
    std::uint64_t id = 0;
    for (int i = 0; i < (take == 1 ? 3 : 30); ++i) {
      auto frames = frames_of(random() % 20 + 1,
                              take == 1           ? random() % 100
                              : random() % 9 == 0 ? 40000
                                                  : 90,
                              id);
      id += frames.size();
      for (const auto& f : frames)
        append_frame(expected, f);
      CHECK(queue.push(frames) != send_queue::outcome::full);
    }
    CHECK(queue.waiting_bytes() == expected.size());
    CHECK(drain(queue, 4, 256u << 10, take) == expected);
    CHECK(queue.waiting_bytes() == 0);
  }
}

TEST_CASE("only the first push after the writer found nothing wakes it") {
  send_queue queue{1u << 20};
  auto push = [&] {
    auto frames = frames_of(1, 10);
    return queue.push(frames);
  };
  CHECK(push() == send_queue::outcome::wake);
  CHECK(push() == send_queue::outcome::queued);
  drain(queue, 8, 1u << 20, 1u << 20);
  CHECK(push() == send_queue::outcome::wake);
}

TEST_CASE("a full window takes all of a batch or none, and says when there is room") {
  constexpr std::size_t window = 1000;
  send_queue queue{window};
  auto first = frames_of(5, 100); // 600 bytes
  CHECK(queue.push(first) == send_queue::outcome::wake);
  auto second = frames_of(4, 100); // 480
  CHECK(queue.push(second) == send_queue::outcome::full);
  CHECK(queue.waiting_bytes() == 600);
  CHECK(second[0].body.size() == 100);
  std::vector<std::string_view> pieces;
  queue.peek(pieces, 8, 1u << 20);
  CHECK_FALSE(queue.consume(99));
  CHECK(queue.consume(1)); // down to half
  CHECK_FALSE(queue.consume(1));
  CHECK(queue.push(second) == send_queue::outcome::queued);
  auto huge = frames_of(1, window);
  CHECK(queue.push(huge) == send_queue::outcome::full);
}

TEST_CASE("a batch of exactly the window fits") {
  send_queue queue{frame_header_bytes + 80};
  auto frames = frames_of(1, 80);
  CHECK(queue.push(frames) == send_queue::outcome::wake);
  auto more = frames_of(1, 0);
  CHECK(queue.push(more) == send_queue::outcome::full);
}

TEST_CASE("short frames, which often make room, may pass a full window by a little") {
  send_queue queue{1u << 20};
  auto most = frames_of(1, (1u << 20) - frame_header_bytes);
  CHECK(queue.push(most) == send_queue::outcome::wake);
  auto longer = frames_of(1, 8u << 10);
  CHECK(queue.push(longer) == send_queue::outcome::full);
  int pushed = 0;
  for (auto frames = frames_of(1, 10); queue.push(frames) == send_queue::outcome::queued;
       frames = frames_of(1, 10))
    REQUIRE(++pushed < 1000); // it has an end
  CHECK(pushed > 100);
}

TEST_CASE("a closed queue takes nothing and still gives what it has") {
  send_queue queue{1u << 20};
  auto frames = frames_of(2, 10);
  queue.push(frames);
  queue.close();
  frames = frames_of(1, 10);
  CHECK(queue.push(frames) == send_queue::outcome::closed);
  CHECK(drain(queue, 8, 1u << 20, 1u << 20).size() == 2 * (frame_header_bytes + 10));
  frame last;
  last.kind = goodbye_kind;
  queue.push_control(last); // the link's own last word
  CHECK(drain(queue, 8, 1u << 20, 1u << 20).size() == frame_header_bytes);
}

TEST_CASE("a long body is moved and not copied") {
  send_queue queue{1u << 20};
  auto frames = frames_of(1, 100000);
  const auto* before = frames[0].body.data();
  queue.push(frames);
  std::vector<std::string_view> pieces;
  queue.peek(pieces, 8, 1u << 20);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].size() == frame_header_bytes);
  CHECK(pieces[1].data() == before);
}

TEST_CASE("many short frames are gathered into few pieces") {
  send_queue queue{64u << 20};
  for (int i = 0; i < 100; ++i) {
    auto frames = frames_of(100, 50);
    queue.push(frames);
  }
  std::vector<std::string_view> pieces;
  queue.peek(pieces, 64, 64u << 20);
  CHECK(pieces.size() <= 4); // 700 KB in pieces of 256 KiB
}

} // namespace
} // namespace sluice::link
