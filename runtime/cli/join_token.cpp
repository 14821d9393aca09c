#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

struct join_token_arguments {
  std::string ttl = "1h";
  client_options_ptr client;
};

int run(const environment& env, const join_token_arguments& args) {
  auto ttl = config::parse_duration(args.ttl);
  if (!ttl || *ttl < std::chrono::seconds{1})
    return complain(
      env, {errc::invalid_argument, "--ttl: " + (ttl ? "at least one second" : ttl.error().message)});
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  auto reply = (*head)->create_join_token(std::chrono::duration_cast<std::chrono::seconds>(*ttl));
  if (!reply)
    return complain(env, reply.error());
  if (args.client->format() == output::json) {
    env.out << to_json(*reply);
    return ok;
  }
  env.out << reply->token() << "\n";
  talk(env) << "good for one worker until " << date_text(reply->expires_at_unix_ms())
            << "; on its machine, with the token in the file join-token:\n  sluice start --address "
            << reply->link_address() << " --join-token-file join-token\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<join_token_arguments>();
  app.add_option("--ttl", args->ttl, "how long it is good for, at most 24h [1h]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command join_token_create_command{"create", "Make a token with which one worker can join",
                                        "The token is printed on the standard output and kept nowhere.",
                                        "  sluice join-token create > join-token\n"
                                        "  sluice join-token create --ttl 10m",
                                        declare};

} // namespace sluice::cli
