#include "transport/artifact/artifact_fetcher.hpp"

namespace sluice::artifact {

namespace {

/// What came over an authenticated link is what the head has: its file is bad, and asking again changes nothing.
tl::unexpected<failure> damaged_there(const artifact_id& id, const std::string& how) {
  return fail(errc::corrupt, "the head's copy of " + id.value.substr(0, 12)
                               + " does not match its hash: " + how + "; submit the flow again");
}

} // namespace

artifact_fetcher::artifact_fetcher(artifact_store& store, read_remote read)
  : store_(store), read_(std::move(read)),
    thread_(std::make_unique<process::work_thread>(fetches_waiting_max)) {}

artifact_fetcher::~artifact_fetcher() {
  is_stopping_ = true;
  thread_.reset();
  std::map<artifact_id, waiters> open;
  {
    std::lock_guard guard{mutex_};
    open.swap(waiting_);
  }
  for (auto& [id, all] : open)
    for (auto& done : all)
      done(fail(errc::shutting_down, "this node stops"));
}

void artifact_fetcher::ensure(const artifact_id& id, std::uint64_t size_bytes,
                              std::function<void(result<void>)> done) {
  if (!is_valid_artifact_id(id))
    return done(fail(errc::invalid_argument, "'" + id.value.substr(0, 64) + "' names no artifact"));
  if (store_.contains(id))
    return done({});
  {
    std::lock_guard guard{mutex_};
    auto [found, is_first] = waiting_.try_emplace(id);
    found->second.push_back(std::move(done));
    if (!is_first)
      return;
  }
  if (!thread_->post([this, id, size_bytes] { answer(id, fetch(id, size_bytes)); }))
    answer(id, fail(errc::overloaded, "too many artifacts wait to be fetched"));
}

result<void> artifact_fetcher::fetch(const artifact_id& id, std::uint64_t size_bytes) {
  if (store_.contains(id))
    return {};
  auto incoming = store_.begin(id, size_bytes);
  if (!incoming)
    return fail(incoming);
  for (std::uint64_t offset = 0; offset < size_bytes;) {
    if (is_stopping_)
      return fail(errc::shutting_down, "this node stops");
    auto piece = read_(id, offset, limits::artifact_chunk_bytes);
    if (!piece)
      return fail(piece.error().code, "cannot fetch it: " + piece.error().message);
    if (piece->empty())
      return damaged_there(id, "it ends after " + std::to_string(offset) + " of " + std::to_string(size_bytes)
                                 + " bytes");
    if (auto done = incoming->append(*piece); !done)
      return done;
    offset += piece->size();
  }
  auto done = incoming->commit();
  if (!done && done.error().code == errc::corrupt)
    return damaged_there(id, done.error().message);
  if (!done)
    return fail(done);
  return {};
}

void artifact_fetcher::answer(const artifact_id& id, const result<void>& outcome) {
  waiters all;
  {
    std::lock_guard guard{mutex_};
    all.swap(waiting_[id]);
    waiting_.erase(id);
  }
  for (auto& done : all)
    done(outcome);
}

} // namespace sluice::artifact
