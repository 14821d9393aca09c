#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Messages of the control API as text, by their own description: every field the API has
/// is shown, so nothing here changes when it grows.
namespace sluice::cli {

/// The message as JSON, indented: field names as in the .proto file, numbers as numbers, every field
/// present but `optional` and sub-messages that are not set, which are left out. Bytes are
/// text where they are UTF-8, otherwise {"base64": "..."}.
std::string to_json(const google::protobuf::Message& message);

/// The message as one line of JSON, without a line end.
std::string to_json_text(const google::protobuf::Message& message);

/// An array of them.
std::string to_json(const std::vector<const google::protobuf::Message*>& messages);

/// The message as "key: value" lines, nested ones indented, empty ones left out.
std::string to_lines(const google::protobuf::Message& message);

/// The text of one field by its name, dots for nested ones ("spec.source.kind", "labels.zone");
/// nullopt when there is no such field.
std::optional<std::string> field_text(const google::protobuf::Message& message, std::string_view path);

/// Names of all fields that `field_text` knows without dots.
std::vector<std::string_view> field_names(const google::protobuf::Message& message);

/// The members of a message that are maps: `field_text` takes NAME.KEY of them.
std::vector<std::string> map_names(const google::protobuf::Message& message);

} // namespace sluice::cli
