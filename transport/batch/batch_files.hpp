#pragma once

#include "actors/batch/batch_port.hpp"

#include <memory>

namespace sluice::batch {

/// The files of a batch: its source, and beside its sink (or the file of rejected records, or the source) the folder of
/// its parts, `.NAME.parts-RUN-MARK` (`batch_mark`), which goes with the end of the run: batches that have a file in common keep their
/// parts apart. All of them must be the same files for all replicas: on more than one node the paths lead to a shared file
/// system. Rejected records without a file of their own are in `SINK.rejected.jsonl`, or, where the sink is no file, in
/// `SOURCE.FLOW.PROCESSOR.rejected.jsonl`.
///
/// Sink   | What becomes of the results of a split
/// ------ | --------------------------------------
/// file   | a part; at the end all are joined in order, and take the place of the file in one step
/// queue  | appended in the commit that notes the split as done; after a reduce step, in the one that ends the batch
/// stdout | as a file; printed at the end
/// empty  | dropped
///
/// Fails with `invalid_argument` for a sink that a batch has no use for.
result<std::shared_ptr<files_port>> make_batch_files(const flow_name& flow, const processor_spec& spec);

} // namespace sluice::batch
