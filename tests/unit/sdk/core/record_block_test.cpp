// Goal: records survive the way through a block unchanged, and bytes from outside are
// checked before they are believed.

#include <sluice/core/record_block.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

using namespace sluice;

namespace {

struct record {
  std::uint64_t seq;
  std::uint32_t attempts;
  std::string payload;
};

std::vector<record> read(const record_block& block) {
  std::vector<record> records;
  for (auto view : block)
    records.push_back({view.seq, view.attempts, std::string{view.payload}});
  return records;
}

} // namespace

TEST_CASE("a default block is empty") {
  record_block block;
  CHECK(block.empty());
  CHECK(block.count() == 0);
  CHECK(block.bytes().empty());
  CHECK(read(block).empty());
}

TEST_CASE("an empty builder gives an empty block") {
  record_block_builder builder;
  auto block = builder.finish();
  CHECK(block.empty());
  CHECK(read(block).empty());
}

TEST_CASE("records come out as they went in") {
  record_block_builder builder;
  builder.add(7, 3, "first");
  builder.add("");
  builder.add(~0ull, ~0u, std::string("a\0b", 3));
  CHECK(builder.count() == 3);
  CHECK(builder.size_bytes() == 3 * record_overhead_bytes + 8);
  auto records = read(builder.finish());
  REQUIRE(records.size() == 3);
  CHECK(records[0].seq == 7);
  CHECK(records[0].attempts == 3);
  CHECK(records[0].payload == "first");
  CHECK(records[1].seq == 0);
  CHECK(records[1].payload.empty());
  CHECK(records[2].seq == ~0ull);
  CHECK(records[2].attempts == ~0u);
  CHECK(records[2].payload == std::string("a\0b", 3));
}

TEST_CASE("a builder is empty after finish and can be used again") {
  record_block_builder builder;
  builder.add("one");
  auto first = builder.finish();
  CHECK(builder.count() == 0);
  CHECK(builder.size_bytes() == 0);
  builder.add("two");
  auto second = builder.finish();
  CHECK(read(first)[0].payload == "one");
  CHECK(read(second)[0].payload == "two");
}

TEST_CASE("the layout is little-endian and has no padding") {
  record_block_builder builder;
  builder.add(0x0102030405060708u, 0x0a0b0c0du, "xy");
  CHECK(builder.finish().bytes()
        == std::string_view{"\x08\x07\x06\x05\x04\x03\x02\x01\x0d\x0c\x0b\x0a\x02\0\0\0xy", 18});
}

TEST_CASE("views stay valid as long as a copy of the block lives") {
  record_block copy;
  {
    record_block_builder builder;
    builder.add("kept");
    auto block = builder.finish();
    copy = block;
  }
  CHECK((*copy.begin()).payload == "kept");
}

TEST_CASE("bytes of a block make the same block") {
  record_block_builder builder;
  builder.add(1, 0, "a");
  builder.add(2, 5, "bc");
  auto block = builder.finish();
  auto again = record_block::from_bytes(std::string{block.bytes()});
  REQUIRE(again);
  CHECK(again->count() == 2);
  CHECK(again->bytes() == block.bytes());
}

TEST_CASE("a block cut anywhere but between records is refused as corrupt") {
  record_block_builder builder;
  builder.add(1, 0, "abc");
  builder.add(2, 0, "");
  std::string bytes{builder.finish().bytes()};
  std::size_t first_end = record_overhead_bytes + 3;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    auto block = record_block::from_bytes(bytes.substr(0, size));
    bool whole = size == 0 || size == first_end || size == bytes.size();
    CHECK_MESSAGE(block.has_value() == whole, "size " << size);
    if (!block)
      CHECK(block.error().code == errc::corrupt);
  }
}

TEST_CASE("a size that reaches far past the end is refused, however large") {
  std::string bytes(record_overhead_bytes, '\0');
  for (int i = 12; i < 16; ++i)
    bytes[i] = '\xff';
  auto block = record_block::from_bytes(bytes);
  REQUIRE_FALSE(block);
  CHECK(block.error().code == errc::corrupt);
  CHECK(block.error().message.find("record 0") != std::string::npos);
}

TEST_CASE("random bytes are refused or can be walked to their end") {
  std::mt19937 random{1};
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 80, '\0');
    for (char& c : bytes)
      c = static_cast<char>(random() % 4 == 0 ? random() % 256 : 0);
    auto block = record_block::from_bytes(bytes);
    if (!block)
      continue;
    std::size_t size = 0;
    std::size_t count = 0;
    for (auto view : *block) {
      size += record_overhead_bytes + view.payload.size();
      ++count;
    }
    CHECK(size == bytes.size());
    CHECK(count == block->count());
  }
}
