#pragma once

#include <string_view>

namespace sluice {

/// What `is_valid_name` asks for, for texts of errors: "a name has " + it.
constexpr std::string_view name_rule =
  "1 to 63 lower-case letters, digits, '-', '_' and '.', and begins with a letter "
  "or digit, for example orders-2";

/// Queues in which batches keep their splits have names that begin so, and no others.
constexpr std::string_view batch_queue_prefix = "batch.";

} // namespace sluice
