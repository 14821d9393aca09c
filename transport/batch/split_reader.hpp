#pragma once

#include "transport/connectors/file/csv.hpp"
#include "actors/batch/batch_port.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::batch {

/// A file of records.
struct source_file {
  std::string path;
  bool is_csv = false;
  connectors::csv::column_kinds columns = {};
};

/// Where splits of about `split_bytes` begin and, last, where the file of `size_bytes` ends. Lines need no look
/// at the file: a line is of the split in which it begins, wherever that is cut. Rows of CSV are looked for from
/// the beginning, for a line break may be within quotes: their splits are cut between them.
result<std::vector<std::uint64_t>> plan_splits(const source_file& file, std::uint64_t size_bytes,
                                               std::uint64_t split_bytes);

/// Reads the records of [begin, end). A row of CSV comes as a JSON object by the file's first row.
///
/// Blank lines are no records; a line break may be "\r\n" and may be missing from the last line. A line that is longer
/// than a record may be comes as an error, with its beginning.
result<std::unique_ptr<split_reader>> open_split(const source_file& file, std::uint64_t begin,
                                                 std::uint64_t end);

/// Gives the records that a split of a queue has with it.
std::unique_ptr<split_reader> read_block(record_block records);

} // namespace sluice::batch
