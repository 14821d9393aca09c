#include "transport/store/head_stores.hpp"

#include "transport/store/cluster_store.hpp"

#include <system_error>
#include <utility>

namespace sluice::store {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view lost_queues =
  "all records and dead letters of the queues, the positions in sources, and what is done of batches";
constexpr std::string_view lost_cluster =
  "the flows with their versions and secrets, the nodes and the events";

/// An empty file has nothing that SQLite would find; a log beside it is no use without it.
bool is_there(const fs::path& file) {
  std::error_code unknown;
  const auto size = fs::file_size(file, unknown);
  return !unknown && size > 0;
}

tl::unexpected<failure> refuse(const fs::path& gone, const fs::path& left, std::string_view lost) {
  return fail(errc::corrupt, gone.string() + " is missing or empty, but " + left.string()
                               + " beside it is not: beginning anew would lose " + std::string{lost}
                               + ". Nothing was changed. Restore both files from one backup, or go on "
                                 "without what is lost: sluice start --head --accept-loss");
}

/// The mark of a log that has no database any more says nothing.
void forget_mark(const fs::path& database) {
  std::error_code ignored;
  fs::remove(database.string() + "-mark", ignored);
}

} // namespace

result<head_stores> open_head_stores(const fs::path& folder, queue_store_options queues, bool accept_loss) {
  const auto cluster_file = folder / "cluster.db";
  const auto queue_file = folder / "queue.db";
  const bool has_queues = is_there(queue_file);
  head_stores out;
  if (!is_there(cluster_file) && has_queues) {
    if (!accept_loss)
      return refuse(cluster_file, queue_file, lost_cluster);
    forget_mark(cluster_file);
    out.warning = cluster_file.string() + " is begun anew, without " + std::string{lost_cluster};
  }
  auto cluster = open_cluster_store(cluster_file);
  if (!cluster)
    return fail(cluster);
  const auto pair = (*cluster)->pair();
  if (!pair)
    return fail(pair);
  if (pair->is_used && !has_queues) {
    if (!accept_loss)
      return refuse(queue_file, cluster_file, lost_queues);
    forget_mark(queue_file);
    out.warning = queue_file.string() + " is begun anew, without " + std::string{lost_queues};
  }
  queues.path = queue_file.string();
  queues.pair = {pair->id, cluster_file.string(), accept_loss};
  auto opened = open_queue_store(std::move(queues));
  if (!opened)
    return fail(opened);
  out.cluster = std::move(*cluster);
  out.queues = std::move(*opened);
  return out;
}

} // namespace sluice::store
