#include "runtime/cli/commands.hpp"
#include "runtime/cli/list.hpp"

#include <CLI/CLI.hpp>

namespace sluice::cli {

namespace {

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<list_arguments>();
  args->kind = "queues";
  app.add_option("-f,--filter", args->filters, "show only those whose field has this value; may be repeated")
    ->type_name("KEY=VALUE")
    ->allow_extra_args(false);
  args->client = add_client_options(app);
  return [args, &env] { return run_list(env, *args); };
}

} // namespace

const command queue_list_command{
  "list", "List queues with what waits in them",
  "IN and OUT count since the queue was made: IN = OUT + DEPTH (+ DAMAGED). Done, buried and purged\n"
  "records are out; a dead letter that is put back is in again. RETRIED counts since\n"
  "the head started. DAMAGED, shown if there are any, are those that the disk damaged: neither\n"
  "in it nor out, and kept in the table 'damaged' of queue.db.",
  "  sluice queue list\n"
  "  sluice queue list -o json",
  declare};

} // namespace sluice::cli
