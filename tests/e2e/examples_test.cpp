// Goal: every example does by hand what its first lines say, asked with curl as there, and ends with Ctrl-C.
#include "tests/support/cli_cluster.hpp"
#include "tests/support/websocket_client.hpp"

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <memory>

using namespace sluice::test;

namespace {

struct answer {
  int status = 0;
  std::string body;
};

/// An example that runs by hand, on a free port and with a state of its own.
class example {
public:
  explicit example(const std::string& name, std::map<std::string, std::string> env = {}) {
    run_options options;
    options.env = std::move(env);
    process_ = std::make_unique<background_process>(
      std::vector<std::string>{program("example_" + name), "--http", "127.0.0.1:0", "--state-dir",
                               (dir_.path() / "state").string()},
      options, dir_.path() / "output");
    REQUIRE(eventually([&] { return process_->output().find("serves http://") != std::string::npos; }));
    const auto text = process_->output();
    const auto from = text.find("http://127.0.0.1:");
    base_ = text.substr(from, text.find('\n', from) - from);
  }

  answer curl(const std::string& path, std::vector<std::string> more = {}) {
    std::vector<std::string> argv{"curl", "-sS", "-m", "30", "-w", "\n%{http_code}", base_ + path};
    argv.insert(argv.end(), more.begin(), more.end());
    auto got = run(argv);
    REQUIRE_MESSAGE(got.exit_code == 0, got.err);
    const auto at = got.out.rfind('\n');
    return {std::stoi(got.out.substr(at + 1)), got.out.substr(0, at)};
  }
  answer send(const std::string& method, const std::string& path, const std::string& json,
              std::vector<std::string> more = {}) {
    more.insert(more.end(), {"-X", method, "-H", "Content-Type: application/json", "-d", json});
    return curl(path, std::move(more));
  }

  /// A real WebSocket client.
  sluice::testing::websocket_client open(const std::string& path) {
    return {static_cast<std::uint16_t>(std::stoul(base_.substr(base_.rfind(':') + 1))), path};
  }

  std::string url(const std::string& path) const { return base_ + path; }
  std::string output() const { return process_->output(); }
  void signal(int number) const { process_->signal(number); }
  int end_with_ctrl_c() {
    process_->signal(SIGINT);
    return process_->wait();
  }

private:
  temp_dir dir_;
  std::unique_ptr<background_process> process_;
  std::string base_;
};

} // namespace

TEST_CASE("example endpoint: typed input and output, and errors that say where") {
  example notes{"endpoint"};
  auto added = notes.send("POST", "/notes", R"({"text":"buy milk"})");
  CHECK(added.status == 200);
  CHECK(added.body == R"({"id":1,"text":"buy milk"})");
  CHECK(notes.curl("/notes/1").body == R"({"id":1,"text":"buy milk"})");
  CHECK(notes.curl("/notes?limit=5").body == R"([{"id":1,"text":"buy milk"}])");
  CHECK(notes.curl("/notes/2").status == 404);
  CHECK(notes.curl("/notes/two").status == 422);
  auto wrong_type = notes.send("POST", "/notes", R"({"text":7})");
  CHECK(wrong_type.status == 422);
  CHECK(wrong_type.body.find(R"("path":"text")") != std::string::npos);
  CHECK(notes.send("POST", "/notes", R"({"text":)").status == 400);
  CHECK(notes.curl("/notes", {"-d", "text=x"}).status == 415);
  CHECK(notes.curl("/notes", {"-X", "DELETE"}).status == 405);
  CHECK(notes.end_with_ctrl_c() == 130);
}

TEST_CASE("example endpoint: it describes itself, and has a page to try it") {
  example notes{"endpoint"};
  auto document = notes.curl("/openapi.json");
  REQUIRE(document.status == 200);
  auto parsed = boost::json::parse(document.body).as_object();
  CHECK(parsed.at("openapi").as_string() == "3.1.0");
  CHECK(parsed.at("paths").as_object().contains("/notes/{id}"));
  auto page = notes.curl("/docs");
  CHECK(page.status == 200);
  CHECK(page.body.find("http://") == std::string::npos); // nothing from outside
}

TEST_CASE("example collector: a success is in the queue, and goes on to the consumer") {
  example clicks{"collector"};
  for (int i = 0; i < 20; ++i) {
    auto got = clicks.send("POST", "/clicks", R"({"user":"ada","page":"/"})");
    CHECK(got.status == 200);
    CHECK(got.body == R"({"success":true})");
  }
  auto refused = clicks.send("POST", "/clicks", R"({"user":"ada"})");
  CHECK(refused.status == 422);
  CHECK(refused.body.starts_with(R"({"success":false)"));
  CHECK(eventually([&] { return clicks.output().find(R"("clicks":20)") != std::string::npos; }));
  CHECK(clicks.end_with_ctrl_c() == 130);
}

