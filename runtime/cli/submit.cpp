#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/rollout.hpp"
#include "runtime/cli/submit_variables.hpp"
#include "runtime/config/quantity.hpp"
#include "transport/artifact/sha256.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/version.hpp>

#include <CLI/CLI.hpp>

#include <fstream>
#include <ostream>

namespace sluice::cli {

namespace {

struct submit_arguments {
  std::string binary;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::vector<std::string> env_files;
  bool detach = false;
  bool wait = false;
  std::string timeout = "60s";
  client_options_ptr client;
};

/// Reads a file piece by piece.
class file_chunks {
public:
  explicit file_chunks(const std::string& path) : path_(path), in_(path, std::ios::binary) {}

  result<std::string_view> next() {
    buffer_.resize(limits::artifact_chunk_bytes);
    in_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    if (in_.bad() || !opened())
      return fail(errc::unavailable, "cannot read " + path_);
    return std::string_view{buffer_.data(), static_cast<std::size_t>(in_.gcount())};
  }

private:
  bool opened() const { return in_.is_open(); }

  std::string path_;
  std::ifstream in_;
  std::string buffer_;
};

result<void> check_file(const std::string& path) {
  std::error_code error;
  auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    return fail(errc::not_found, "there is no file " + path);
  if (!std::filesystem::is_regular_file(status))
    return fail(errc::invalid_argument, path + " is not a file");
  return {};
}

/// Fills in what the upload announces.
result<void> measure(const std::string& path, client::api::SubmitHeader& header) {
  file_chunks file{path};
  artifact::sha256 hash;
  std::uint64_t size = 0;
  for (;;) {
    auto chunk = file.next();
    if (!chunk)
      return fail(chunk);
    if (chunk->empty())
      break;
    hash.add(*chunk);
    size += chunk->size();
  }
  if (size > limits::artifact_size_bytes_max)
    return fail(errc::invalid_argument, path + " has " + bytes_text(size) + ", at most "
                                          + bytes_text(limits::artifact_size_bytes_max)
                                          + " are allowed; was it stripped?");
  header.set_size_bytes(size);
  header.set_sha256(hash.finish().value);
  return {};
}

result<client::api::SubmitReply> upload(const environment& env, client::control_client& head,
                                        const std::string& path, const client::api::SubmitHeader& header) {
  file_chunks file{path};
  std::uint64_t sent = 0;
  bool shows_progress = env.err_terminal.is_terminal;
  auto reply = head.submit(header, [&]() -> result<std::string_view> {
    // From here on Ctrl-C is answered in words: before the last chunk the head has stored nothing.
    if (sent < header.size_bytes() && !env.pause(std::chrono::milliseconds{0}))
      return fail(errc::cancelled, "interrupted; nothing was submitted");
    auto chunk = file.next();
    if (chunk)
      sent += chunk->size();
    if (chunk && shows_progress) {
      talk(env) << "\r\x1b[Kuploading " << bytes_text(sent) << " of " << bytes_text(header.size_bytes())
                << std::flush;
    }
    return chunk;
  });
  if (shows_progress)
    talk(env) << "\r\x1b[K" << std::flush;
  return reply;
}

/// An older head knows nothing of variables and would run the program without them.
result<void> check_takes_variables(client::control_client& head) {
  auto version = head.version();
  if (!version)
    return fail(version);
  if (version->takes_submit_env())
    return {};
  return fail(errc::unsupported,
              "the head is of an older Sluice (" + version->sluice_version()
                + "), which drops what --env and --env-file give; nothing was submitted. Start the "
                  "head again with this one, " SLUICE_VERSION);
}

void print_next_steps(const environment& env, const flow_spec& spec) {
  talk(env) << "next:\n  sluice status\n  sluice logs flow/" << spec.name.value << " --follow\n";
  for (const auto& processor : spec.processors)
    if (auto name = processor.source.options.find("name");
        processor.source.kind == "queue" && name != processor.source.options.end()) {
      talk(env) << "  sluice queue put " << name->second << " FILE.jsonl\n";
      return; // the first is the way in
    }
}

/// Meant by a crawler, and by others a record that never comes to an end.
void print_loops(const environment& env, const flow_spec& spec) {
  for (const auto& processor : spec.processors)
    if (processor.source.kind == "queue" && processor.source == processor.sink)
      talk(env) << "note: what " << processor.name.value
                << " returns goes into the queue that it reads, and comes back to it\n";
}

int run(const environment& env, const submit_arguments& args) {
  auto timeout = config::parse_duration(args.timeout);
  if (!timeout)
    return complain(env, {errc::invalid_argument, "--start-timeout: " + timeout.error().message});
  if (auto done = check_file(args.binary); !done)
    return complain(env, done.error());
  auto variables = read_variables(env, args.env_files, args.env);
  if (!variables)
    return complain(env, variables.error());
  auto spec = env.describe(args.binary, args.args, *variables);
  if (!spec)
    return complain(env, spec.error());
  if (auto fits = check_for_cluster(*spec); !fits)
    return complain(env, fits.error());
  if (args.wait && !ends_by_itself(*spec))
    return complain(
      env, {errc::invalid_argument, "--wait: flow '" + spec->name.value
                                      + "' has no end to wait for: not all its processors are batches"});
  client::api::SubmitHeader header;
  header.set_request_id(env.make_id());
  header.set_file_name(std::filesystem::path{args.binary}.filename().string());
  for (const auto& arg : args.args)
    header.add_args(arg);
  header.mutable_env()->insert(variables->begin(), variables->end());
  if (auto done = measure(args.binary, header); !done)
    return complain(env, done.error());
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  if (!variables->empty())
    if (auto takes = check_takes_variables(**head); !takes)
      return complain(env, takes.error());
  auto reply = upload(env, **head, args.binary, header);
  if (!reply) {
    auto why = reply.error();
    if (why.code == errc::unavailable
        || why.code == errc::timeout) // it may have been stored, and the answer lost
      why.message += "; submit again if `sluice get flow/" + spec->name.value + "` does not show it";
    return complain(env, why);
  }
  // With --wait the JSON is the flow at its end: one document, and with the counts of the batches.
  if (args.client->format() == output::json && !args.wait)
    env.out << to_json(*reply);
  else if (args.client->format() == output::name)
    env.out << "flow/" << reply->flow() << "\n";
  talk(env) << "submitted: flow/" << reply->flow() << " version " << reply->version()
            << (reply->is_new()         ? " (new)"
                : ends_by_itself(*spec) ? " (another run)"
                                        : " (rolling update)")
            << ", " << spec->processors.size()
            << (spec->processors.size() == 1 ? " processor" : " processors") << "\n";
  print_loops(env, *spec);
  if (args.wait)
    return wait_for_end(env, **head, reply->flow(), reply->version(), [&](const client::api::Flow& flow) {
      if (args.client->format() == output::json)
        env.out << to_json(flow);
    });
  if (!args.detach)
    if (auto code = wait_for_version(env, **head, reply->flow(), reply->version(), *timeout); code != ok)
      return code;
  print_next_steps(env, *spec);
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<submit_arguments>();
  app.add_option("BINARY", args->binary, "the program that describes the flow")->required();
  app.add_option("ARGS", args->args, "behind --: what hosts start it with");
  app
    .add_option(
      "--env", args->env,
      "a variable that hosts find in their environment, as part of this version; NAME alone takes the "
      "value it has here, which keeps it out of the process list; may be repeated")
    ->type_name("NAME=VALUE")
    ->allow_extra_args(false);
  app
    .add_option(
      "--env-file", args->env_files,
      "a file of such lines, taken as they stand but for a CR at their end and a byte order mark; blank ones "
      "and those that begin with # are skipped; "
      "\"-\" is the standard input; may be repeated, --env goes before it")
    ->type_name("FILE")
    ->allow_extra_args(false);
  auto* detach = app.add_flag("--detach", args->detach, "do not wait until it runs");
  app
    .add_flag("--wait", args->wait,
              "wait until its batches have ended; the exit code says how, and -o json is the flow then")
    ->excludes(detach);
  app.add_option("--start-timeout", args->timeout, "how long to wait until it runs [60s]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command submit_command{
  "submit", "Run a flow on the cluster, or update it",
  "Asks the program what it is, checks that, and hands the very same file to the cluster.\n"
  "Submitting a name again is a rolling update: new replicas up, then the old ones drained.\n"
  "Hosts do not see the environment of this command, only what --env and --env-file give: say it at\n"
  "each submit. A rollback has what its version had. The values are not shown again, the names are.",
  "  sluice submit ./settings --env ADMIN_TOKEN --env-file settings.env\n"
  "  sluice submit ./sales --wait -- $PWD/orders.csv $PWD/sales.csv",
  declare};

} // namespace sluice::cli
