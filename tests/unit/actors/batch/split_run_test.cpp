// Goal: a split gives its results in the order of its records; what throws is tried again, then rejected.
#include "actors/batch/split_run.hpp"

#include <sluice/flow.hpp>

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::batch;
using namespace std::chrono_literals;

namespace {

struct number {
  std::int64_t n = 0;
};
struct group {
  std::string name;
  std::uint64_t count = 0;
  std::string numbers = "";
};

int failures_left = 0;

std::optional<number> half_of_even(const number& in) {
  if (in.n == 13 || (in.n == 8 && failures_left-- > 0))
    throw std::runtime_error{"unlucky"};
  return in.n % 2 == 0 ? std::optional{number{in.n / 2}} : std::nullopt;
}
async<std::vector<number>> twice_later(number in) {
  auto wait = sluice::sleep(in.n % 3 * 10ms);
  co_await std::move(wait);
  if (in.n == 13)
    throw std::runtime_error{"unlucky"};
  std::vector<number> out{in, in};
  co_return out;
}
group parity(const number& in) { return {in.n % 2 == 0 ? "even" : "odd", 1, std::to_string(in.n)}; }
void merge(group& into, const group& next) {
  into.count += next.count;
  into.numbers += " " + next.numbers;
}

/// A source in memory and the results beside it.
struct memory_files final : files_port {
  std::vector<std::string> records;
  std::vector<std::string> results;
  std::vector<std::string> rejected;

  struct reader final : split_reader {
    explicit reader(memory_files& files) : files(files) {}
    result<bool> next(std::vector<record_slice>& out) override { // three at a time
      out.clear();
      for (; out.size() < 3 && at < files.records.size(); ++at)
        out.push_back({files.records[at], at, {}});
      return at < files.records.size();
    }
    memory_files& files;
    std::size_t at = 0;
  };
  struct writer final : part_writer {
    explicit writer(memory_files& files) : files(files) {}
    result<void> add(std::string_view payload) override {
      written.emplace_back(payload);
      return {};
    }
    result<void> reject(const record_slice& record, std::uint32_t attempts,
                        const std::string& error) override {
      refused.push_back(std::to_string(record.offset) + " after " + std::to_string(attempts) + ": " + error);
      return {};
    }
    result<std::vector<record_block>> finish() override {
      files.results = written;
      files.rejected = refused;
      return std::vector<record_block>{};
    }
    memory_files& files;
    std::vector<std::string> written;
    std::vector<std::string> refused;
  };

  result<source_identity> identify() override { return source_identity{}; }
  result<std::vector<std::uint64_t>> plan(const source_identity&, std::uint64_t) override {
    return std::vector<std::uint64_t>{0};
  }
  result<std::unique_ptr<split_reader>> open_split(const split&) override {
    return std::make_unique<reader>(*this);
  }
  result<std::unique_ptr<part_writer>> create_part(const split&) override {
    return std::make_unique<writer>(*this);
  }
  result<std::unique_ptr<joined_files>> join(std::uint64_t, std::uint32_t,
                                             std::unique_ptr<reduction>) override {
    return fail(errc::unsupported, "not here");
  }
  void clean(std::uint64_t) override {}
  std::int64_t now_unix_ms() const override { return 0; }
};

/// Time passes when somebody waits.
struct manual_environment final : environment_port {
  std::chrono::steady_clock::time_point time{};
  std::chrono::milliseconds paused{0};
  std::function<void()> on_pause = [] {};

  struct loop final : loop_executor {
    explicit loop(manual_environment& where) : where(where) {}
    void post(std::function<void()> work) override {
      if (!is_closed)
        due.push_back(std::move(work));
    }
    void post_after(std::chrono::nanoseconds delay, std::function<void()> work) override {
      if (!is_closed)
        later.emplace(where.time + delay, std::move(work));
    }
    void run(const std::function<bool()>& ready) override {
      while (!ready()) {
        if (due.empty()) {
          REQUIRE_FALSE(later.empty());
          where.time = std::max(where.time, later.begin()->first);
          due.push_back(std::move(later.begin()->second));
          later.erase(later.begin());
          continue;
        }
        auto work = std::move(due.front());
        due.pop_front();
        work();
      }
    }
    void close() override {
      is_closed = true;
      due.clear();
      later.clear();
    }
    manual_environment& where;
    bool is_closed = false;
    std::deque<std::function<void()>> due;
    std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> later;
  };

  result<std::shared_ptr<files_port>> make_files(const flow_name&, const processor_spec&) override {
    return fail(errc::internal, "-");
  }
  std::shared_ptr<loop_executor> make_loop() override {
    auto made = std::make_shared<loop>(*this);
    last_loop = made;
    return made;
  }
  std::weak_ptr<loop> last_loop;
  void mark_thread(replica::flight_slot*) override {}
  std::chrono::steady_clock::time_point now() const override { return time; }
  void pause(std::chrono::milliseconds length) override {
    paused += length;
    time += length;
    on_pause();
  }
};

struct fixture {
  std::shared_ptr<memory_files> files = std::make_shared<memory_files>();
  std::shared_ptr<manual_environment> environment = std::make_shared<manual_environment>();
  replica::flight_slot slot;
  split_settings with;

  fixture() {
    with.files = files;
    with.environment = environment;
    with.signals = std::make_shared<split_signals>();
    with.slot = &slot;
    with.seq = 5;
    with.attempts_max = 3;
    with.rejected_max = 10;
    failures_left = 0;
  }

