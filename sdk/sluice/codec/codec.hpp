#pragma once

/// JSON from and to plain C++ types: `codec::decode<T>(text)`, `codec::encode(value, out)`.
///
/// C++ type | JSON | remark
/// -------- | ---- | ------
/// bool, integers | true/false, number | nothing is rounded: 5.0 is an integer, 5.5 and 300 for a `std::int8_t` are refused
/// double, float | number | the nearest one there is, of 9007199254740993 as of 0.1; written as the shortest text that reads back the same; NaN and infinities are refused
/// std::string | string | UTF-8, checked both ways
/// enums | string | the enumerator's name; values from -16 to 127
/// std::optional<T>, std::unique_ptr<T>, std::shared_ptr<T> | T or null | may be missing; of a struct that cannot be copied take a pointer, not an optional
/// std::vector, deque, list, set, unordered_set | array | of two equal elements a set keeps one
/// std::array, std::pair, std::tuple | array | of exactly that many elements
/// std::map, unordered_map | object | keys are std::string, integers or enums
/// std::variant | any of them | structs by a member "type", see <sluice/codec/variant.hpp>
/// std::chrono durations | number | the count of their unit
/// std::chrono::sys_time<...> | string | ISO 8601: 2024-05-01T12:34:56.789Z
/// std::chrono::sys_days, year_month_day | string | 2024-05-01
/// sluice::bytes | string | base64
/// sluice::json_text | any | kept as text
/// plain structs (aggregates without bases) | object | by field name
/// your own | any of them | by `codec::adapter`; protobuf messages by <sluice/codec/protobuf.hpp>
///
/// A missing member is an error, unless its field is a std::optional or has a member
/// initialiser, which then counts. (An initialiser that says no more than "empty", such as
/// `std::string note = "";`, cannot be told from none: make such a field optional, or say
/// `static constexpr bool sluice_defaults = true`: then any member may be missing.) Unknown
/// members are ignored, unless the struct says `static constexpr bool sluice_strict = true`.
/// A member that a field or map takes may be there once only. Nesting ends at `codec::depth_max`,
/// a document at `limits::record_size_bytes_max`.
///
/// `try_decode` tells syntax from type and where; `from_text` (<sluice/codec/text.hpp>) reads values
/// that stand alone.

#include <sluice/codec/decode.hpp>
#include <sluice/codec/encode.hpp>
