#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/render.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

int run(const environment& env, const client_options& options) {
  auto head = connect(env, options);
  if (!head)
    return complain(env, head.error());
  auto reply = (*head)->show_token();
  if (!reply)
    return complain(env, reply.error());
  if (options.format() == output::json) {
    env.out << to_json(*reply);
    return ok;
  }
  env.out << reply->token() << "\n";
  if (reply->control_address().empty())
    return ok;
  talk(env) << "to steer this cluster from elsewhere, with the token in the file token (mode 600):\n"
               "  export SLUICE_CONTROL="
            << reply->control_address() << "\n  export SLUICE_CA_PIN=" << reply->ca_fingerprint()
            << "\n  sluice status --token-file token\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto options = add_client_options(app);
  return [options, &env] { return run(env, *options); };
}

} // namespace

const command token_show_command{"show", "Print the cluster token, on the head's machine only",
                                 "Who has the token can run programs on the cluster.",
                                 "  (umask 077; sluice token show > token)\n"
                                 "  sluice token show -o json",
                                 declare};

} // namespace sluice::cli
