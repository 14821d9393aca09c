#pragma once

#include "actors/host/host_protocol.hpp"

#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

/// What both halves of the wire conversion share.
namespace sluice::peer::detail {

inline tl::unexpected<failure> malformed(const google::protobuf::MessageLite& message) {
  return fail(errc::corrupt, "link: the peer sent bytes that are no " + message.GetTypeName());
}

inline result<void> parse(std::string_view bytes, google::protobuf::MessageLite& into) {
  if (!into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return malformed(into);
  return {};
}

/// Enums travel as numbers. One that is unknown here comes from a newer neighbour and falls back to the given value.
template <class Enum>
Enum to_enum(std::uint32_t number, Enum last, Enum fallback) {
  return number <= static_cast<std::uint32_t>(last) ? static_cast<Enum>(number) : fallback;
}

inline host::replica_goal to_goal(std::uint32_t number) {
  return to_enum(number, host::replica_goal::drain, host::replica_goal::run);
}

/// Header and record blocks in one body: u32 size of the header, header, blocks.
/// Writes into one allocation.
class body_writer {
public:
  body_writer(const google::protobuf::MessageLite& header, std::size_t blocks_size_bytes) {
    auto size = static_cast<std::uint32_t>(header.ByteSizeLong());
    bytes_.resize(sizeof(size) + size);
    bytes_.reserve(bytes_.size() + blocks_size_bytes);
    std::memcpy(bytes_.data(), &size, sizeof(size));
    header.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(bytes_.data()) + sizeof(size));
  }

  void add(const record_block& block) { bytes_.append(block.bytes()); }
  void add(std::string_view bytes) { bytes_.append(bytes); }
  std::string finish() { return std::move(bytes_); }

private:
  std::string bytes_;
};

/// Splits what `body_writer` wrote; returns the bytes behind the header.
inline result<std::string_view> parse_header(std::string_view bytes, google::protobuf::MessageLite& header) {
  std::uint32_t size = 0;
  if (bytes.size() < sizeof(size))
    return malformed(header);
  std::memcpy(&size, bytes.data(), sizeof(size));
  bytes.remove_prefix(sizeof(size));
  if (bytes.size() < size)
    return malformed(header);
  if (auto ok = parse(bytes.substr(0, size), header); !ok)
    return fail(ok);
  return bytes.substr(size);
}

} // namespace sluice::peer::detail
