#include "runtime/local_losses.hpp"

#include "transport/pki/secret_file.hpp"
#include "actors/batch/batch_job.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

namespace sluice::runtime {

namespace {

constexpr auto death_text = "the process ended while it had the record: it crashed, exited, was killed, or "
                            "was ended for a call over its timeout";

/// Of a batch the one that hands out its splits. Empty if its records are those of no queue.
queue_name source_queue(const flow_spec& spec, const processor_spec& processor) {
  if (processor.kind == pattern::batch)
    return batch::splits_queue(spec.name, processor.name);
  if (processor.source.kind != "queue")
    return {};
  const auto found = processor.source.options.find("name");
  return queue_name{found == processor.source.options.end() ? std::string{} : found->second};
}

/// Which replica is whose, as a text for the next run.
std::string list_of(const flow_spec& spec) {
  std::ostringstream out;
  for (const auto& each : local_replicas(spec))
    out << each.id.value << " " << each.processor->name.value << " "
        << source_queue(spec, *each.processor).value << "\n";
  return std::move(out).str();
}

std::string read_all(const std::filesystem::path& file) {
  std::ostringstream out;
  out << std::ifstream{file, std::ios::binary}.rdbuf();
  return std::move(out).str();
}

/// The records to blame, ascending by queue and seq.
using suspects = std::map<queue_name, std::map<std::uint64_t, const processor_spec*>>;

/// @param list of the run that died; a processor counts only if it still is there and reads the same queue
suspects blamed(const process::flight_recorder& recorder, const std::string& list, const flow_spec& spec) {
  std::map<std::uint64_t, const processor_spec*> readers;
  std::istringstream lines{list};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::uint64_t id = 0;
    std::string processor;
    std::string queue;
    words >> id >> processor >> queue;
    const auto known = std::ranges::find(spec.processors, processor_name{processor}, &processor_spec::name);
    if (!queue.empty() && known != spec.processors.end() && source_queue(spec, *known).value == queue)
      readers[id] = &*known;
  }
  suspects found;
  for (const auto& one : process::blame(recorder.inside(), {}, {}))
    // A split has many records, and is mostly there when somebody kills a batch, to go on later: that is no try of it.
    if (auto whose = readers.find(one.replica.value);
        whose != readers.end() && (one.crashed || whose->second->kind != pattern::batch))
      found[source_queue(spec, *whose->second)][one.seq] = whose->second;
  return found;
}

void count(queue::write_batch& into, std::vector<std::string>& told, const flow_spec& spec,
           const queue_name& queue, const processor_spec& processor, const record_view& record) {
  const auto attempts = record.attempts + 1;
  const auto attempts_max = std::max(processor.max_attempts, 1u);
  if (processor.kind == pattern::batch) { // which fails if that was the last one
    into.attempts.push_back({queue, {record.seq, record.seq}, attempts});
    told.push_back(processor.name.value + ": a split was in user code when the last run ended: attempt "
                   + std::to_string(attempts) + " of " + std::to_string(attempts_max));
    return;
  }
  auto text = "record " + std::to_string(record.seq) + " of queue '" + queue.value
              + "' was in user code when the last run ended: attempt " + std::to_string(attempts) + " of "
              + std::to_string(attempts_max);
  if (attempts < attempts_max) {
    into.attempts.push_back({queue, {record.seq, record.seq}, attempts});
  } else {
    into.graves.push_back({queue, record.seq, {spec.name, processor.name}, attempts, death_text, {}});
    text += "; it is a dead letter now";
  }
  told.push_back(std::move(text));
}

/// How many were buried.
result<std::size_t> count_all(const suspects& all, const flow_spec& spec, queue::store_port& store,
                              std::vector<std::string>& told) {
  queue::write_batch batch;
  batch.now = std::chrono::system_clock::now();
  for (const auto& [queue, records] : all) {
    std::vector<std::uint64_t> seqs;
    for (const auto& [seq, processor] : records)
      seqs.push_back(seq);
    while (!seqs.empty()) {
      auto some = store.read(queue, seqs, queue::segment_size_bytes_max); // what was settled is left out
      if (!some)
        return fail(some);
      for (const auto& part : some->parts)
        for (auto record : part.records)
          count(batch, told, spec, queue, *records.at(record.seq), record);
      std::erase_if(seqs, [&](std::uint64_t seq) { return seq <= some->seq_last; });
    }
  }
  if (batch.attempts.empty() && batch.graves.empty())
    return 0;
  if (auto written = store.write(batch); !written)
    return fail(written);
  return batch.graves.size();
}

} // namespace

std::vector<local_replica> local_replicas(const flow_spec& spec) {
  std::vector<local_replica> all;
  std::uint64_t id = 0;
  for (const auto& processor : spec.processors)
    // Scaled to zero means "until there is work"; by hand there always may be.
    for (std::uint32_t i = 0; i < std::max(processor.num_replicas, 1u); ++i)
      all.push_back({replica_id{++id}, &processor});
  return all;
}

result<local_losses> local_losses::open(const std::filesystem::path& state_dir, const flow_spec& spec,
                                        queue::store_port& store, std::vector<std::string>& told) {
  auto recorder = process::flight_recorder::open(state_dir / "flight");
  if (!recorder)
    return fail(recorder);
  local_losses opened;
  const auto list_file = state_dir / "flight-replicas";
  const auto list = list_of(spec);
  const auto list_before = read_all(list_file);
  auto buried_count = count_all(blamed(**recorder, list_before, spec), spec, store, told);
  if (!buried_count)
    return fail(buried_count);
  opened.buried_count_ = *buried_count;
  using std::filesystem::perms;
  (*recorder)->clear(); // before there is a list that it does not belong to
  std::error_code ignored;
  const bool is_private =
    std::filesystem::status(list_file, ignored).permissions() == (perms::owner_read | perms::owner_write);
  if (list != list_before || !is_private) // it once was readable for others
    if (auto written = pki::write_secret(list_file, list); !written)
      return fail(written);
  opened.recorder_ = std::move(*recorder);
  return opened;
}

} // namespace sluice::runtime