TEST_CASE("example async_endpoint: requests wait side by side") {
  example weather{"async_endpoint"};
  CHECK(weather.curl("/weather/Oslo?days=3").status == 200);
}

TEST_CASE("example guard: only who knows the secret gets in") {
  example settings{"guard", {{"READER_KEY", "abc"}, {"ADMIN_TOKEN", "xyz"}}};
  CHECK(settings.curl("/health").body == "ok");
  CHECK(settings.curl("/setting").status == 401);
  CHECK(settings.curl("/setting", {"-H", "X-Api-Key: abd"}).status != 200);
  CHECK(settings.curl("/setting", {"-H", "X-Api-Key: abc"}).status == 200);
  CHECK(settings.send("PUT", "/setting", R"({"value":"on"})").status == 401);
  CHECK(settings.send("PUT", "/setting", R"({"value":"on"})", {"-H", "Authorization: Bearer xyz"}).status
        < 300);
  CHECK(settings.curl("/setting", {"-H", "X-Api-Key: abc"}).body.find("on") != std::string::npos);
}

TEST_CASE("example stream: a second Ctrl-C ends it at once, whoever still reads") {
  example countdown{"stream"};
  temp_dir dir;
  background_process reader{
    {"curl", "-sN", countdown.url("/countdown/1000?interval_ms=60000")}, {}, dir.path() / "lines"};
  REQUIRE(eventually([&] { return reader.output().find("1000 to go") != std::string::npos; }));
  countdown.signal(SIGINT);
  REQUIRE(eventually([&] { return countdown.output().find("once more ends at once") != std::string::npos; }));
  CHECK(countdown.end_with_ctrl_c() == 130);
  CHECK(countdown.output().find("ended at once") != std::string::npos);
  CHECK(countdown.output().find("did not end in time") == std::string::npos);
}

TEST_CASE("example stream: what goes on for ever is cut when the drain's time for requests is over") {
  example countdown{"stream"};
  temp_dir dir;
  background_process reader{
    {"curl", "-sN", countdown.url("/countdown/1000?interval_ms=60000")}, {}, dir.path() / "lines"};
  REQUIRE(eventually([&] { return reader.output().find("1000 to go") != std::string::npos; }));
  CHECK(countdown.end_with_ctrl_c() == 130);
  CHECK(countdown.output().find("did not end in time; streams are cut") != std::string::npos);
  CHECK(countdown.output().find("took longer than") == std::string::npos);
  CHECK(reader.wait() == 18); // curl: the transfer ended before its end
}

TEST_CASE("example stream: JSON lines, or events for who accepts them") {
  example countdown{"stream"};
  CHECK(countdown.curl("/countdown/1?interval_ms=1").body
        == "{\"left\":1,\"text\":\"1 to go\"}\n{\"left\":0,\"text\":\"lift-off\"}\n");
  CHECK(countdown.curl("/countdown/0", {"-H", "Accept: text/event-stream"}).body
        == "data: {\"left\":0,\"text\":\"lift-off\"}\n\n");
  CHECK(countdown.curl("/countdown/2000").status == 422);
  CHECK(countdown.curl("/squares/3").body == "1\n4\n9\n");
}

TEST_CASE("example chat: a room reaches everybody in it, and ends with the program") {
  example chat{"chat"};
  auto ada = chat.open("/chat/lobby?name=ada");
  REQUIRE(ada.status() == 101);
  CHECK(ada.read() == R"({"name":"ada","text":"is here"})");
  auto bob = chat.open("/chat/lobby?name=bob");
  CHECK(bob.read() == R"({"name":"bob","text":"is here"})");
  CHECK(ada.read() == R"({"name":"bob","text":"is here"})");
  CHECK(ada.send(R"({"text":"hello"})"));
  CHECK(ada.read() == R"({"name":"ada","text":"hello"})");
  CHECK(bob.read() == R"({"name":"ada","text":"hello"})");

  auto nobody = chat.open("/chat/lobby?name=");
  CHECK(nobody.read_to_close() == 1008);
  CHECK(nobody.close_reason() == "a name is needed");
  CHECK(ada.send(R"({"text":7})"));
  CHECK(ada.read_to_close() == 1007);
  CHECK(ada.close_reason() == "say.text: expected string, got number");
  CHECK(bob.read() == R"({"name":"ada","text":"has gone after 1"})");

  auto echo = chat.open("/echo");
  CHECK(echo.send("hi"));
  CHECK(echo.read() == "hi");
  CHECK(chat.curl("/echo").status == 426);
  CHECK(chat.curl("/openapi.json").body.find("x-websocket") != std::string::npos);
  CHECK(chat.end_with_ctrl_c() == 130);
  CHECK(bob.read_to_close() == 1001);
}

TEST_CASE("example provide: processors share one table") {
  example counters{"provide"};
  CHECK(counters.curl("/counters/visits", {"-X", "POST"}).status == 200);
  CHECK(counters.curl("/counters/visits", {"-X", "POST"}).status == 200);
  CHECK(counters.curl("/counters/visits").body.find('2') != std::string::npos);
}

