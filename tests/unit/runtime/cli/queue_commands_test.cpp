// Goal: records go in checked and counted, and come out as they are; whatever stops a put, it
// is known how far it got.
#include "tests/support/cli_fixture.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::test;
namespace api = sluice::control::v1;

namespace {

struct queue_fixture : cli_fixture {
  std::vector<std::string> stored() const {
    std::vector<std::string> all;
    for (const auto& put : head.puts)
      all.insert(all.end(), put.payloads().begin(), put.payloads().end());
    return all;
  }

  void add_record(std::uint64_t seq, const std::string& payload) {
    auto& record = head.records.emplace_back();
    record.set_seq(seq);
    record.set_payload(payload);
  }
};

} // namespace

TEST_CASE_FIXTURE(queue_fixture, "every line is a record; blank ones and line ends do not count") {
  CHECK(run({"queue", "put", "in", "-"}, "{\"a\":1}\r\n\n  \n[2]\n\"three\"") == cli::ok);
  CHECK(stored() == std::vector<std::string>{"{\"a\":1}", "[2]", "\"three\""});
  CHECK(out.empty());
  CHECK(err
        == "3 records are in queue/in\nnote: no flow reads queue/in yet; what is in it waits for one that "
           "does\n");
  CHECK(run({"queue", "put", "in", "-"}, "") == cli::ok);
  CHECK(err == "0 records are in queue/in\n");
}

