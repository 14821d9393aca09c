#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/render.hpp"

#include <sluice/core/version.hpp>

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

struct version_arguments {
  bool head = false;
  client_options_ptr client;
};

int run(const environment& env, const version_arguments& args) {
  client::api::VersionReply reply;
  reply.set_sluice_version(SLUICE_VERSION);
  if (args.head) {
    auto head = connect(env, *args.client);
    if (!head)
      return complain(env, head.error());
    auto answer = (*head)->version();
    if (!answer)
      return complain(env, answer.error());
    reply = *answer;
  }
  if (args.client->format() == output::json)
    env.out << to_json(reply);
  else
    env.out << "sluice " << reply.sluice_version() << "\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<version_arguments>();
  app.add_flag("--head", args->head, "ask the head for its version instead");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command version_command{"version", "Print the version of this program", "",
                              "  sluice version\n"
                              "  sluice version --head -o json",
                              declare};

} // namespace sluice::cli
