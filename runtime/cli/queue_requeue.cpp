#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/queue_known.hpp"
#include "runtime/cli/render.hpp"

#include <sluice/core/limits.hpp>

#include <CLI/CLI.hpp>

#include <ostream>
#include <set>

namespace sluice::cli {

namespace {

struct requeue_arguments {
  std::string queue;
  std::vector<std::uint64_t> ids;
  client_options_ptr client;
};

/// The head takes so many ids at a time.
result<client::api::QueueRequeueReply> requeue(client::control_client& head, const std::string& queue,
                                               const std::set<std::uint64_t>& ids) {
  client::api::QueueRequeueReply all;
  auto next = ids.begin();
  do {
    client::api::QueueRequeueRequest request;
    request.set_queue(queue);
    for (std::size_t count = 0; next != ids.end() && count < limits::block_count_max; ++next, ++count)
      request.add_ids(*next);
    auto reply = head.queue_requeue(request);
    if (!reply)
      return reply;
    all.set_count(all.count() + reply->count());
  } while (next != ids.end());
  return all;
}

int run(const environment& env, const requeue_arguments& args) {
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  const std::set<std::uint64_t> ids{args.ids.begin(), args.ids.end()};
  auto reply = requeue(**head, args.queue, ids);
  if (!reply) {
    const auto code = reply.error().code;
    auto known = code == errc::not_found ? check_queue_known(**head, args.queue) : result<void>{};
    const bool is_unsure = code == errc::timeout || code == errc::unavailable;
    return complain(
      env, known ? reply.error() : known.error(),
      is_unsure ? "the letters may be back, in part or all, and the head may still be at it; see how far it "
                  "is: sluice queue list\nwhat is left then: the same again, with a longer --timeout\n"
                : "");
  }
  if (reply->count() == 0)
    if (auto known = check_queue_known(**head, args.queue); !known)
      return complain(env, known.error());
  if (args.client->format() == output::json)
    env.out << to_json(*reply);
  talk(env) << count_text(reply->count()) << (reply->count() == 1 ? " record is" : " records are")
            << " back at the end of queue/" << args.queue << "\n";
  if (reply->count() >= ids.size())
    return ok;
  complain(env, {errc::not_found, count_text(ids.size() - reply->count())
                                    + " of the ids named no dead letter of queue/" + args.queue});
  return reply->count() == 0 ? not_found : partly_failed;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<requeue_arguments>();
  app.add_option("QUEUE", args->queue, "which queue")->required();
  app
    .add_option(
      "ID", args->ids,
      "which dead letters, by their ids as `sluice queue dead-letters` shows them [all of the queue]")
    ->check(count_check(1));
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command queue_requeue_command{"requeue", "Move dead letters back to the end of their queue",
                                    "Those that are there when it begins, each once: what fails again stays\n"
                                    "buried. They start again with no attempts counted.",
                                    "  sluice queue requeue orders\n"
                                    "  sluice queue requeue orders 17 18",
                                    declare};

} // namespace sluice::cli
