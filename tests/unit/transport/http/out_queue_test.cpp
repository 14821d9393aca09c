#include "transport/http/out_queue.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <sys/uio.h>

namespace sluice::http {

TEST_CASE("small pieces become one, long ones stay where they are") {
  out_queue queue;
  queue.add(std::string_view{"a"});
  queue.add(std::string{"b"});
  std::string large(100'000, 'x');
  const auto* where = large.data();
  queue.add(std::move(large));
  queue.add(std::string_view{});
  std::array<iovec, 4> pieces;
  REQUIRE(queue.gather(pieces) == 2);
  CHECK(std::string_view{static_cast<char*>(pieces[0].iov_base), pieces[0].iov_len} == "ab");
  CHECK(pieces[1].iov_base == where);
  CHECK(queue.bytes() == 100'002);
}

TEST_CASE("bytes that others send too are neither copied nor joined") {
  out_queue queue;
  queue.add(std::string_view{"head"});
  auto shared = std::make_shared<const std::string>("shared");
  queue.add(std::shared_ptr<const std::string>{shared});
  queue.add(std::make_shared<const std::string>());
  queue.add(std::string_view{"tail"});
  std::array<iovec, 4> pieces;
  REQUIRE(queue.gather(pieces) == 3);
  CHECK(pieces[1].iov_base == shared->data());
  CHECK(queue.bytes() == 14);
  queue.drop(6); // into the shared one
  REQUIRE(queue.gather(pieces) == 2);
  CHECK(std::string_view{static_cast<char*>(pieces[0].iov_base), pieces[0].iov_len} == "ared");
  queue.drop(5);
  CHECK(shared.use_count() == 1);
  REQUIRE(queue.gather(pieces) == 1);
  CHECK(std::string_view{static_cast<char*>(pieces[0].iov_base), pieces[0].iov_len} == "ail");
}

TEST_CASE("what goes out is what came in, however little is taken at a time") {
  for (unsigned seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    out_queue queue;
    std::string in, out;
    for (int step = 0; step < 500; ++step) {
      std::string piece(random() % (random() % 10 == 0 ? 40'000 : 100),
                        static_cast<char>('a' + random() % 26));
      in += piece;
      random() % 2 ? queue.add(std::string_view{piece}) : queue.add(std::move(piece));
      if (random() % 3 == 0)
        continue;
      std::array<iovec, 3> pieces;
      auto count = queue.gather(pieces);
      std::string gathered;
      for (std::size_t i = 0; i < count; ++i)
        gathered.append(static_cast<char*>(pieces[i].iov_base), pieces[i].iov_len);
      auto taken = gathered.empty() ? 0 : random() % (gathered.size() + 1);
      out += gathered.substr(0, taken);
      queue.drop(taken);
      REQUIRE(in.size() - out.size() == queue.bytes());
    }
    CHECK(in.starts_with(out));
  }
}

} // namespace sluice::http
