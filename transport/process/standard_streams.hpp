#pragma once

namespace sluice::process {

/// Opens those of the descriptors 0, 1 and 2 that are closed, so that no file or socket that is opened later gets what is
/// printed, or is read as input: reading such an input and writing such an output fails. Call it first.
void hold_standard_streams() noexcept;

} // namespace sluice::process
