#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

/// How many letters must be changed, added, removed or swapped with their neighbour to
/// make one word of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that was probably meant, or an empty view when none is near.
std::string_view closest(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

} // namespace sluice::config
