// Goal: a protobuf message is a value as any other, in its own JSON form.

#include "proto/sluice/link/v1/wire.pb.h"

#include <sluice/codec/protobuf.hpp>
#include <sluice/codec/schema.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace sluice;
using link::v1::DesiredReplicas;
using link::v1::NodeInfo;

namespace {

struct inventory {
  std::string name;
  std::vector<NodeInfo> nodes;
  std::optional<DesiredReplicas> wanted;
};

template <class T>
std::string json_of(const T& value) {
  std::string text;
  auto done = codec::encode(value, text);
  return done ? text : "error: " + done.error().message;
}

template <class T>
std::string error_of(std::string_view text) {
  auto value = codec::decode<T>(text);
  return value ? "" : value.error().message;
}

} // namespace

TEST_CASE("a message goes out and comes back in its JSON form") {
  NodeInfo node;
  node.set_id("\x01\xff");
  node.set_cpus(1.5);
  node.set_memory_bytes(18446744073709551615u);
  (*node.mutable_labels())["zone"] = "a";
  node.set_is_head(true);
  auto text = json_of(node);
  CHECK(
    text
    == R"({"id":"Af8=","cpus":1.5,"memoryBytes":"18446744073709551615","labels":{"zone":"a"},"isHead":true})");
  auto again = codec::decode<NodeInfo>(text);
  REQUIRE(again);
  CHECK(again->SerializeAsString() == node.SerializeAsString());
}

TEST_CASE("a message stands in structs, lists and optionals") {
  auto text = R"({"name":"x","nodes":[{"cpus":2},{}],"wanted":{"revision":"7","replicas":[{"id":"1"}]}})";
  auto value = codec::decode<inventory>(text);
  REQUIRE(value);
  CHECK(value->nodes.at(0).cpus() == 2);
  CHECK(value->wanted->replicas(0).id() == 1);
  CHECK(json_of(*value) == text);
  CHECK(error_of<inventory>(R"({"name":"x","nodes":[]})").empty());
}

TEST_CASE("what is no such message is refused where it stands") {
  CHECK(error_of<inventory>(R"({"name":"x","nodes":[{},{"cpus":"many"}]})")
          .starts_with("inventory.nodes[1]: expected NodeInfo: "));
  CHECK(error_of<inventory>(R"({"name":"x","nodes":[{"colour":1}]})")
          .starts_with("inventory.nodes[0]: expected NodeInfo: "));
  CHECK(error_of<inventory>(R"({"name":"x","nodes":[5]})")
          .starts_with("inventory.nodes[0]: expected NodeInfo: "));
  auto cut_off = codec::try_decode<NodeInfo>(R"({"cpus":)");
  REQUIRE_FALSE(cut_off);
  CHECK(cut_off.error().fault == codec::decode_fault::syntax);
}

TEST_CASE("a message's schema names its fields") {
  auto text = codec::schema<NodeInfo>().schema;
  for (auto part :
       {R"("isHead":{"type":"boolean"})", R"("cpus":{"type":"number"})",
        R"("id":{"type":"string","format":"byte")", R"("memoryBytes":{"type":"string","format":"int64")",
        R"("labels":{"type":"object","additionalProperties":{"type":"string"}})",
        R"("additionalProperties":false})"})
    CHECK_MESSAGE(text.find(part) != text.npos, text);
  CHECK(codec::schema<DesiredReplicas>().schema.find(R"("replicas":{"type":"array","items":{}})")
        != std::string::npos);
}
