// Goal: the output of a batch is in its place when `publish` says so, and not otherwise.
#include "tests/support/subprocess.hpp"
#include "transport/batch/batch_files.hpp"
#include "transport/batch/part_files.hpp"

#include <sluice/io/distinct_files.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <vector>

using namespace sluice;
using namespace sluice::batch;

namespace {

/// Keeps what it is given.
class all_values final : public reduction {
public:
  result<void> map(std::string_view) override { return {}; }
  result<void> take_mapped() override { return {}; }
  std::size_t mapped_count() const noexcept override { return 0; }
  result<void> merge(std::string_view encoded) override {
    values_.emplace_back(encoded);
    return {};
  }
  std::size_t key_count() const noexcept override { return values_.size(); }
  result<void> write(const std::function<result<void>(std::string_view)>& give) override {
    for (const auto& each : values_)
      if (auto done = give(each); !done)
        return done;
    return {};
  }

private:
  std::vector<std::string> values_;
};

struct fixture {
  test::temp_dir dir;
  std::filesystem::path target = dir.path() / "out" / "result.jsonl";
  std::shared_ptr<files_port> files;

  explicit fixture() {
    processor_spec spec;
    spec.kind = pattern::batch;
    spec.source = {"file", {{"path", (dir.path() / "in").string()}}};
    spec.sink = {"file", {{"path", target.string()}}};
    spec.batch = batch_spec{};
    spec.batch->reduce_by = "key";
    files = make_batch_files(flow_name{"f"}, spec).value();
    for (std::uint32_t i = 0; i < 2; ++i) {
      split which;
      which.run = 1;
      which.index = i;
      auto part = files->create_part(which).value();
      REQUIRE(part->add("part " + std::to_string(i)));
      REQUIRE(part->finish());
    }
  }
  result<std::unique_ptr<joined_files>> join() { return files->join(1, 2, std::make_unique<all_values>()); }
  result<finish_outcome> put_together() {
    auto joined = join();
    return joined ? (*joined)->publish() : fail(joined);
  }
  std::size_t files_beside_target() const {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator{target.parent_path()})
      count += each.is_regular_file() ? 1 : 0;
    return count;
  }
  std::string content() const {
    std::ifstream in{target, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "merged values take the place of the target, each time anew") {
  const auto done = put_together();
  REQUIRE(done.has_value());
  CHECK(done->records_out == 2);
  CHECK(content() == "part 0\npart 1\n");
  std::ofstream{target, std::ios::trunc} << "of the run before";
  REQUIRE(put_together().has_value());
  CHECK(content() == "part 0\npart 1\n");
}

TEST_CASE_FIXTURE(fixture, "a target that cannot be replaced is an error, though something is there") {
  {
    const auto joined = join();
    REQUIRE(joined.has_value());
    std::filesystem::create_directories(target / "of another");
    const auto done = (*joined)->publish();
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().message.find("rename") != std::string::npos);
  }
  CHECK(files_beside_target() == 0);
  std::filesystem::remove_all(target);
  REQUIRE(put_together().has_value()); // the parts are there still
  CHECK(content() == "part 0\npart 1\n");
}

TEST_CASE_FIXTURE(fixture,
                  "what is put together and not published leaves nothing, and the target as it was") {
  REQUIRE(put_together().has_value());
  std::ofstream{target, std::ios::trunc} << "of the run after";
  auto joined = join();
  REQUIRE(joined.has_value());
  CHECK(files_beside_target()
        == 1); // it is where the parts are, and would go with them if the process were killed
  CHECK(content() == "of the run after");
  files->clean(1);
  CHECK(files_beside_target() == 1);
  CHECK_FALSE((*joined)->publish().has_value());
  joined->reset();
  CHECK(content() == "of the run after");
}

TEST_CASE("a relative path that leads to nothing is told whole") {
  processor_spec spec;
  spec.kind = pattern::batch;
  spec.source = {"file", {{"path", "no-such-folder/in"}}};
  spec.sink = {"empty", {}};
  spec.batch = batch_spec{};
  const auto source = make_batch_files(flow_name{"f"}, spec).value()->identify();
  REQUIRE_FALSE(source);
  CHECK(source.error().code == errc::not_found);
  CHECK(source.error().message
        == "file: open " + std::filesystem::absolute("no-such-folder/in").string()
             + ": No such file or directory");
}

TEST_CASE("a file that is read is not written to by another name") {
  test::temp_dir dir;
  namespace fs = std::filesystem;
  const auto source = dir.path() / "in.jsonl";
  std::ofstream{source} << "{}\n";
  fs::create_directory(dir.path() / "folder");
  fs::create_symlink("in.jsonl", dir.path() / "link.jsonl");
  fs::create_directory_symlink(".", dir.path() / "here");
  fs::create_hard_link(source, dir.path() / "hard.jsonl");
  const auto refusal = [&](const fs::path& sink, const std::string& rejected = {}) -> std::string {
    processor_spec spec;
    spec.kind = pattern::batch;
    spec.source = {"file", {{"path", source.string()}}};
    spec.sink = {"file", {{"path", sink.string()}}};
    spec.batch = batch_spec{};
    spec.batch->rejected = rejected;
    auto made = make_batch_files(flow_name{"f"}, spec);
    return made ? std::string{} : made.error().message;
  };
  const auto real = fs::canonical(source).string();
  const auto sink_refused = "sink: " + real + " is the file of the source, by another name; name another one";
  CHECK(refusal(dir.path() / "link.jsonl") == sink_refused);
  CHECK(refusal(dir.path() / "here/in.jsonl") == sink_refused);
  CHECK(refusal(dir.path() / "folder/../in.jsonl") == sink_refused);
  CHECK(refusal(fs::relative(source)) == sink_refused);
  CHECK(refusal(dir.path() / "out.jsonl", fs::relative(source).string())
        == "rejected: " + real + " is the file of the source, by another name; name another one");
  CHECK(refusal(dir.path() / "out.jsonl", fs::relative(dir.path() / "out.jsonl").string())
          .ends_with("is the file of the sink, by another name; name another one"));
  CHECK(refusal(dir.path() / "hard.jsonl").empty()); // only its own name is replaced
  processor_spec consumer;                           // which appends
  consumer.source = {"file", {{"path", source.string()}}};
  consumer.sink = {"file", {{"path", (dir.path() / "hard.jsonl").string()}}};
  CHECK_FALSE(check_distinct_files(consumer));
  consumer.sink.options["path"] = (dir.path() / "other.jsonl").string();
  CHECK(check_distinct_files(consumer));
  fs::create_symlink("/dev/null", dir.path() / "null");
  consumer.source.options["path"] = "/dev/null";
  consumer.sink.options["path"] = (dir.path() / "null").string();
  CHECK(check_distinct_files(consumer)); // a device has nothing that could be lost
  CHECK(refusal(dir.path() / "out.jsonl", (dir.path() / "bad.jsonl").string()).empty());
}

TEST_CASE("parts without a reduce step are joined in order, with what was rejected, and published together") {
  test::temp_dir dir;
  const auto target = dir.path() / "result.jsonl";
  const auto rejected = dir.path() / "result.jsonl.rejected.jsonl";
  processor_spec spec;
  spec.kind = pattern::batch;
  spec.source = {"file", {{"path", (dir.path() / "in").string()}}};
  spec.sink = {"file", {{"path", target.string()}}};
  spec.batch = batch_spec{};
  auto files = make_batch_files(flow_name{"f"}, spec).value();
  for (std::uint32_t i = 0; i < 2; ++i) {
    split which;
    which.run = 1;
    which.index = i;
    auto part = files->create_part(which).value();
    REQUIRE(part->add("part " + std::to_string(i)));
    REQUIRE(part->reject({"bad", i, {}}, 1, "why"));
    REQUIRE(part->finish());
  }
  auto joined = files->join(1, 2, nullptr);
  REQUIRE(joined.has_value());
  CHECK_FALSE(std::filesystem::exists(target));
  CHECK_FALSE(std::filesystem::exists(rejected));
  REQUIRE((*joined)->publish().has_value());
  std::ifstream in{target, std::ios::binary};
  CHECK(std::string{std::istreambuf_iterator<char>{in}, {}} == "part 0\npart 1\n");
  CHECK(std::filesystem::exists(rejected));
}

namespace {

result<std::shared_ptr<files_port>> files_to(const std::filesystem::path& target) {
  processor_spec spec;
  spec.kind = pattern::batch;
  spec.source = {"file", {{"path", target.string() + ".in"}}};
  spec.sink = {"file", {{"path", target.string()}}};
  spec.batch = batch_spec{};
  return make_batch_files(flow_name{"f"}, spec);
}

void run_one(files_port& files) {
  split which;
  which.run = 1;
  auto part = files.create_part(which).value();
  REQUIRE(part->add("new"));
  REQUIRE(part->finish());
  REQUIRE(files.join(1, 1, nullptr).value()->publish());
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

} // namespace

TEST_CASE("batches that read one file keep their parts and their rejected records apart") {
  test::temp_dir dir;
  const auto source = dir.path() / "in";
  const auto files_of = [&](const char* processor) {
    processor_spec spec;
    spec.name = processor_name{processor};
    spec.kind = pattern::batch;
    spec.source = {"file", {{"path", source.string()}}};
    spec.sink = {"queue", {{"name", "out"}}};
    spec.batch = batch_spec{};
    spec.batch->reduce_by = "key";
    return make_batch_files(flow_name{"f"}, spec).value();
  };
  const auto one = files_of("one");
  const auto other = files_of("other");
  split which;
  which.run = 1;
  const auto work = [&](files_port& files, std::string_view result, bool rejects) {
    auto part = files.create_part(which).value();
    REQUIRE(part->add(result));
    if (rejects)
      REQUIRE(part->reject({"bad", 0, {}}, 1, "why"));
    REQUIRE(part->finish());
  };
  work(*one, "of one", true);
  work(*other, "of other", false);
  REQUIRE(other->join(1, 1, std::make_unique<all_values>()).value()->publish());
  other->clean(1);
  auto joined = one->join(1, 1, std::make_unique<all_values>());
  REQUIRE(joined.has_value());
  const auto done = (*joined)->publish();
  REQUIRE(done.has_value());
  REQUIRE(done->results.size() == 1);
  for (auto record : done->results.front())
    CHECK(record.payload == "of one");
  CHECK(std::filesystem::exists(source.string() + ".f.one.rejected.jsonl"));
  REQUIRE(other->join(1, 0, std::make_unique<all_values>()).value()->publish());
  CHECK(std::filesystem::exists(source.string() + ".f.one.rejected.jsonl"));
}

TEST_CASE("an output does not take the place of what is no file") {
  test::temp_dir dir;
  const auto target = dir.path() / "out";
  SUBCASE("a pipe") { REQUIRE(::mkfifo(target.c_str(), 0600) == 0); }
  SUBCASE("a folder") { std::filesystem::create_directory(target); }
  SUBCASE("a link to itself") { std::filesystem::create_symlink("out", target); }
  SUBCASE("a link to a device") { std::filesystem::create_symlink("/dev/null", target); }
  const auto files = files_to(target);
  REQUIRE_FALSE(files);
  CHECK(files.error().code == errc::invalid_argument);
}

TEST_CASE("an output that becomes something else meanwhile is left alone") {
  test::temp_dir dir;
  const auto target = dir.path() / "out";
  auto files = files_to(target).value();
  REQUIRE(::mkfifo(target.c_str(), 0600) == 0);
  CHECK_FALSE(files->join(1, 0, nullptr).has_value());
  CHECK(std::filesystem::is_fifo(target));
}

TEST_CASE("an output behind a symbolic link replaces the file that it leads to") {
  test::temp_dir dir;
  std::filesystem::create_directory(dir.path() / "there");
  std::filesystem::create_symlink("there/real", dir.path() / "out");
  bool was_there = false;
  SUBCASE("which is there") { was_there = true; }
  SUBCASE("which is not there yet") {}
  if (was_there)
    std::ofstream{dir.path() / "there" / "real"} << "old";
  run_one(*files_to(dir.path() / "out").value());
  CHECK(std::filesystem::is_symlink(dir.path() / "out"));
  CHECK(text_of(dir.path() / "there" / "real") == "new\n");
}

TEST_CASE("a file that was not looked at when the batch began follows symbolic links, too") {
  test::temp_dir dir;
  std::filesystem::create_symlink("real", dir.path() / "rejected");
  auto file = batch::whole_file::create(dir.path() / "rejected");
  REQUIRE(file);
  REQUIRE(file->write("one\n").has_value());
  REQUIRE(file->finish().has_value());
  CHECK(std::filesystem::is_symlink(dir.path() / "rejected"));
  CHECK(text_of(dir.path() / "real") == "one\n");
}

TEST_CASE("an output keeps the permissions of the file that it replaces") {
  test::temp_dir dir;
  const auto target = dir.path() / "out";
  std::ofstream{target} << "old";
  REQUIRE(::chmod(target.c_str(), 0600) == 0);
  run_one(*files_to(target).value());
  struct stat info {};
  REQUIRE(::stat(target.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(text_of(target) == "new\n");
}
