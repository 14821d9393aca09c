#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

/// The text as one gzip member, at zlib's fastest level: an answer is compressed once and sent once. None
/// if that is not shorter. Any thread; each keeps a compressor (256 KiB) for next time.
std::optional<std::string> gzip(std::string_view text);

/// Whether content of this type gets smaller: text, JSON, scripts, SVG and the like. Not event
/// streams, which must reach the reader as they are written.
bool worth_compressing(std::string_view content_type) noexcept;

} // namespace sluice::http
