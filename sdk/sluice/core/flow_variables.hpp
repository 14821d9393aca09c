#pragma once

#include <sluice/core/result.hpp>

#include <map>
#include <string>
#include <string_view>

namespace sluice {

/// Environment variables that a version of a flow is given on a cluster, by name. The values are secrets: no
/// text, view or event may show one; names may be shown.
using flow_variables = std::map<std::string, std::string>;

/// The rule that a name breaks, without the name, which may be a secret that got there by mistake; empty if none.
/// What belongs to Sluice and what would make a host another program than the one that was checked is not a flow's
/// to set. Any thread.
std::string_view variable_name_mistake(std::string_view name) noexcept;

/// The rule that a value breaks, without the value; empty if none.
std::string_view variable_value_mistake(std::string_view value) noexcept;

/// All of that, and how many and how large they may be together. Fails with `invalid_argument`; the text has the
/// name and never a value.
result<void> check_variables(const flow_variables& all);

} // namespace sluice
