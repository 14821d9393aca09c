#pragma once

#include "runtime/cli/client_options.hpp"

#include <string>
#include <vector>

namespace sluice::cli {

struct list_arguments {
  std::string kind; ///< plural
  std::vector<std::string> filters;
  client_options_ptr client;
};

/// What `list` does; `queue list` is the same for one kind.
int run_list(const environment& env, const list_arguments& args);

} // namespace sluice::cli
