// Goal: every answered request has its line, nothing in it can be forged, and who adds one waits for no disk.
#include "tests/support/subprocess.hpp"
#include "transport/http/access_log.hpp"

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

using namespace sluice::http;
using namespace std::chrono_literals;
using sluice::test::temp_dir;

namespace {

access_entry sample() {
  access_entry entry;
  entry.client = "10.0.0.1:5555";
  entry.method = "POST";
  entry.path = "/orders";
  entry.id = "r1";
  entry.processor = "orders/ingest";
  entry.status = 200;
  entry.bytes_in = 12;
  entry.bytes = 34;
  entry.taken = 1500us;
  entry.replica = 9;
  entry.attempts = 2;
  return entry;
}

std::string all_of(const std::filesystem::path& directory) {
  auto all = sluice::process::read_log(directory, 0, 1u << 24);
  REQUIRE(all);
  return all->text;
}

} // namespace

TEST_CASE("a line says everything, as JSON") {
  const auto line = access_line(sample(), std::chrono::system_clock::time_point{1'767'323'045'678ms});
  REQUIRE(line.ends_with("}\n"));
  const auto value = boost::json::parse(line).as_object();
  CHECK(value.at("time") == "2026-01-02T03:04:05.678Z");
  CHECK(value.at("id") == "r1");
  CHECK(value.at("client") == "10.0.0.1:5555");
  CHECK(value.at("method") == "POST");
  CHECK(value.at("path") == "/orders");
  CHECK(value.at("status") == 200);
  CHECK(value.at("bytes_in") == 12);
  CHECK(value.at("bytes_out") == 34);
  CHECK(value.at("duration_us") == 1500);
  CHECK(value.at("processor") == "orders/ingest");
  CHECK(value.at("replica") == 9);
  CHECK(value.at("attempts") == 2);
}

TEST_CASE("what a client writes ends neither text nor line, and is always good JSON") {
  auto entry = sample();
  entry.path = "/a\",\"status\":200\r\n\x1b[2J\xff\\";
  const auto line = access_line(entry, {});
  CHECK(line.find('\n') == line.size() - 1);
  const auto value = boost::json::parse(line).as_object();
  CHECK(value.size() == 12);
  CHECK(std::string{value.at("path").as_string()}.starts_with("/a\",\"status"));
}

TEST_CASE("the longest of everything fits into a line") {
  auto entry = sample();
  const std::string worst(300, '\x01');
  entry.id = entry.client = entry.method = entry.path = entry.processor = worst;
  entry.status = UINT_MAX;
  entry.bytes_in = entry.bytes = entry.replica = UINT64_MAX;
  entry.attempts = UINT32_MAX;
  entry.taken = std::chrono::microseconds::max();
  const auto line = access_line(entry, std::chrono::system_clock::time_point::max());
  CHECK(line.size() > 5 * 6 * worst.size());
  const auto value = boost::json::parse(line).as_object();
  CHECK(value.at("processor").as_string() == worst);
  CHECK(value.at("bytes_out").as_uint64() == UINT64_MAX);
  CHECK(value.at("duration_us").as_int64() == INT64_MAX);
}

TEST_CASE("all lines are on disk when the log ends, in order") {
  temp_dir dir;
  {
    access_log log{{dir.path() / "access"}};
    for (int i = 0; i < 1000; ++i) {
      auto entry = sample();
      entry.status = 1000 + static_cast<unsigned>(i);
      log.add(entry);
    }
  }
  const auto text = all_of(dir.path() / "access");
  std::size_t at = 0;
  for (int i = 0; i < 1000; ++i)
    REQUIRE((at = text.find("\"status\":" + std::to_string(1000 + i), at)) != std::string::npos);
}

TEST_CASE("files rotate") {
  temp_dir dir;
  {
    access_log log{{dir.path(), {.file_bytes_max = 1000, .files_max = 2}}};
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 5; ++i)
        log.add(sample());
      // What waits is written together: the next round only once this one has been.
      REQUIRE(sluice::test::eventually([&] {
        auto tail = sluice::process::read_log_tail(dir.path(), 1, 4096);
        return tail && tail->offset_next >= static_cast<std::uint64_t>((round + 1) * 5) * 200;
      }));
    }
  }
  int files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator{dir.path()})
    ++files;
  CHECK(files == 2);
}

TEST_CASE("without a place to write to, lines are lost and nothing else") {
  access_log log{{"/proc/no-such-folder"}};
  for (int i = 0; i < 100; ++i)
    log.add(sample());
}
