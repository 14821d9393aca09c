#pragma once

#include <sluice/core/result.hpp>

#include <string>
#include <string_view>

namespace sluice::cli {

/// Checks that a text is one JSON value. The failure says what is wrong with it.
result<void> check_json(std::string_view text);

/// A payload as one line of JSON: as it is where it is JSON, otherwise as a string or, where it
/// is no text, as {"base64": "..."}.
std::string to_json_line(std::string_view payload);

/// The same for display, from no more than the first `bytes` of a payload: of one that goes on the beginning as it stands where it is
/// text. It ends with "…" then.
std::string to_display_line(std::string_view beginning, std::size_t bytes);

} // namespace sluice::cli
