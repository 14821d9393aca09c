#pragma once

#include <sluice/io/registry.hpp>

namespace sluice::connectors::file_sink {

/// Adds the `file` sink: appends each result as a line to a local file.
///
/// Option | Meaning                                                       | Default
/// ------ | ------------------------------------------------------------- | -------
/// path   | file to append to, made if it is not there; its folder must be | -
/// format | `jsonl`: a line per result · `csv`: a row per result           | jsonl
///
/// A push is one write and one fsync. What a failed one has written is cut off again, and on
/// opening, the torn last line of a process that died is: a last line without a break is kept only
/// if it is whole. Results of a push that died between write and commit are in the
/// file twice. Several replicas and processes may append to one file.
///
/// Before each push the path is looked at: if it leads to the open file no more (deleted, rotated away, replaced), it is
/// opened anew, as at the beginning, and made if it is not there. Where that fails, the push does, with
/// `unavailable`; so does one whose file is deleted while it writes.
///
/// CSV: the columns are those of the file's first row or, in an empty file, the members of the first
/// result. A member that is no column is refused, a missing one is empty.
void add_to(connector_registry& registry);

} // namespace sluice::connectors::file_sink
