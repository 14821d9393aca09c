#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/payload.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/config/quantity.hpp"

#include <sluice/core/limits.hpp>

#include <CLI/CLI.hpp>

#include <fstream>
#include <istream>
#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::chrono::milliseconds retry_interval{500};
constexpr std::chrono::milliseconds progress_interval{200};

struct put_arguments {
  std::string queue;
  std::string file;
  std::size_t batch = 1000;
  std::string wait = "60s";
  client_options_ptr client;
};

/// Sends lines in batches and counts what is on disk.
class putter {
public:
  putter(const environment& env, client::control_client& head, const put_arguments& args,
         std::chrono::milliseconds patience)
    : env_(env), head_(head), args_(args), patience_(patience), started_(env.now()) {
    request_.set_queue(args.queue);
    request_.set_producer("put-" + env.make_id());
  }

  std::uint64_t stored() const noexcept { return stored_; }

  result<void> add(std::string line) {
    auto size = line.size() + record_overhead;
    if (request_.payloads_size() > 0 && bytes_ + size > limits::block_size_bytes_max)
      if (auto done = flush(); !done)
        return done;
    bytes_ += size;
    request_.add_payloads(std::move(line));
    return static_cast<std::size_t>(request_.payloads_size()) >= args_.batch ? flush() : result<void>{};
  }

  /// Stores what was collected. A head that is away is waited for: the batch carries a number, so
  /// that a repeat stores nothing twice.
  result<void> flush() {
    if (request_.payloads_size() == 0)
      return {};
    request_.set_producer_seq(++seq_);
    auto until = env_.now() + patience_;
    for (;;) {
      auto reply = head_.queue_put(request_);
      if (reply)
        break;
      auto code = reply.error().code;
      bool is_away = code == errc::unavailable || code == errc::timeout || code == errc::overloaded
                     || code == errc::shutting_down;
      if (!is_away || env_.now() >= until)
        return fail(reply);
      if (!env_.pause(retry_interval))
        return fail(errc::cancelled, "interrupted");
    }
    stored_ += static_cast<std::uint64_t>(request_.payloads_size());
    request_.clear_payloads();
    bytes_ = 0;
    show_progress();
    return {};
  }

  void end_progress() const {
    if (progress_shown_)
      env_.err << "\r\x1b[K";
  }

private:
  static constexpr std::size_t record_overhead = 16;

  void show_progress() {
    if (!env_.err_terminal.is_terminal || env_.now() - shown_at_ < progress_interval)
      return;
    shown_at_ = env_.now();
    progress_shown_ = true;
    auto seconds = std::chrono::duration<double>(shown_at_ - started_).count();
    env_.err << "\r\x1b[K" << count_text(stored_) << " records stored, "
             << rate_text(seconds > 0 ? static_cast<double>(stored_) / seconds : 0) << std::flush;
  }

  const environment& env_;
  client::control_client& head_;
  const put_arguments& args_;
  std::chrono::milliseconds patience_;
  client::api::QueuePutRequest request_;
  std::size_t bytes_ = 0;
  std::uint64_t seq_ = 0;
  std::uint64_t stored_ = 0;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point shown_at_{};
  bool progress_shown_ = false;
};

/// Checks one line. The failure names the line's number.
result<void> check_line(const std::string& line, std::uint64_t number) {
  auto name = "line " + std::to_string(number);
  if (line.size() > limits::record_size_bytes_max)
    return fail(errc::invalid_argument, name + " has " + std::to_string(line.size()) + " bytes, at most "
                                          + std::to_string(limits::record_size_bytes_max) + " are allowed");
  if (auto done = check_json(line); !done)
    return fail(errc::invalid_argument, name + ": " + done.error().message);
  return {};
}

/// Stores every line. On a failure what was good before it is stored, and `line` is the number of
/// the first line that is not.
result<void> put_lines(std::istream& in, putter& to, std::uint64_t& line) {
  std::string text;
  std::uint64_t first_unstored = 1;
  for (std::uint64_t number = 1; std::getline(in, text); ++number) {
    if (!text.empty() && text.back() == '\r')
      text.pop_back();
    if (text.find_first_not_of(" \t") == std::string::npos)
      continue;
    if (auto good = check_line(text, number); !good) {
      line = first_unstored;
      if (auto done = to.flush(); !done)
        return done;
      line = number;
      return good;
    }
    auto before = to.stored();
    auto done = to.add(std::move(text));
    if (!done) {
      line = first_unstored;
      return done;
    }
    if (to.stored() != before)
      first_unstored = number + 1;
    text.clear();
  }
  line = first_unstored;
  return to.flush();
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

int run(const environment& env, const put_arguments& args) {
  auto patience = config::parse_duration(args.wait);
  if (!patience)
    return complain(env, {errc::invalid_argument, "--wait: " + patience.error().message});
  std::ifstream file;
  if (args.file != "-") {
    file.open(args.file, std::ios::binary);
    if (!file || std::filesystem::is_directory(args.file))
      return complain(env, {errc::not_found, "cannot read " + args.file});
  }
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  putter to{env, **head, args, *patience};
  std::uint64_t line = 0;
  auto done = put_lines(args.file == "-" ? env.in : file, to, line);
  to.end_progress();
  auto stored =
    count_text(to.stored()) + (to.stored() == 1 ? " record is" : " records are") + " in queue/" + args.queue;
  if (done) {
    if (args.client->format() == output::json) {
      client::api::QueuePutReply reply;
      reply.set_count(to.stored());
      env.out << to_json(reply);
    }
    env.err << stored << "\n";
    if (to.stored() > 0 && !is_read(**head, args.queue))
      env.err << "note: no flow reads queue/" << args.queue
              << " yet; what is in it waits for one that does\n";
    return ok;
  }
  auto code = complain(env, done.error());
  env.err << stored << ", all from before line " << line << "; nothing from there on was stored\n";
  if (args.file != "-")
    env.err << "continue with: tail -n +" << line << " '" << args.file << "' | sluice queue put "
            << args.queue << " -\n";
  return code;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<put_arguments>();
  app.add_option("QUEUE", args->queue, "where to put them; made if it is not there")->required();
  app.add_option("FILE", args->file, "JSON Lines: one record per line; - is the standard input")->required();
  app.add_option("--batch", args->batch, "records per request [1000]")
    ->type_name("COUNT")
    ->check(count_check(1, limits::block_count_max));
  app.add_option("--wait", args->wait, "how long to wait for a head that is away [60s]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command queue_put_command{
  "put", "Put records at the end of a queue",
  "Every line is checked; at the first that is not JSON it stops, says which, and what came before\n"
  "is stored. When it returns, the records are on disk.",
  "  sluice queue put orders orders.jsonl\n"
  "  echo '{\"id\": 1}' | sluice queue put orders -",
  declare};

} // namespace sluice::cli
