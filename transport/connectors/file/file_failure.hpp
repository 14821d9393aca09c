#pragma once

#include <sluice/core/result.hpp>

#include <string>

namespace sluice::connectors {

/// A path as messages name it: a relative one is meant in the folder of a flow that is run by hand, and leads elsewhere
/// on a cluster. Any thread.
std::string whole_path(const std::string& path);

/// "file: open /data/in.csv: No such file or directory", by `errno`, with the path told whole. Any thread.
tl::unexpected<failure> file_failure(errc code, const char* what, const std::string& path);

/// What it means for a source that its file was refused with this `errno`. Any thread.
errc errc_of_reading(int error) noexcept;

} // namespace sluice::connectors
