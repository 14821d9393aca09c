#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/input.hpp"
#include "runtime/cli/payload.hpp"
#include "runtime/cli/queue_known.hpp"
#include "runtime/cli/record_putter.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/wait.hpp"
#include "runtime/config/quantity.hpp"

#include <sluice/core/limits.hpp>

#include <CLI/CLI.hpp>

#include <ostream>
#include <utility>

namespace sluice::cli {

namespace {

struct put_arguments {
  std::string queue;
  std::string file;
  std::size_t batch = 1000;
  std::string wait = "60s";
  bool waits_for_head = false; ///< `--wait` was said
  std::string resume;
  client_options_ptr client;
};

/// Checks one line. The failure names the line's number.
result<void> check_line(const std::string& line, std::uint64_t number) {
  auto name = "line " + std::to_string(number);
  if (line.size() > limits::record_size_bytes_max)
    return fail(errc::invalid_argument, name + " is longer than the "
                                          + std::to_string(limits::record_size_bytes_max)
                                          + " bytes that a record may have");
  if (auto done = check_json(line); !done)
    return fail(errc::invalid_argument, name + ": " + done.error().message);
  return {};
}

/// Takes one line. On a failure what was good before it is sent.
result<void> put_line(std::string line, std::uint64_t number, record_putter& to) {
  if (line.find_first_not_of(" \t") == std::string::npos)
    return {};
  auto good = check_line(line, number);
  if (good)
    return to.add(std::move(line), number);
  if (!to.is_block_open())
    if (auto done = to.flush(); !done)
      return done;
  return good;
}

/// Sends every line from `number` on. When no more come for a moment, or the process is asked to end, those that
/// are here are sent.
result<void> put_lines(const environment& env, byte_reader read, record_putter& to) {
  line_reader lines{std::move(read)};
  const auto skipped_to = to.line_next();
  for (std::uint64_t number = 1;;) {
    for (auto line = lines.next(); line; line = lines.next()) {
      if (number >= skipped_to && env.ending_signal() != 0 && !to.is_block_open()) {
        if (auto done = to.flush(); !done)
          return done;
        return fail(errc::cancelled, "interrupted");
      }
      if (number >= skipped_to)
        if (auto done = put_line(std::move(*line), number, to); !done)
          return done;
      ++number;
    }
    using outcome = input_piece::outcome;
    result<outcome> came = outcome::signal;
    if (env.ending_signal() == 0)
      came = lines.fill(to.linger());
    if (!came)
      return fail(came);
    if (*came == outcome::bytes)
      continue;
    if (*came == outcome::end)
      if (auto last = lines.next(); last && number >= skipped_to)
        if (auto done = put_line(std::move(*last), number, to); !done)
          return done;
    if (*came == outcome::end || !to.is_block_open())
      if (auto done = to.flush(); !done)
        return done;
    if (*came == outcome::signal)
      return fail(errc::cancelled, "interrupted");
    if (*came == outcome::end)
      return {};
  }
}

/// For a shell.
std::string quote(const std::string& text) {
  std::string out = "'";
  for (char c : text)
    out += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
  return out + "'";
}

std::string stored_text(const put_arguments& args, const record_putter& putter) {
  return count_text(putter.stored()) + (putter.stored() == 1 ? " record is" : " records are") + " in queue/"
         + args.queue;
}

/// Which lines are stored for sure, which perhaps, and how to go on so that none is stored twice.
std::string how_far(const put_arguments& args, const record_putter& putter, errc why) {
  const bool is_resumed = !args.resume.empty();
  if (is_resumed && why == errc::conflict)
    return (putter.stored() == 0 ? "nothing was stored now" : stored_text(args, putter))
           + ": a put was gone on with from this point already, or the input is not the one that was sent "
             "before; `sluice queue peek "
           + args.queue + "` shows what is there\n";
  const auto line = std::to_string(putter.line_next());
  const auto unsure = putter.unsure();
  auto text = is_resumed && putter.stored() == 0
                ? "nothing was stored now; "
                : stored_text(args, putter) + ", all from before line " + line + "; ";
  const auto file = args.file == "-" ? "-" : quote(args.file);
  if (unsure)
    return text + "the " + count_text(unsure->block.count) + " from line "
           + std::to_string(unsure->block.line)
           + " on may be stored or not, and nothing behind them is\n"
             "continue, with none stored twice: sluice queue put "
           + args.queue + " " + file + " --resume " + to_text(*unsure)
           + (args.file == "-" ? "\nwith the same input, from its beginning\n" : "\n");
  text = putter.stored() == 0 ? "nothing was stored\n" : text + "nothing from there on was stored\n";
  if (args.file == "-")
    return text;
  const std::string mend = why == errc::invalid_argument ? "mend the line, then " : "";
  if (putter.line_next() == 1) // nothing of it is stored
    return text + (mend.empty() ? "try again with: " : mend + "put it again: ") + "sluice queue put "
           + args.queue + " " + file + "\n";
  return text + mend + "continue with: tail -n +" + line + " " + file + " | sluice queue put " + args.queue
         + " -\n";
}

/// True if a flow that is there takes its records from the queue. True as well where nobody can tell.
bool is_read(client::control_client& head, const std::string& queue) {
  const auto snapshot = head.snapshot(0);
  if (!snapshot)
    return true;
  for (const auto& flow : snapshot->flows())
    for (const auto& processor : flow.processors()) {
      const auto& source = processor.spec().source();
      const auto name = source.options().find("name");
      if (source.kind() == "queue" && name != source.options().end() && name->second == queue)
        return true;
    }
  return false;
}

/// With `--wait` also a head that is not there yet is waited for.
result<std::unique_ptr<client::control_client>> reach_head(const environment& env, const put_arguments& args,
                                                           std::chrono::milliseconds patience) {
  const auto until = env.now() + patience;
  for (;;) {
    auto head = connect(env, *args.client);
    const bool may_come =
      !head && (head.error().code == errc::unavailable || head.error().code == errc::timeout);
    if (!may_come || !args.waits_for_head || env.now() >= until)
      return head;
    if (!env.pause(wait_interval) || env.ending_signal() != 0)
      return fail(errc::cancelled, "interrupted; nothing was stored");
  }
}

int run(const environment& env, const put_arguments& args) {
  if (auto name = check_queue_name(args.queue); !name)
    return complain(env, name.error());
  auto patience = config::parse_duration(args.wait);
  if (!patience)
    return complain(env, {errc::invalid_argument, "--wait: " + patience.error().message});
  record_putter::options opts{args.queue, args.batch, *patience};
  if (!args.resume.empty()) {
    auto point = parse_resume_point(args.resume);
    if (!point)
      return complain(env, point.error());
    if (auto fits = check_queue_of(*point, args.queue); !fits)
      return complain(env, fits.error());
    opts.resume = std::move(*point);
  }
  auto input = env.open_input(args.file);
  if (!input)
    return complain(env, input.error());
  auto head = reach_head(env, args, *patience);
  if (!head) {
    const auto signal = head.error().code == errc::cancelled ? env.ending_signal() : 0;
    const auto code = complain(env, head.error());
    return signal != 0 ? 128 + signal : code;
  }
  record_putter to{env, **head, std::move(opts)};
  auto done = put_lines(env, std::move(*input), to);
  to.end_progress();
  if (done) {
    if (args.client->format() == output::json) {
      client::api::QueuePutReply reply;
      reply.set_count(to.stored());
      env.out << to_json(reply);
    }
    talk(env) << stored_text(args, to) << "\n";
    if (to.stored() > 0 && !is_read(**head, args.queue))
      talk(env) << "note: no flow reads queue/" << args.queue
                << " yet; what is in it waits for one that does\n";
    return ok;
  }
  const auto code = complain(env, done.error(), how_far(args, to, done.error().code));
  const auto signal = env.ending_signal();
  return done.error().code == errc::cancelled && signal != 0 ? 128 + signal : code;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<put_arguments>();
  app.add_option("QUEUE", args->queue, "where to put them; made if it is not there")->required();
  app.add_option("FILE", args->file, "JSON Lines: one record per line; - is the standard input")->required();
  app.add_option("--batch", args->batch, "records per request [1000]")
    ->type_name("COUNT")
    ->check(count_check(1, limits::block_count_max));
  auto* wait = app.add_option("--wait", args->wait,
                              "how long to wait for a head that goes away or is full meanwhile [60s]; "
                              "if said, for one that is not there yet, too");
  wait->type_name("SPAN");
  app
    .add_option("--resume", args->resume,
                "go on, once and with the same input, with a put that failed, as its message says")
    ->type_name("POINT");
  args->client = add_client_options(app);
  return [args, wait, &env] {
    args->waits_for_head = wait->count() > 0;
    return run(env, *args);
  };
}

} // namespace

const command queue_put_command{
  "put", "Put records at the end of a queue",
  "Every line is checked; at the first that is not JSON it stops, says which, and what came before\n"
  "is stored. Blank lines are skipped. When it returns, the records are on disk. From a pipe, lines are\n"
  "sent as they come.\n"
  "Where it fails it says how to go on without storing a record twice. Ctrl-C ends it after\n"
  "the request that is under way, a second one at once and without that line.",
  "  sluice queue put orders orders.jsonl\n"
  "  echo '{\"id\": 1}' | sluice queue put orders -",
  declare};

} // namespace sluice::cli
