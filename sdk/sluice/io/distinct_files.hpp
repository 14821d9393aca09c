#pragma once

#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

namespace sluice {

/// Whether a processor's source, sink and list of rejected records are different files; fails with `invalid_argument`, naming the file.
///
/// `flow_spec` compares how they are written. Here the file system is asked, on the machine on which they are used: a relative
/// path and an absolute one may lead to the same file, as may a symbolic link, and a batch would replace its own source.
/// Hard links are different files to a batch, which replaces only the name of its sink, and the same to others, which append.
/// Any thread; does not block but for the file system.
result<void> check_distinct_files(const processor_spec& spec);

} // namespace sluice
