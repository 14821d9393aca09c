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

result<std::vector<letters_count>> letters_since(local_system& system,
                                                 std::chrono::system_clock::time_point since) {
  const auto begin = std::chrono::floor<std::chrono::milliseconds>(since); // as they are stored
  std::vector<letters_count> out;
  auto read = for_each_letter(system, [&](const queue::dead_letter& letter) {
    if (letter.buried_at < begin)
      return;
    auto found = std::find_if(out.begin(), out.end(), [&](const letters_count& each) {
      return each.queue == letter.queue
             && (!each.queue.empty() || each.processor == letter.consumer.processor);
    });
    if (found == out.end())
      found = out.insert(out.end(), letters_count{letter.queue, letter.consumer.processor, 0});
    ++found->count;
  });
  if (!read)
    return fail(read);
  return out;
}

std::string letters_text(const std::vector<letters_count>& all) {
  std::string out;
  for (const auto& each : all) {
    out += grouped(each.count) + (each.count == 1 ? " dead letter " : " dead letters ");
    if (each.queue.empty())
      out += "of " + each.processor.value + ", whose source is no queue: --dead-letters prints them\n";
    else
      out += "in queue '" + each.queue.value + "': --dead-letters prints them with their errors, --requeue "
             + each.queue.value + " tries them again\n";
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
