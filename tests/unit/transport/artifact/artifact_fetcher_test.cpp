// Goal: a missing artifact is fetched once, whole, or not at all with the reason.
#include "tests/support/subprocess.hpp"
#include "transport/artifact/artifact_fetcher.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>

using namespace sluice;
using namespace sluice::artifact;

namespace {

struct fetch_fixture {
  test::temp_dir dir;
  std::unique_ptr<artifact_store> store = std::move(*artifact_store::open(dir.path()));
  std::string bytes = std::string(3u << 20, 'x') + "end";
  std::atomic<int> reads{0};

  artifact_id id_of(std::string_view text) {
    sha256 hash;
    hash.add(text);
    return hash.finish();
  }

  result<std::string> serve(std::string_view from, std::uint64_t offset, std::size_t size_max) {
    ++reads;
    return std::string{from.substr(std::min<std::size_t>(offset, from.size()), size_max)};
  }

  static result<void> wait_for(artifact_fetcher& fetcher, const artifact_id& id, std::uint64_t size) {
    std::promise<result<void>> answer;
    fetcher.ensure(id, size, [&](result<void> got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
};

} // namespace

TEST_CASE_FIXTURE(fetch_fixture, "a missing artifact is fetched in pieces, a stored one is not fetched") {
  artifact_fetcher fetcher{*store,
                           [this](auto&, auto offset, auto size) { return serve(bytes, offset, size); }};
  auto id = id_of(bytes);
  REQUIRE(wait_for(fetcher, id, bytes.size()));
  CHECK(reads == 4);
  CHECK(store->open_verified(id));
  REQUIRE(wait_for(fetcher, id, bytes.size()));
  CHECK(reads == 4);
}

TEST_CASE_FIXTURE(fetch_fixture, "other bytes than asked for are refused, and asking again starts over") {
  std::string lie = bytes;
  lie[5] = 'y';
  artifact_fetcher fetcher{*store, [&](auto&, auto offset, auto size) { return serve(lie, offset, size); }};
  auto id = id_of(bytes);
  auto refused = wait_for(fetcher, id, bytes.size());
  CHECK(refused.error().code == errc::corrupt);
  CHECK_MESSAGE(refused.error().message.starts_with("the head's copy of " + id.value.substr(0, 12)
                                                    + " does not match its hash: the SHA-256 of the bytes is "
                                                    + id_of(lie).value),
                refused.error().message);
  CHECK_MESSAGE(refused.error().message.ends_with("; submit the flow again"), refused.error().message);
  CHECK_FALSE(store->contains(id));
  lie = bytes;
  CHECK(wait_for(fetcher, id, bytes.size()));
}

TEST_CASE_FIXTURE(fetch_fixture, "a source that ends early or fails is told") {
  auto id = id_of(bytes);
  artifact_fetcher short_one{*store, [&](auto&, auto offset, auto size) {
                               return serve(std::string_view{bytes}.substr(0, 100), offset, size);
                             }};
  CHECK(wait_for(short_one, id, bytes.size()).error().message
        == "the head's copy of " + id.value.substr(0, 12)
             + " does not match its hash: it ends after 100 of 3145731 bytes; submit the flow again");
  artifact_fetcher failing{
    *store, [](auto&, auto, auto) -> result<std::string> { return fail(errc::unavailable, "no link"); }};
  auto got = wait_for(failing, id, bytes.size());
  CHECK(got.error().code == errc::unavailable);
  CHECK(got.error().message == "cannot fetch it: no link");
  CHECK(wait_for(failing, artifact_id{"zz"}, 1).error().code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(fetch_fixture, "many questions for one artifact make one fetch") {
  std::promise<void> gate;
  auto opened = gate.get_future().share();
  artifact_fetcher fetcher{*store, [&](auto&, auto offset, auto size) {
                             opened.wait();
                             return serve(bytes, offset, size);
                           }};
  std::atomic<int> answers{0};
  std::promise<void> all;
  for (int i = 0; i < 10; ++i)
    fetcher.ensure(id_of(bytes), bytes.size(), [&](result<void> got) {
      CHECK(got);
      if (++answers == 10)
        all.set_value();
    });
  gate.set_value();
  all.get_future().get();
  CHECK(reads == 4);
}

TEST_CASE_FIXTURE(fetch_fixture, "questions that are open at the end are answered") {
  std::atomic<int> refused{0};
  std::promise<void> begun;
  {
    std::promise<void> gate;
    artifact_fetcher fetcher{*store, [&](auto&, auto, auto) -> result<std::string> {
                               if (++reads == 1) {
                                 begun.set_value();
                                 gate.get_future().wait();
                               }
                               return fail(errc::unavailable, "no link");
                             }};
    fetcher.ensure(id_of(bytes), bytes.size(), [&](result<void>) { ++refused; });
    begun.get_future().get();
    for (const char* each : {"a", "b", "c"})
      fetcher.ensure(id_of(each), 1, [&](result<void>) { ++refused; });
    gate.set_value();
  }
  CHECK(refused == 4);
}
