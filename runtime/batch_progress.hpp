#pragma once

#include "actors/host/host_protocol.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::runtime {

/// 1234567 -> "1,234,567"
std::string grouped(std::uint64_t value);

/// "1 record", "1,000 records".
std::string counted(std::uint64_t count, const std::string& thing);

/// "12.3 s"
std::string seconds_text(std::chrono::milliseconds took);

/// "[=========>          ] 45 %  2,345,678 records, 310,000/s, 0:07 left". One that runs on a source of 0 bytes does not know how much
/// there is: "2,345,678 records, 310,000/s".
std::string batch_bar(const host::batch_report& batch, double records_per_s);

/// "5,000,000 records in, 12 out, 0 rejected"; of one that failed it says only what is known: what its
/// finished parts came to.
std::string batch_counts(const host::batch_report& batch);

} // namespace sluice::runtime