  template <class Add>
  result<split_result> run(std::vector<std::int64_t> numbers, Add add) {
    files->records.clear();
    for (auto n : numbers)
      files->records.push_back("{\"n\":" + std::to_string(n) + "}");
    return run_texts(add);
  }
  template <class Add>
  result<split_result> run_texts(Add add) {
    flow flow{"f"};
    add(flow);
    with.body = std::get<body_factory>(flow.bodies().begin()->second)();
    REQUIRE(with.body->setup().has_value());
    return run_split({1, 1, 0, 0, 100}, with);
  }
};

const auto halves = [](flow& to) { to.batch<half_of_even>("b", {}); };
const auto doubles = [](flow& to) { to.batch<twice_later>("b", {}); };
const auto groups = [](flow& to) { to.batch<parity, merge, &group::name>("b", {}); };

using texts = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(fixture, "results come in the order of their records") {
  auto done = run({2, 3, 4, 6, 7}, halves);
  REQUIRE(done.has_value());
  CHECK(files->results == texts{R"({"n":1})", R"({"n":2})", R"({"n":3})"});
  CHECK(done->counts.records_in == 5);
  CHECK(done->counts.records_out == 3);
  CHECK(done->counts.rejected == 0);
  CHECK(with.signals->records == 5);
  CHECK(slot.seq == 0);
}

TEST_CASE_FIXTURE(fixture, "a record that throws once is tried again, in its place") {
  failures_left = 1;
  auto done = run({2, 8, 4}, halves);
  REQUIRE(done.has_value());
  CHECK(files->results == texts{R"({"n":1})", R"({"n":4})", R"({"n":2})"});
  CHECK(environment->paused == 200ms);
  CHECK(with.signals->failed_attempts == 1);
}

TEST_CASE_FIXTURE(fixture, "a record that always throws is rejected, one that does not decode at once") {
  files->records = {R"({"n":13})", R"({"n":"x"})", R"({"n":2})"};
  auto done = run_texts(halves);
  REQUIRE(done.has_value());
  CHECK(done->counts.rejected == 2);
  REQUIRE(files->rejected.size() == 2);
  CHECK(files->rejected[0] == "0 after 3: unlucky");
  CHECK(files->rejected[1].starts_with("1 after 1: "));
  CHECK(files->results == texts{R"({"n":1})"});
}

TEST_CASE_FIXTURE(fixture, "where many records throw, only the first are waited for") {
  REQUIRE(run({13, 13, 13, 13, 13, 13}, halves).has_value());
  CHECK(environment->paused == 3 * (200ms + 400ms));
}

TEST_CASE_FIXTURE(fixture, "one rejected record too many fails for good, and says where") {
  with.rejected_max = 0;
  auto done = run({2, 13}, halves);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == errc::invalid_argument);
  CHECK(done.error().message.find("byte 1") != std::string::npos);
  CHECK(done.error().message.find("max_rejected") != std::string::npos);
  CHECK(files->results.empty());
}

TEST_CASE_FIXTURE(fixture, "where some may be rejected, one too many names the first of them") {
  with.rejected_max = 1;
  auto done = run({2, 13, 4, 13}, halves);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == errc::invalid_argument);
  CHECK(done.error().message
        == "2 records are rejected, max_rejected is 1: at byte 1: unlucky; at byte 3: unlucky");
}

TEST_CASE_FIXTURE(fixture, "a stop is noticed between records and within a pause") {
  environment->on_pause = [this] { with.signals->stop = true; };
  auto done = run({13, 2}, halves);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == errc::shutting_down);
  CHECK(files->results.empty());
}

TEST_CASE_FIXTURE(fixture, "coroutines run side by side, and their results come in order") {
  with.num_concurrency = 4;
  auto done = run({2, 1, 3, 4, 5}, doubles);
  REQUIRE(done.has_value());
  CHECK(files->results
        == texts{R"({"n":2})", R"({"n":2})", R"({"n":1})", R"({"n":1})", R"({"n":3})", R"({"n":3})",
                 R"({"n":4})", R"({"n":4})", R"({"n":5})", R"({"n":5})"});
  CHECK(done->counts.records_out == 10);
  CHECK(environment->time.time_since_epoch() < 60ms); // one after the other they take more
}

TEST_CASE_FIXTURE(fixture, "a coroutine that throws is tried again after a while, then rejected") {
  with.num_concurrency = 2;
  auto done = run({13, 2}, doubles);
  REQUIRE(done.has_value());
  CHECK(files->rejected == texts{"0 after 3: unlucky"});
  CHECK(done->counts.rejected == 1);
  CHECK(environment->time.time_since_epoch() >= 600ms);
}

TEST_CASE_FIXTURE(fixture, "a coroutine that takes too long counts as failed") {
  with.num_concurrency = 2;
  with.timeout = 15ms;
  with.attempts_max = 1;
  auto done = run({2, 3}, doubles);
  REQUIRE(done.has_value());
  CHECK(files->rejected == texts{"0 after 1: timed out after 15 ms"});
  CHECK(environment->last_loop.expired()); // what is late holds nothing once its split has ended
}

TEST_CASE_FIXTURE(fixture,
                  "a reduce step leaves one value per key, sorted, merged in the order of the records") {
  auto done = run({5, 2, 7, 4, 9}, groups);
  REQUIRE(done.has_value());
  CHECK(files->results
        == texts{R"({"name":"even","count":2,"numbers":"2 4"})",
                 R"({"name":"odd","count":3,"numbers":"5 7 9"})"});
  CHECK(done->counts.records_out == 2);
}
