#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/payload.hpp"
#include "runtime/cli/queue_known.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/table.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::uint64_t page_count = 1000;

struct letters_arguments {
  std::string queue;
  std::uint64_t count = 100;
  std::uint64_t after = 0;
  std::string output = "table";
  client_options_ptr client;
};

result<std::vector<client::api::DeadLetter>> read_letters(client::control_client& head,
                                                          const letters_arguments& args) {
  std::vector<client::api::DeadLetter> letters;
  client::api::QueueDeadLettersRequest request;
  request.set_queue(args.queue);
  request.set_after_id(args.after);
  while (args.count == 0 || letters.size() < args.count) {
    auto left = args.count == 0 ? page_count : args.count - letters.size();
    request.set_count_max(static_cast<std::uint32_t>(std::min(left, page_count)));
    auto page = head.queue_dead_letters(request);
    if (!page)
      return fail(page);
    if (page->letters_size() == 0)
      break;
    request.set_after_id(page->letters(page->letters_size() - 1).id());
    letters.insert(letters.end(), page->letters().begin(), page->letters().end());
  }
  return letters;
}

void print_table(const environment& env, const std::vector<client::api::DeadLetter>& letters) {
  table rows{{{"ID", align::right},
              {"QUEUE", align::left, false, 4},
              {"PROCESSOR", align::left, false, 2},
              {"ATTEMPTS", align::right, false, 5},
              {"BURIED", align::left, false, 3},
              {"ERROR", align::left, true},
              {"RECORD", align::left, true, 1}}};
  for (const auto& letter : letters)
    rows.add({std::to_string(letter.id()), letter.queue().empty() ? "-" : letter.queue(),
              letter.flow() + "/" + letter.processor(), std::to_string(letter.attempts()),
              date_text(letter.buried_at_unix_ms()), letter.error(), to_json_line(letter.payload())});
  rows.print(env.out, env.out_terminal);
}

int run(const environment& env, const letters_arguments& args) {
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  auto letters = read_letters(**head, args);
  if (!letters)
    return complain(env, letters.error());
  if (letters->empty() && !args.queue.empty())
    if (auto known = check_queue_known(**head, args.queue); !known)
      return complain(env, known.error());
  if (args.output == "json") {
    std::vector<const google::protobuf::Message*> all;
    for (const auto& letter : *letters)
      all.push_back(&letter);
    env.out << to_json(all);
  } else if (args.output == "jsonl") {
    for (const auto& letter : *letters)
      env.out << to_json_line(letter.payload()) << "\n";
  } else if (letters->empty()) {
    talk(env) << "no dead letters" << (args.queue.empty() ? "" : " of queue/" + args.queue) << "\n";
  } else {
    print_table(env, *letters);
    talk(env) << "bring them back with: sluice queue requeue " << (args.queue.empty() ? "QUEUE" : args.queue)
              << " [ID...]\n";
  }
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<letters_arguments>();
  app.add_option("QUEUE", args->queue, "which queue [all]");
  app.add_option("--count", args->count, "how many, 0 = all [100]")->type_name("COUNT")->check(count_check());
  app.add_option("--after", args->after, "begin behind this id")->type_name("ID")->check(count_check());
  app.add_option("-o,--output", args->output, "table, json or jsonl (the records alone, one a line) [table]")
    ->type_name("FORMAT")
    ->check(CLI::IsMember({"table", "json", "jsonl"}));
  args->client = add_client_options(app, false);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command queue_dead_letters_command{
  "dead-letters", "Show records that failed for good, and why",
  "Those that used up their attempts, and those that could not be decoded.\n"
  "Without a QUEUE also those whose source was none, such as a file: these\n"
  "cannot be requeued. Oldest first.",
  "  sluice queue dead-letters orders\n"
  "  sluice queue dead-letters orders -o json",
  declare};

} // namespace sluice::cli
