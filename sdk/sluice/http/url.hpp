#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

/// Undoes %xx; `plus_is_blank` as in form-encoded queries. None if a '%' is not followed by
/// two hex digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank = false);

/// The name of the first field of a query in which a '%' is not followed by two hex digits, decoded if that can be
/// done. None: all can be decoded. Allocates nothing where none is wrong.
std::optional<std::string> find_malformed_field(std::string_view query);

/// Calls `use(name, value)` for each field of a query, decoded, in order. A field that does not
/// decode is given as it is; `a` alone has an empty value.
void for_each_query_field(std::string_view query, const std::function<void(std::string, std::string)>& use);

} // namespace sluice::http
