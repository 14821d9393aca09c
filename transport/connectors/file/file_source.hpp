#pragma once

#include <sluice/io/registry.hpp>

namespace sluice::connectors::file_source {

/// Adds the `file` source: one record per line of a local file.
///
/// Option | Meaning                                                           | Default
/// ------ | ----------------------------------------------------------------- | -------
/// path   | file to read                                                      | -
/// format | `jsonl`: each line is a record · `csv`: each row is a JSON object   | jsonl
/// tail   | `true`: waits for more at the end and follows a file that is rotated | false
///
/// The position is a byte offset. A blank line is no record; a line that is not valid is one, and
/// fails alone. Of a line above `limits::record_size_bytes_max` the beginning is delivered
/// with a note, so that it fails and can be found.
///
/// CSV: the first row names the members. Unquoted fields that are a JSON number, `true` or
/// `false` become that, empty ones are left out, all else is a string; quotes make a field a
/// string. A row with another number of fields is delivered as it stands, and fails.
///
/// With `tail` a file that is not there yet is waited for. When `path` names another file, the
/// old one is read to its end, where it is still open, then the new one from its beginning. A rotation while nobody reads is noticed
/// when the file does not begin as the mark of the position says, is shorter, or has no line break there; what the
/// rotated file still held is then not read. A file that is written anew in place is read from its beginning, also while it is read.
void add_to(connector_registry& registry);

} // namespace sluice::connectors::file_source
