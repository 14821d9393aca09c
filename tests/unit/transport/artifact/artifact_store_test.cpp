// Goal: what is in the store is whole and of its hash, and what is not leaves nothing.
#include "tests/support/subprocess.hpp"
#include "transport/artifact/artifact_store.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::artifact;
using namespace std::chrono_literals;

namespace {

struct store_fixture {
  test::temp_dir dir;
  std::filesystem::path root = dir.path() / "artifacts";
  std::unique_ptr<artifact_store> store = std::move(*artifact_store::open(root));

  static artifact_id hash_of(std::string_view bytes) {
    sha256 hash;
    hash.add(bytes);
    return hash.finish();
  }

  artifact_id put(std::string_view bytes) {
    auto incoming = store->begin(hash_of(bytes), bytes.size());
    REQUIRE(incoming);
    REQUIRE(incoming->append(bytes));
    auto done = incoming->commit();
    REQUIRE(done);
    return *done;
  }

  std::size_t unfinished() {
    std::size_t count = 0;
    for ([[maybe_unused]] auto& each : std::filesystem::directory_iterator{root / "unfinished"})
      ++count;
    return count;
  }

  static std::string read_all(int fd) {
    std::string out(4096, '\0');
    out.resize(static_cast<std::size_t>(::read(fd, out.data(), out.size())));
    return out;
  }
};

} // namespace

TEST_CASE("SHA-256 of known texts") {
  sha256 empty;
  CHECK(empty.finish().value == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  sha256 abc;
  abc.add("a");
  abc.add("bc");
  CHECK(abc.finish().value == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE_FIXTURE(store_fixture, "what was put is read back, runnable and read-only") {
  auto id = put("a program");
  CHECK(store->contains(id));
  CHECK(*store->size_bytes(id) == 9);
  struct stat info {};
  ::stat((root / id.value).c_str(), &info);
  CHECK((info.st_mode & 0777) == 0500);
  ::stat(root.c_str(), &info);
  CHECK((info.st_mode & 0777) == 0700);
  auto file = store->open_verified(id);
  REQUIRE(file);
  CHECK(read_all(file->get()) == "a program");
  CHECK(store->list() == std::vector<artifact_id>{id});
  CHECK(unfinished() == 0);
}

TEST_CASE_FIXTURE(store_fixture, "what is stored whole stays the file that it is when it is put again") {
  auto id = put("a program");
  const auto path = root / id.value;
  struct stat before {
  }, after{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - 24h);
  CHECK(put("a program") == id);
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  CHECK(unfinished() == 0);
  auto removed = store->collect_garbage({}, 1h, std::filesystem::file_time_type::clock::now());
  CHECK(*removed == 0); // it was put just now
}

TEST_CASE_FIXTURE(store_fixture, "what is damaged is replaced when it is put again") {
  auto id = put("a program");
  std::filesystem::remove(root / id.value);
  test::write_file(root / id.value, "a Program");
  CHECK(put("a program") == id);
  CHECK(store->open_verified(id));
}

TEST_CASE_FIXTURE(store_fixture, "a truncated upload leaves nothing") {
  auto id = hash_of("a program");
  auto incoming = store->begin(id, 9);
  REQUIRE(incoming->append("a prog"));
  CHECK(unfinished() == 1);
  auto done = incoming->commit();
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::corrupt);
  CHECK(done.error().message == "truncated: 6 of 9 bytes arrived");
  CHECK(unfinished() == 0);
  CHECK_FALSE(store->contains(id));
  CHECK_FALSE(incoming->append("ram"));
  CHECK_FALSE(incoming->commit());
}

TEST_CASE_FIXTURE(store_fixture, "bytes of another hash leave nothing") {
  auto id = hash_of("a program");
  auto incoming = store->begin(id, 9);
  REQUIRE(incoming->append("a Program"));
  auto done = incoming->commit();
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::corrupt);
  CHECK(unfinished() == 0);
  CHECK_FALSE(store->contains(id));
}

TEST_CASE_FIXTURE(store_fixture, "more bytes than announced end the upload") {
  auto incoming = store->begin(hash_of("abc"), 3);
  auto done = incoming->append("abcd");
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::invalid_argument);
  CHECK(unfinished() == 0);
}