TEST_CASE("example sales: a file is reduced to a table per country, and the program ends") {
  temp_dir dir;
  const auto in = dir / "orders.csv";
  const auto out = dir / "sales.csv";
  write_file(in, "country,amount\nNO,1.5\n\"SE\",2\nNO,3\nDK,-1\n");
  auto done = run({program("example_sales"), "--state-dir", dir / "state", "--", in, out});
  CHECK_MESSAGE(done.exit_code == 0, done.err);
  CHECK(read_file(out) == "country,orders,total\nNO,2,4.5\nSE,1,2\n");
  CHECK(done.err.find("4 records in, 2 out, 0 rejected") != std::string::npos);
}

TEST_CASE("example orders: what is put into its queue is priced and ends in a file") {
  temp_dir dir;
  write_file(dir / "orders.jsonl",
             "{\"id\":\"a\",\"items\":[{\"price\":2.5,\"count\":4}]}\n"
             "{\"id\":\"b\",\"items\":[{\"price\":10}],\"coupon\":\"ten\",\"in\":\"usd\"}\n"
             "{\"id\":\"free\",\"items\":[]}\n");
  run_options there;
  there.directory = dir.path();
  auto done =
    run({program("example_orders"), "--state-dir", dir / "state", "--put", "orders=orders.jsonl"}, there);
  CHECK_MESSAGE(done.exit_code == 0, done.err);
  const auto written = read_file(dir / "audit.jsonl");
  CHECK(written.find(R"({"id":"a","total":10,"in":"eur"})") != std::string::npos);
  CHECK(written.find(R"({"id":"b","total":9,"in":"usd"})") != std::string::npos);
  CHECK(written.find("free") == std::string::npos);
}

TEST_CASE("example packages: a record of the queue becomes figures in another one") {
  temp_dir dir;
  write_file(dir / "packages.jsonl",
             "{\"id\":1,\"name\":\"sl\",\"version\":\"5\",\"section\":\"games\",\"depends\":\"a, b\","
             "\"installed_kib\":2,\"download_bytes\":1024,\"maintainer\":\"Ada <ada@example.org>\"}\n");
  run_options there;
  there.directory = dir.path();
  auto done = run(
    {program("example_packages"), "--state-dir", dir / "state", "--put", "packages=packages.jsonl"}, there);
  CHECK_MESSAGE(done.exit_code == 0, done.err);
  auto measured = run({program("example_packages"), "--state-dir", dir / "state", "--peek", "measured"});
  CHECK_MESSAGE(measured.exit_code == 0, measured.err);
  CHECK(measured.out.find(R"("team":"Ada","depends_count":2,"installed_kib":2,"unpack_ratio":2})")
        != std::string::npos);
}

TEST_CASE("example files: rows of a CSV file become events on stdout, and a pulse goes on") {
  temp_dir dir;
  write_file(dir / "sales.csv", "city,product,count\nOslo,tea,2\nBergen,\"coffee, black\",1\n");
  run_options options;
  options.env = {{"SLUICE_EXAMPLE_FILE", dir / "sales.csv"}};
  background_process files{
    {program("example_files"), "--state-dir", dir / "state"}, options, dir.path() / "output"};
  CHECK(eventually(
    [&] {
      const auto text = files.output();
      return text.find(R"({"product":"tea","city":"Oslo"})") != std::string::npos
             && text.find(R"({"product":"coffee, black","city":"Bergen"})") != std::string::npos
             && text.find("still here") != std::string::npos;
    },
    30s));
  files.signal(SIGINT);
  CHECK(files.wait() == 130);
}

TEST_CASE("a mistyped option is named before what the flow lacks without it, and help needs no arguments") {
  auto wrong = run({program("example_sales"), "--bogus"});
  CHECK(wrong.exit_code == 2);
  CHECK_MESSAGE(wrong.err.find("--bogus") != std::string::npos, wrong.err);
  auto help = run({program("example_sales"), "--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.find("flow 'sales'") != std::string::npos);
  auto incomplete = run({program("example_sales")});
  CHECK(incomplete.exit_code == 2);
  CHECK_MESSAGE(incomplete.err.find("a file needs a path") != std::string::npos, incomplete.err);
}

TEST_CASE("a port that is taken is named, with what to do") {
  example notes{"endpoint"};
  const auto text = notes.output();
  const auto from = text.find("127.0.0.1:");
  const auto address = text.substr(from, text.find('\n', from) - from);
  temp_dir other;
  auto second = run({program("example_endpoint"), "--http", address, "--state-dir", other.path().string()});
  CHECK(second.exit_code == 1);
  CHECK(second.err.find(address) != std::string::npos);
  CHECK(second.err.find("--http") != std::string::npos);
  auto wrong = run({program("example_endpoint"), "--http", "8000x", "--state-dir", other.path().string()});
  CHECK(wrong.exit_code == 2);
}