TEST_CASE_FIXTURE(queue_fixture, "the input may begin with a byte order mark") {
  CHECK(run({"queue", "put", "in", "-"}, "\xEF\xBB\xBF"
                                         "1\n2\n")
        == cli::ok);
  CHECK(stored() == std::vector<std::string>{"1", "2"});
  CHECK(run({"queue", "put", "in", "-"}, "1\n\xEF\xBB\xBF"
                                         "2\n")
        == cli::bad_usage);
  CHECK_MESSAGE(err_has("line 2: not valid JSON at byte 0: a byte order mark is no JSON"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a queue that a flow reads is put into without a note") {
  auto* source = head.snapshot.add_flows()->add_processors()->mutable_spec()->mutable_source();
  source->set_kind("queue");
  (*source->mutable_options())["name"] = "in";
  CHECK(run({"queue", "put", "in", "-"}, "1\n") == cli::ok);
  CHECK(err == "1 record is in queue/in\n");
  CHECK(run({"queue", "put", "inn", "-"}, "1\n") == cli::ok);
  CHECK_MESSAGE(err_has("no flow reads queue/inn yet"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a bad name of a queue is answered with the rule and an example") {
  for (const auto* command : {"peek", "dead-letters", "requeue", "put"}) {
    std::vector<std::string> words{"queue", command, "No Name"};
    if (command == std::string{"put"})
      words.emplace_back("-");
    CHECK(run(words, "1\n") == cli::bad_usage);
    CHECK_MESSAGE(err_has("'No Name' can be no queue: a name has 1 to 63 lower-case letters"), err);
    CHECK_MESSAGE(err_has("for example orders-2"), err);
  }
}

TEST_CASE_FIXTURE(queue_fixture, "records go in batches with numbers that grow, by one producer") {
  CHECK(run({"queue", "put", "in", "-", "--batch", "2"}, "1\n2\n3\n4\n5\n") == cli::ok);
  REQUIRE(head.puts.size() == 3);
  CHECK(head.puts[0].payloads_size() == 2);
  CHECK(head.puts[2].payloads_size() == 1);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(head.puts[i].producer() == "put/in/an-id");
    CHECK(head.puts[i].producer_seq() == i + 1);
  }
  CHECK(run({"queue", "put", "in", "-", "--batch", "0"}) == cli::bad_usage);
  CHECK(run({"queue", "put", "in", "-", "--batch", "4097"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(queue_fixture, "large records make small batches") {
  auto line = "\"" + std::string(3u << 20, 'x') + "\"\n";
  CHECK(run({"queue", "put", "in", "-"}, line + line + line) == cli::ok);
  CHECK(head.puts.size() == 3);
}

TEST_CASE_FIXTURE(queue_fixture, "the first line that is not JSON stops it; what came before is stored") {
  CHECK(run({"queue", "put", "in", "-", "--batch", "2"}, "1\n2\n3\nnot json\n5\n") == cli::bad_usage);
  CHECK(stored() == std::vector<std::string>{"1", "2", "3"});
  CHECK(err_has("line 4: not valid JSON"));
  CHECK(err_has("3 records are in queue/in, all from before line 4"));
}

TEST_CASE_FIXTURE(queue_fixture, "a file can be continued with the line that is printed") {
  auto path = (dir.path() / "r.jsonl").string();
  write_file(path, "1\n{\n3\n");
  CHECK(run({"queue", "put", "in", path}) == cli::bad_usage);
  CHECK(err_has("mend the line, then continue with: tail -n +2 '" + path + "' | sluice queue put in -"));
  write_file(path, "{\n2\n3\n");
  CHECK(run({"queue", "put", "in", path}) == cli::bad_usage);
  CHECK_MESSAGE(
    err_has("\nnothing was stored\nmend the line, then put it again: sluice queue put in '" + path + "'\n"),
    err);
  CHECK_FALSE(err_has("tail"));
  CHECK(run({"queue", "put", "in", (dir.path() / "none").string()}) == cli::not_found);
  CHECK_MESSAGE(err_has("none: No such file or directory"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a line that is too long is refused with its size") {
  auto line = "\"" + std::string(limits::record_size_bytes_max, 'x') + "\"";
  CHECK(run({"queue", "put", "in", "-"}, "1\n" + line) == cli::bad_usage);
  CHECK_MESSAGE(err_has("line 2 is longer than the 16777216 bytes"), err);
  CHECK(stored() == std::vector<std::string>{"1"});
}

TEST_CASE_FIXTURE(queue_fixture, "a head that is away is waited for, with the same number again") {
  head.refuse_first = {failure{errc::unavailable, "away"}, failure{errc::timeout, "slow"}};
  CHECK(run({"queue", "put", "in", "-"}, "1\n2\n") == cli::ok);
  REQUIRE(head.puts.size() == 1);
  CHECK(head.puts[0].producer_seq() == 1);
  CHECK(clock == std::chrono::seconds{1});
}

TEST_CASE_FIXTURE(queue_fixture, "a head that stays away ends it, and the line to go on from is right") {
  int calls = 0;
  on_pause = [&] { ++calls; };
  auto path = (dir.path() / "r.jsonl").string();
  write_file(path, "1\n2\n\n3\n4\n");
  head.refuse = failure{errc::unavailable, "it is gone"};
  CHECK(run({"queue", "put", "in", path, "--wait", "2s", "--batch", "2"}) == cli::unreachable);
  CHECK(err_has("it is gone"));
  CHECK_MESSAGE(
    err_has("0 records are in queue/in, all from before line 1; the 2 from line 1 on may be stored or not, "
            "and nothing behind them is\n"),
    err);
  CHECK_MESSAGE(err_has("sluice queue put in '" + path + "' --resume put/in/an-id:1:1:2\n"), err);
  CHECK(calls == 4);
  pauses_until_interrupt = 0;
  CHECK(run({"queue", "put", "in", path, "--batch", "2"}) == cli::interrupted);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a put is resumed with the same block, under the same number, and goes on behind it") {
  auto path = (dir.path() / "it's.jsonl").string();
  write_file(path, "1\n2\n\n3\n4\n5\n6\n");
  pauses_until_interrupt = 0;
  head.refuse_first = {failure{errc::timeout, "slow"}};
  CHECK(run({"queue", "put", "in", path, "--batch", "3"}) == cli::interrupted);
  CHECK_MESSAGE(err_has("/it'\\''s.jsonl' --resume put/in/an-id:1:1:3\n"), err);
  CHECK(run({"queue", "put", "in", path, "--batch", "2", "--resume", "put/in/other:7:2:3"}) == cli::ok);
  REQUIRE(head.puts.size() == 2);
  CHECK(head.puts[0].producer() == "put/in/other");
  CHECK(head.puts[0].producer_seq() == 7);
  CHECK(head.puts[1].producer_seq() == 8);
  CHECK(stored() == std::vector<std::string>{"2", "3", "4", "5", "6"});
  CHECK(head.puts[0].payloads_size() == 3);
  CHECK_MESSAGE(err_has("5 records are in queue/in\n"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a point of another queue is refused before anything is sent") {
  for (const char* point : {"put/inn/id:1:1:1", "put/i/id:1:1:1", "in:1:1:1"}) {
    CHECK(run({"queue", "put", "in", "-", "--resume", point}, "1\n") == cli::bad_usage);
    CHECK_MESSAGE(err_has("is of a put to another queue than 'in'"), err);
  }
  CHECK(head.puts.empty());
}

TEST_CASE_FIXTURE(queue_fixture, "a point that was used, or comes with another input, is not offered again") {
  head.refuse = failure{errc::conflict, "has gone on to request 4 already"};
  CHECK(run({"queue", "put", "in", "-", "--resume", "put/in/p:2:3:3"}, "1\n2\n3\n4\n5\n6\n")
        == cli::conflict);
  CHECK_MESSAGE(err_has("has gone on to request 4 already"), err);
  CHECK_MESSAGE(
    err_has("nothing was stored now: a put was gone on with from this point already, or the input is "
            "not the one that was sent before"),
    err);
  CHECK_MESSAGE(err_has("sluice queue peek in"), err);
  CHECK_MESSAGE(!err_has("--resume put/in/p:2:3:3"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a resumed put that fails again can be resumed as before") {
  head.refuse = failure{errc::unavailable, "it is gone"};
  CHECK(run({"queue", "put", "in", "-", "--resume", "put/in/p:1:2:7:3"}, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")
        == cli::unreachable);
  CHECK_MESSAGE(err_has("the 3 from line 7 on may be stored or not"), err);
  CHECK_MESSAGE(err_has("--resume put/in/p:1:2:7:3\nwith the same input, from its beginning\n"), err);
  head.refuse.reset();
  CHECK(run({"queue", "put", "in", "-", "--resume", "put/in/p:1:2:3"}, "1\n2\n3\n") == cli::bad_usage);
  CHECK_MESSAGE(err_has("give it the same input, from its beginning"), err);
  CHECK(run({"queue", "put", "in", "-", "--resume", "put/in/p:1:2:2"}, "1\n2\nx\n") == cli::bad_usage);
  CHECK_MESSAGE(err_has("line 3: not valid JSON"), err);
  CHECK_MESSAGE(err_has("--resume put/in/p:1:2:2"), err);
  pieces = {{cli::input_piece::outcome::bytes, "1\n2\n"},
            {cli::input_piece::outcome::pause},
            {cli::input_piece::outcome::signal}};
  CHECK(run({"queue", "put", "in", "-", "--resume", "put/in/p:1:2:2"}) == 128 + SIGTERM);
  CHECK_MESSAGE(err_has("--resume put/in/p:1:2:2"), err);
  CHECK(head.puts.empty());
  for (const char* bad : {"p", "p:1:2", ":1:2:3", "p:0:2:3", "p:1:x:3", "p:1:2:4097", "p:1:2:-3"}) {
    CHECK(run({"queue", "put", "in", "-", "--resume", bad}, "1\n") == cli::bad_usage);
    CHECK_MESSAGE(err_has("is not PRODUCER:SEQ:LINE:COUNT"), err);
  }
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a block that is refused after an answer was lost may be stored all the same") {
  head.refuse_first = {failure{errc::timeout, "slow"}};
  head.refuse = failure{errc::overloaded, "full"};
  CHECK(run({"queue", "put", "in", "-", "--wait", "1s"}, "1\n") == cli::no_capacity);
  CHECK_MESSAGE(err_has("the 1 from line 1 on may be stored or not"), err);
  head.refuse_first.clear();
  CHECK(run({"queue", "put", "in", "-", "--wait", "1s"}, "1\n") == cli::no_capacity);
  CHECK_MESSAGE(err_has("\nnothing was stored\n"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "lines that come slowly are sent when no more come") {
  using outcome = cli::input_piece::outcome;
  pieces = {{outcome::bytes, "1\n2\n{\"a\""},
            {outcome::pause},
            {outcome::bytes, ":3}\n"},
            {outcome::pause},
            {outcome::bytes, "4"}};
  CHECK(run({"queue", "put", "in", "-"}) == cli::ok);
  REQUIRE(head.puts.size() == 3);
  CHECK(head.puts[0].payloads_size() == 2);
  CHECK(head.puts[1].payloads(0) == "{\"a\":3}");
  CHECK(head.puts[2].payloads(0) == "4");
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a put that is asked to end sends the whole lines it has, and says where it stopped") {
  using outcome = cli::input_piece::outcome;
  pieces = {{outcome::bytes, "1\n2\n3"}, {outcome::signal}};
  CHECK(run({"queue", "put", "in", "-"}) == 128 + SIGTERM);
  CHECK(stored() == std::vector<std::string>{"1", "2"});
  CHECK_MESSAGE(
    err_has("2 records are in queue/in, all from before line 3; nothing from there on was stored"), err);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a large record that does not fit the block is not counted as stored with it") {
  auto large = "\"" + std::string(3u << 20, 'x') + "\"\n";
  pieces = {{cli::input_piece::outcome::bytes, large + large + "x\n"}};
  head.refuse_first = {};
  CHECK(run({"queue", "put", "in", "-"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("2 records are in queue/in, all from before line 3;"), err);
  pieces = {{cli::input_piece::outcome::bytes, large + large + large}};
  head.refuse_first = {};
  head.refuse_after_puts = head.puts.size() + 1;
  head.refuse = failure{errc::invalid_argument, "no"};
  CHECK(run({"queue", "put", "in", "-"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("1 record is in queue/in, all from before line 2;"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "what cannot be read is said with its reason") {
  CHECK(run({"queue", "put", "in", dir.path().string()}) == cli::bad_usage);
  CHECK_MESSAGE(err_has(dir.path().string() + ": it is a folder"), err);
  CHECK(run({"queue", "put", "in", "/proc/self/mem"}) == cli::failed); // it opens, and cannot be read
  CHECK_MESSAGE(err_has("cannot read /proc/self/mem: "), err);
}

TEST_CASE_FIXTURE(queue_fixture, "a head that is not there yet is waited for if that was said") {
  connect_fails = failure{errc::unavailable, "no head is running"};
  CHECK(run({"queue", "put", "in", "-"}, "1\n") == cli::unreachable);
  CHECK(clock.count() == 0);
  CHECK(run({"queue", "put", "in", "-", "--wait", "5s"}, "1\n") == cli::unreachable);
  CHECK(clock >= std::chrono::seconds{5});
  CHECK(clock < std::chrono::seconds{6});
  on_pause = [&] { connect_fails.reset(); };
  CHECK(run({"queue", "put", "in", "-", "--wait", "5s"}, "1\n") == cli::ok);
  CHECK(stored() == std::vector<std::string>{"1"});
  on_pause = {};
  connect_fails = failure{errc::unauthenticated, "no token"};
  CHECK(run({"queue", "put", "in", "-", "--wait", "5s"}, "1\n") == cli::not_allowed);
  connect_fails = failure{errc::unavailable, "no head is running"};
  pauses_until_interrupt = 1;
  CHECK(run({"queue", "put", "in", "-", "--wait", "5s"}, "1\n") == cli::interrupted);
  CHECK_MESSAGE(err_has("nothing was stored"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "what the head refuses is not tried again") {
  head.refuse = failure{errc::exhausted, "there are too many queues"};
  CHECK(run({"queue", "put", "in", "-"}, "1\n") == cli::no_capacity);
  CHECK(clock.count() == 0);
}

TEST_CASE_FIXTURE(queue_fixture, "records are shown as they are, page by page when all are asked for") {
  for (std::uint64_t seq = 1; seq <= 2500; ++seq)
    add_record(seq, "{\"id\": " + std::to_string(seq) + "}");
  CHECK(run({"queue", "peek", "in"}) == cli::ok);
  CHECK(std::count(out.begin(), out.end(), '\n') == 11);
  CHECK(run({"queue", "peek", "in", "--count", "0", "-o", "jsonl"}) == cli::ok);
  CHECK(std::count(out.begin(), out.end(), '\n') == 2500);
  CHECK(out.ends_with("{\"id\": 2500}\n"));
  CHECK(run({"queue", "peek", "in", "--after", "2499", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"seq\": 2500"));
  CHECK(run({"queue", "peek", "in", "--after", "2500"}) == cli::ok);
  CHECK(out.empty());
}

TEST_CASE_FIXTURE(queue_fixture, "a table shows the beginning of long records, and asks for no more") {
  const std::string text(1 << 20, 'x');
  add_record(1, "{\"text\": \"" + text + "\"}");
  add_record(2, std::string(1 << 20, '\xff'));
  std::string umlauts = "\"";
  for (int i = 0; i < 1000; ++i)
    umlauts += "\xc3\xa4";
  add_record(3, umlauts + "\"");
  add_record(4, "\"short\"");
  CHECK(run({"queue", "peek", "in"}) == cli::ok);
  CHECK(out.size() < 4000);
  CHECK_MESSAGE(out_has("{\"text\": \"xxx"), out);
  CHECK(out_has("xxx\xe2\x80\xa6\n"));
  CHECK(out_has("{\"base64\":\"////"));
  CHECK(out_has("\xc3\xa4\xe2\x80\xa6\n"));
  CHECK(out_has("\"short\"\n"));
  out_terminal = {true, false, 60, 20};
  CHECK(run({"queue", "peek", "in"}) == cli::ok);
  CHECK(out.size() < 600);
  for (const char* format : {"json", "jsonl"}) {
    CHECK(run({"queue", "peek", "in", "-o", format}) == cli::ok);
    CHECK(out.size() > std::size_t{2} << 20);
  }
}

TEST_CASE_FIXTURE(queue_fixture, "a failure in the middle of all records is no success") {
  head.refuse = failure{errc::not_found, "there is no queue/in"};
  for (auto format : {"table", "json", "jsonl"})
    CHECK(run({"queue", "peek", "in", "-o", format}) == cli::not_found);
}

TEST_CASE_FIXTURE(queue_fixture, "dead letters show the error and the record") {
  auto& letter = head.letters.emplace_back();
  letter.set_id(17);
  letter.set_queue("in");
  letter.set_flow("orders");
  letter.set_processor("price");
  letter.set_attempts(5);
  letter.set_error("order.id: expected string, got number");
  letter.set_payload("{\"id\": 1}");
  CHECK(run({"queue", "dead-letters", "in"}) == cli::ok);
  CHECK(out_has("orders/price"));
  CHECK(out_has("order.id: expected string, got number"));
  CHECK(err_has("sluice queue requeue in"));
  CHECK(run({"queue", "dead-letters", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"attempts\": 5"));
  CHECK(run({"queue", "dead-letters", "-o", "jsonl"}) == cli::ok);
  CHECK(out == "{\"id\": 1}\n");
  head.letters.clear();
  head.snapshot.add_queues()->set_name("in");
  CHECK(run({"queue", "dead-letters", "in"}) == cli::ok);
  CHECK(out.empty());
  for (const char* what : {"dead-letters", "peek", "requeue"}) {
    CHECK(run({"queue", what, "im"}) == cli::not_found);
    CHECK(err_has("there is no queue 'im'; did you mean 'in'?"));
  }
}

TEST_CASE_FIXTURE(queue_fixture, "requeue says how many came back, and when some did not") {
  head.requeued = 2;
  CHECK(run({"queue", "requeue", "in"}) == cli::ok);
  CHECK(err_has("2 records are back"));
  CHECK(run({"queue", "requeue", "in", "1", "2", "3"}) == cli::partly_failed);
  head.requeued = 0;
  CHECK(run({"queue", "requeue", "in", "1"}) == cli::not_found);
  CHECK(run({"queue", "requeue", "in", "one"}) == cli::bad_usage);
  CHECK(head.asked == std::vector<std::string>{"requeue in 0", "requeue in 3", "requeue in 1"});
}

TEST_CASE_FIXTURE(queue_fixture, "a requeue of more ids than the head takes at a time is several") {
  std::vector<std::string> words{"queue", "requeue", "in"};
  for (int id = 1; id <= 5000; ++id)
    words.push_back(std::to_string(id));
  head.requeued = 2500;
  CHECK(run(words) == cli::ok);
  CHECK(head.asked == std::vector<std::string>{"requeue in 4096", "requeue in 904"});
}

TEST_CASE_FIXTURE(queue_fixture, "a requeue whose answer does not come may have moved letters, and says so") {
  head.refuse = failure{errc::timeout, "no answer within 10s"};
  CHECK(run({"queue", "requeue", "in"}) == cli::unreachable);
  CHECK_MESSAGE(err_has("the letters may be back, in part or all"), err);
  CHECK_MESSAGE(err_has("a longer --timeout"), err);
}

TEST_CASE_FIXTURE(queue_fixture, "purge forgets one of the two") {
  CHECK(run({"queue", "purge", "in"}) == cli::ok);
  CHECK(run({"queue", "purge", "in", "--dead-letters", "-o", "json"}) == cli::ok);
  CHECK(out == "{\n  \"count\": 3\n}\n");
  CHECK(head.asked == std::vector<std::string>{"purge in", "purge in dead letters"});
}

TEST_CASE_FIXTURE(queue_fixture, "purge takes the dead letters of files only from who names them") {
  CHECK(run({"queue", "purge", "", "--dead-letters"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("'' can be no queue"), err);
  CHECK(run({"queue", "purge", "-"}) == cli::bad_usage);
  CHECK(head.asked.empty());
  CHECK(run({"queue", "purge", "-", "--dead-letters"}) == cli::ok);
  CHECK_MESSAGE(err_has("3 dead letters of files are forgotten"), err);
  CHECK(head.asked == std::vector<std::string>{"purge  dead letters"});
}

TEST_CASE_FIXTURE(queue_fixture, "purge of dead letters of a queue that is not there says so") {
  head.purged = 0;
  CHECK(run({"queue", "purge", "nosuch", "--dead-letters"}) == cli::not_found);
  CHECK_MESSAGE(err_has("there is no queue 'nosuch'"), err);
}
