#include "runtime/local_letters.hpp"

#include "runtime/batch_progress.hpp"

#include <sluice/codec/codec.hpp>
#include <sluice/codec/utf8.hpp>

#include <algorithm>
#include <functional>
#include <iostream>

namespace sluice::runtime {

namespace {

/// Members as they are printed: those of `sluice queue dead-letters -o json`.
struct letter_line {
  std::uint64_t id = 0;
  std::string queue;
  std::string flow;
  std::string processor;
  std::uint32_t attempts = 0;
  std::string error;
  std::int64_t buried_at_unix_ms = 0;
  std::string payload;
};

result<void> for_each_letter(local_system& system,
                             const std::function<void(const queue::dead_letter&)>& use) {
  for (std::uint64_t after_id = 0;;) {
    auto some = system.dead_letters(after_id);
    if (!some)
      return fail(some);
    if (some->empty())
      return {};
    for (const auto& each : *some)
      use(each);
    after_id = some->back().id;
  }
}

} // namespace

result<std::vector<letters_count>> count_letters(local_system& system,
                                                 std::chrono::system_clock::time_point since) {
  const auto begin = std::chrono::floor<std::chrono::milliseconds>(since); // as they are stored
  std::vector<letters_count> out;
  auto read = for_each_letter(system, [&](const queue::dead_letter& letter) {
    auto found = std::find_if(out.begin(), out.end(), [&](const letters_count& each) {
      return each.queue == letter.queue
             && (!each.queue.empty() || each.processor == letter.consumer.processor);
    });
    if (found == out.end())
      found = out.insert(out.end(), letters_count{letter.queue, letter.consumer.processor, 0, 0});
    ++found->total;
    found->count += letter.buried_at < begin ? 0 : 1;
  });
  if (!read)
    return fail(read);
  return out;
}

result<std::vector<letters_count>> count_old_letters(local_system& system) {
  auto stats = system.stats();
  if (!stats)
    return fail(stats);
  std::vector<letters_count> out;
  for (const auto& stat : *stats)
    if (stat.dead_count > 0)
      out.push_back({stat.name, {}, 0, stat.dead_count});
  return out;
}

std::string letters_text(const std::vector<letters_count>& all) {
  std::string out;
  for (const auto& each : all) {
    const auto old = each.total - each.count;
    out += counted(each.total, "dead letter") + " "
           + (each.queue.empty() ? "of " + each.processor.value + ", whose source is no queue"
                                 : "in queue '" + each.queue.value + "'");
    if (old > 0)
      out += each.count == 0 ? " of earlier runs" : ", " + grouped(old) + " of earlier runs";
    out += ": --dead-letters prints ";
    out += each.total == 1 ? "it with its error" : "them with their errors";
    if (!each.queue.empty())
      out += ", --requeue " + each.queue.value + (each.total == 1 ? " tries it again" : " tries them again");
    out += "\n";
  }
  return out;
}

std::string to_json_line(const queue::dead_letter& letter) {
  const letter_line line{
    letter.id,
    letter.queue.value,
    letter.consumer.flow.value,
    letter.consumer.processor.value,
    letter.attempts,
    codec::to_utf8(letter.error),
    std::chrono::floor<std::chrono::milliseconds>(letter.buried_at.time_since_epoch()).count(),
    codec::to_utf8(letter.payload)};
  std::string text;
  static_cast<void>(codec::encode(line, text)); // all of it is UTF-8 and in range
  return text;
}

int print_letters(const std::filesystem::path& state_dir) {
  auto system = local_system::open_to_look(state_dir);
  auto printed = !system ? fail(system) : for_each_letter(**system, [](const queue::dead_letter& letter) {
    std::cout << to_json_line(letter) << "\n";
  });
  if (printed)
    return 0;
  std::cerr << "sluice: " << printed.error().message << std::endl;
  return 1;
}

} // namespace sluice::runtime
