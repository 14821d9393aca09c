// Goal: a protobuf message is a value as any other, in its own JSON form.

#include "proto/sluice/link/v1/wire.pb.h"

#include <sluice/codec/protobuf.hpp>
#include <sluice/codec/schema.hpp>

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>

#include <memory>
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

TEST_CASE("what protobuf would take but the schema does not is refused") {
  CHECK(error_of<NodeInfo>(R"({"cpus":1,"cpus":2})").ends_with("member 'cpus' is given twice"));
  CHECK(error_of<NodeInfo>(R"({"labels":{"a":"1","b":"2","a":"3"}})").ends_with("member 'a' is given twice"));
  CHECK(error_of<NodeInfo>(R"({"memoryBytes":"1","memory_bytes":"2"})")
          .ends_with("member 'memory_bytes' is given twice")); // by both of its names
  CHECK(error_of<inventory>(R"({"name":"x","nodes":[{},{"is_head":true,"isHead":true}]})")
          .ends_with("member 'isHead' is given twice"));
  CHECK(
    error_of<NodeInfo>(R"({"labels":{"memoryBytes":"1","memory_bytes":"2"}})").empty()); // keys are no fields
  for (const auto* number : {"NaN", "Infinity", "-Infinity"})
    CHECK(error_of<NodeInfo>(R"({"cpus":")" + std::string{number} + "\"}")
            .ends_with("cpus: expected a finite number"));
  CHECK(error_of<NodeInfo>(R"({"cpus":2,"labels":{"a":"1","b":"1"}})").empty());
}

TEST_CASE("a number that is no value of an enum is refused") {
  google::protobuf::FileDescriptorProto file; // there is no enum in the messages at hand
  REQUIRE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "t.proto" package: "t" syntax: "proto3"
    enum_type { name: "Colour" value { name: "RED" number: 0 } value { name: "BLUE" number: 2 } }
    message_type { name: "Car"
      field { name: "paint_colour" number: 1 type: TYPE_ENUM type_name: ".t.Colour" label: LABEL_OPTIONAL }
      field { name: "others" number: 2 type: TYPE_ENUM type_name: ".t.Colour" label: LABEL_REPEATED }
      field { name: "tows" number: 3 type: TYPE_MESSAGE type_name: ".t.Car" label: LABEL_OPTIONAL } })",
                                                        &file));
  google::protobuf::DescriptorPool pool;
  const auto* built = pool.BuildFile(file);
  REQUIRE(built != nullptr);
  google::protobuf::DynamicMessageFactory factory;
  const auto mistake = [&](const std::string& text) {
    std::unique_ptr<google::protobuf::Message> car{factory.GetPrototype(built->message_type(0))->New()};
    REQUIRE(google::protobuf::util::JsonStringToMessage(text, car.get()).ok());
    return codec::detail::protobuf_mistake(*car);
  };
  CHECK(mistake(R"({"paintColour":"BLUE","others":["RED",2]})").empty());
  CHECK(mistake(R"({"paintColour":1})") == "paintColour: no value of this enum has this number");
  CHECK(mistake(R"({"others":[0,7]})") == "others: no value of this enum has this number");
  CHECK(mistake(R"({"tows":{"paintColour":3}})") == "paintColour: no value of this enum has this number");
}

TEST_CASE("a message's schema names its fields") {
  auto text = codec::schema<NodeInfo>().schema;
  for (auto part :
       {R"("isHead":{"type":"boolean"})", R"("cpus":{"type":"number"})",
        R"("id":{"type":"string","format":"byte")", R"("memoryBytes":{"type":"string","format":"uint64")",
        R"("labels":{"type":"object","additionalProperties":{"type":"string"}})",
        R"("additionalProperties":false})"})
    CHECK_MESSAGE(text.find(part) != text.npos, text);
  // Half of its values are no int32, whatever the bounds beside the format say.
  google::protobuf::FileDescriptorProto file;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "n.proto" package: "n" syntax: "proto3"
    message_type { name: "N" field { name: "n" number: 1 type: TYPE_UINT32 label: LABEL_OPTIONAL } })",
                                                        &file));
  google::protobuf::DescriptorPool pool;
  const auto* built = pool.BuildFile(file);
  REQUIRE(built != nullptr);
  CHECK(codec::detail::protobuf_schema(*built->message_type(0)->field(0))
        == R"({"type":"integer","format":"uint32","minimum":0,"maximum":4294967295})");
  CHECK(codec::schema<DesiredReplicas>().schema.find(R"("replicas":{"type":"array","items":{}})")
        != std::string::npos);
}
