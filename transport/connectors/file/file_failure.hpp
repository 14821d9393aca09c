#pragma once

#include <sluice/core/result.hpp>

#include <string>

namespace sluice::connectors {

/// "file: open /data/in.csv: No such file or directory", by `errno`. The path is told whole: a relative one is meant
/// in the folder of a flow that is run by hand, and leads elsewhere on a cluster. Any thread.
tl::unexpected<failure> file_failure(errc code, const char* what, const std::string& path);

} // namespace sluice::connectors