TEST_CASE_FIXTURE(store_fixture, "an upload that is dropped leaves nothing") {
  {
    auto incoming = store->begin(hash_of("abc"), 3);
    REQUIRE(incoming->append("ab"));
    auto moved = std::move(*incoming);
    CHECK(unfinished() == 1);
  }
  CHECK(unfinished() == 0);
}

TEST_CASE_FIXTURE(store_fixture, "what a killed process left unfinished is removed at the next start") {
  test::write_file(root / "unfinished" / "left", "half");
  auto again = artifact_store::open(root);
  REQUIRE(again);
  CHECK(unfinished() == 0);
}

TEST_CASE_FIXTURE(store_fixture, "hashes that are none and sizes beyond the cap are refused") {
  CHECK(store->begin(artifact_id{"../../etc/passwd"}, 3).error().code == errc::invalid_argument);
  CHECK(store->begin(artifact_id{std::string(64, 'A')}, 3).error().code == errc::invalid_argument);
  CHECK(store->begin(hash_of("abc"), 0).error().code == errc::invalid_argument);
  CHECK(store->begin(hash_of("abc"), limits::artifact_size_bytes_max + 1).error().code
        == errc::invalid_argument);
  CHECK(store->open_verified(artifact_id{"../unfinished"}).error().code == errc::not_found);
  CHECK(store->read_chunk(artifact_id{".."}, 0, 10).error().code == errc::not_found);
  CHECK_FALSE(store->contains(artifact_id{"unfinished"}));
}

TEST_CASE_FIXTURE(store_fixture, "a damaged artifact is refused by name, set aside, and can be put again") {
  auto id = put("a program");
  ::chmod((root / id.value).c_str(), 0700);
  test::write_file(root / id.value, "a pr0gram");
  auto file = store->open_verified(id);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == errc::corrupt);
  CHECK(file.error().message.find((root / id.value).string()) != std::string::npos);
  CHECK_FALSE(store->contains(id));
  CHECK(test::read_file(root / "damaged" / id.value) == "a pr0gram");
  for (const auto& why : {store->open_verified(id).error(), store->read_chunk(id, 0, 10).error()}) {
    CHECK(why.code == errc::corrupt); // it is not merely missing
    CHECK(why.message
          == "artifact " + id.value.substr(0, 12)
               + " is damaged: its bytes are not those of its SHA-256, so it was refused and moved to "
               + (root / "damaged" / id.value).string());
  }
  put("a program");
  CHECK(store->open_verified(id));
}

TEST_CASE_FIXTURE(store_fixture, "a symbolic link in the place of an artifact is not followed") {
  auto id = hash_of("a program");
  test::write_file(dir.path() / "elsewhere", "a program");
  std::filesystem::create_symlink(dir.path() / "elsewhere", root / id.value);
  CHECK_FALSE(store->open_verified(id));
  CHECK_FALSE(store->read_chunk(id, 0, 10));
}

TEST_CASE_FIXTURE(store_fixture, "chunks give the bytes for another node") {
  auto id = put("0123456789");
  CHECK(*store->read_chunk(id, 0, 4) == "0123");
  CHECK(*store->read_chunk(id, 8, 4) == "89");
  CHECK(store->read_chunk(id, 10, 4)->empty());
  CHECK(store->read_chunk(id, ~0ull, 4)->empty());
  CHECK(store->read_chunk(hash_of("x"), 0, 4).error().code == errc::not_found);
}

TEST_CASE_FIXTURE(store_fixture, "what nobody refers to is collected, what somebody does is not") {
  auto kept = put("one");
  auto gone = put("two");
  auto put_at = std::filesystem::last_write_time(root / gone.value);
  CHECK(*store->collect_garbage({kept}, 10min, put_at + 9min) == 0); // perhaps on its way to a flow
  CHECK(*store->collect_garbage({kept}, 10min, put_at + 11min) == 1);
  CHECK(store->contains(kept));
  CHECK_FALSE(store->contains(gone));
}

TEST_CASE_FIXTURE(store_fixture, "putting the same artifact twice at once ends with one") {
  auto id = hash_of("abc");
  auto first = store->begin(id, 3);
  auto second = store->begin(id, 3);
  REQUIRE(first->append("abc"));
  REQUIRE(second->append("abc"));
  CHECK(first->commit());
  CHECK(second->commit());
  CHECK(store->open_verified(id));
  CHECK(store->list().size() == 1);
}
