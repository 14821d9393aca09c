#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/queue_known.hpp"
#include "runtime/cli/render.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

struct purge_arguments {
  std::string queue;
  bool dead_letters = false;
  client_options_ptr client;
};

/// Stands for the queue that dead letters of files have, which is none.
constexpr std::string_view no_queue = "-";

int run(const environment& env, const purge_arguments& args) {
  const bool is_of_files = args.dead_letters && args.queue == no_queue;
  if (auto name = is_of_files ? result<void>{} : check_queue_name(args.queue); !name)
    return complain(env, name.error());
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  client::api::QueuePurgeRequest request;
  request.set_queue(is_of_files ? "" : args.queue);
  request.set_dead_letters(args.dead_letters);
  auto reply = (*head)->queue_purge(request);
  if (!reply) {
    const bool is_unknown = reply.error().code == errc::not_found;
    auto known = is_unknown ? check_queue_known(**head, args.queue) : result<void>{};
    return complain(env, known ? reply.error() : known.error());
  }
  if (reply->count() == 0 && args.dead_letters && !is_of_files)
    if (auto known = check_queue_known(**head, args.queue); !known)
      return complain(env, known.error());
  if (args.client->format() == output::json)
    env.out << to_json(*reply);
  talk(env) << count_text(reply->count()) << (args.dead_letters ? " dead letters" : " records")
            << (is_of_files ? std::string{" of files"} : " of queue/" + args.queue) << " are forgotten\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<purge_arguments>();
  app.add_option("QUEUE", args->queue, "which queue")->required();
  app.add_flag("--dead-letters", args->dead_letters, "forget the dead letters instead of what waits");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command queue_purge_command{
  "purge", "Forget what waits in a queue, for good",
  "Also what waits for another attempt; records that a processor works on are left to it.\n"
  "The dead letters of sources that are no queues, such as files, are those of '-'.",
  "  sluice queue purge orders\n"
  "  sluice queue purge - --dead-letters",
  declare};

} // namespace sluice::cli
