#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
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
constexpr std::size_t record_width_max = 200; ///< of a table that goes to no terminal
constexpr std::size_t character_bytes_max = 4;

struct peek_arguments {
  std::string queue;
  std::uint64_t count = 10;
  std::uint64_t after = 0;
  std::string output = "table";
  client_options_ptr client;
};

/// Hands out each record, page by page; at most `count`, 0 = all. Of each at most the first `payload_bytes_max`, 0 = all of it.
result<void> for_each_record(client::control_client& head, const peek_arguments& args,
                             std::size_t payload_bytes_max,
                             const std::function<void(const client::api::QueueRecord&)>& visit) {
  client::api::QueuePeekRequest request;
  request.set_queue(args.queue);
  request.set_after_seq(args.after);
  request.set_payload_bytes_max(static_cast<std::uint32_t>(payload_bytes_max));
  auto left = args.count == 0 ? ~std::uint64_t{0} : args.count;
  while (left > 0) {
    request.set_count_max(static_cast<std::uint32_t>(std::min(left, page_count)));
    auto page = head.queue_peek(request);
    if (!page)
      return fail(page);
    if (page->records_size() == 0)
      break;
    for (const auto& record : page->records())
      visit(record);
    left -= std::min<std::uint64_t>(left, static_cast<std::uint64_t>(page->records_size()));
    request.set_after_seq(page->records(page->records_size() - 1).seq());
  }
  return {};
}

int run(const environment& env, const peek_arguments& args) {
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  if (args.output == "jsonl") { // printed as it comes: it may be a lot
    bool any = false;
    auto done = for_each_record(**head, args, 0, [&](const auto& record) {
      any = true;
      env.out << to_json_line(record.payload()) << "\n";
    });
    if (done && !any && args.after == 0)
      done = check_queue_known(**head, args.queue);
    return done ? ok : complain(env, done.error());
  }
  std::vector<client::api::QueueRecord> records;
  const auto width = env.out_terminal.width > 0 ? env.out_terminal.width : record_width_max;
  const auto bytes = args.output == "table" ? width * character_bytes_max : 0;
  auto done = for_each_record(**head, args, bytes, [&](const auto& record) { records.push_back(record); });
  if (done && records.empty() && args.after == 0)
    done = check_queue_known(**head, args.queue);
  if (!done)
    return complain(env, done.error());
  if (args.output == "json") {
    std::vector<const google::protobuf::Message*> all;
    for (const auto& record : records)
      all.push_back(&record);
    env.out << to_json(all);
    return ok;
  }
  if (records.empty()) {
    talk(env) << "queue/" << args.queue << " holds nothing" << (args.after > 0 ? " after that" : "") << "\n";
    return ok;
  }
  table rows{{{"SEQ", align::right}, {"ATTEMPTS", align::right, false, 1}, {"RECORD", align::left, true}}};
  for (const auto& record : records)
    rows.add({std::to_string(record.seq()), std::to_string(record.attempts()),
              fit(to_display_line(record.payload(), bytes), width)});
  rows.print(env.out, env.out_terminal);
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<peek_arguments>();
  app.add_option("QUEUE", args->queue, "which queue")->required();
  app.add_option("--count", args->count, "how many, 0 = all [10]")->type_name("COUNT")->check(count_check());
  app.add_option("--after", args->after, "begin behind this sequence number")
    ->type_name("SEQ")
    ->check(count_check());
  app.add_option("-o,--output", args->output, "table, json or jsonl (the records alone, one a line) [table]")
    ->type_name("FORMAT")
    ->check(CLI::IsMember({"table", "json", "jsonl"}));
  args->client = add_client_options(app, false);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command queue_peek_command{
  "peek", "Look at the records of a queue without taking them",
  "Oldest first; leased ones, and those that wait for another attempt, are shown too.\n"
  "A table has the beginning of long records, json and jsonl all of them.",
  "  sluice queue peek orders\n"
  "  sluice queue peek orders --count 0 -o jsonl > orders.jsonl",
  declare};

} // namespace sluice::cli
