#include "runtime/run_options.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/name_rule.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace sluice::runtime {

namespace {

/// Splits "--name=value"; the value may also be the next argument.
struct option {
  std::string name;
  std::optional<std::string> value;
};

option split(const std::string& arg) {
  const auto at = arg.find('=');
  if (at == std::string::npos)
    return {arg, std::nullopt};
  return {arg.substr(0, at), arg.substr(at + 1)};
}

result<queue_feed> parse_feed(const std::string& text) {
  const auto at = text.find('=');
  if (at == std::string::npos || at + 1 == text.size())
    return fail(errc::invalid_argument,
                "--put takes QUEUE=FILE, for example --put orders=orders.jsonl, or QUEUE=- "
                "for standard input; got '"
                  + text + "'");
  queue_feed feed{text.substr(0, at), text.substr(at + 1)};
  if (!is_valid_name(feed.queue))
    return fail(errc::invalid_argument,
                "--put: '" + feed.queue + "' is no name of a queue: one has " + std::string{name_rule});
  return feed;
}

} // namespace

result<run_options> parse_run_options(const std::vector<std::string>& args) {
  run_options out;
  const auto end = std::find(args.begin(), args.end(), "--");
  const auto has = [&](const char* name) { return std::find(args.begin(), end, name) != end; };
  if (has("--describe")) {
    out.mode = run_mode::describe;
    return out;
  }
  if (has("--help") || has("-h")) {
    out.mode = run_mode::help;
    return out;
  }
  for (auto at = args.begin(); at != end; ++at) {
    auto [name, value] = split(*at);
    if (*at == "--restart") {
      out.restart = true;
      continue;
    }
    if (*at == "--dead-letters") {
      out.mode = run_mode::dead_letters;
      continue;
    }
    constexpr std::string_view with_value[] = {"--state-dir", "--put",     "--peek",
                                               "--http",      "--requeue", "--access-log"};
    if (std::ranges::find(with_value, name) == std::end(with_value))
      return fail(errc::invalid_argument,
                  "unknown option '" + *at
                    + "'; --help lists them, and what is for your program goes behind --");
    if (!value && at + 1 != end)
      value = *++at;
    if (!value || value->empty())
      return fail(errc::invalid_argument, name + " needs a value");
    if (name == "--state-dir") {
      out.state_dir = *value;
    } else if (name == "--http") {
      out.http = *value;
      out.http_given = true;
    } else if (name == "--access-log") {
      out.access_log_dir = *value;
    } else if (name == "--peek") {
      out.mode = run_mode::peek;
      out.peek_queue = *value;
    } else if (name == "--requeue") {
      out.requeues.push_back(*value);
    } else {
      auto feed = parse_feed(*value);
      if (!feed)
        return fail(feed);
      out.feeds.push_back(std::move(*feed));
    }
  }
  const auto inputs =
    std::count_if(out.feeds.begin(), out.feeds.end(), [](const auto& each) { return each.file == "-"; });
  if (inputs > 1)
    return fail(errc::invalid_argument, "--put: only one queue can be fed from standard input");
  if (out.mode != run_mode::local && !(out.feeds.empty() && out.requeues.empty()))
    return fail(errc::invalid_argument,
                "--peek and --dead-letters only print; --put and --requeue do not go together with them");
  return out;
}

std::vector<std::string> idle_options(const run_options& options, const flow_spec& spec) {
  const auto& all = spec.processors;
  const bool has_routes = std::ranges::any_of(all, [](const auto& each) { return each.http.has_value(); });
  const bool has_batches =
    std::ranges::any_of(all, [](const auto& each) { return each.kind == pattern::batch; });
  std::vector<std::string> out;
  for (const auto& feed : options.feeds) {
    const bool is_read = std::ranges::any_of(all, [&](const auto& each) {
      const auto name = each.source.options.find("name");
      return each.source.kind == "queue" && name != each.source.options.end() && name->second == feed.queue;
    });
    if (!is_read)
      out.push_back("--put " + feed.queue + ": no processor of this flow reads that queue");
  }
  if (options.http_given && !has_routes)
    out.emplace_back("--http has no effect: this flow has no routes");
  if (!options.access_log_dir.empty() && !has_routes)
    out.emplace_back("--access-log has no effect: this flow has no routes");
  if (options.restart && !has_batches)
    out.emplace_back("--restart has no effect: this flow has no batches");
  return out;
}

std::string run_help(const std::string& program, const std::string& flow) {
  return "This program is the Sluice flow '" + flow
         + "'. It answers four ways, chosen by how it is started:\n\n" + "  " + program
         + "                 run by hand: the whole system in this process, until its sources end or Ctrl-C\n"
         + "  sluice submit " + program + "   handed to a cluster: its nodes start it as a host\n" + "  "
         + program + " --describe      prints the flow as JSON; this is what submit reads\n" + "  " + program
         + " --help          says this\n" + R"(
Options when run by hand:
  --put QUEUE=FILE    put each line of FILE into QUEUE; - is standard input; may be repeated
  --peek QUEUE        print what waits in QUEUE and end
  --dead-letters      print the records that failed for good, with their errors, and end
  --requeue QUEUE     put the dead letters of QUEUE back into it, and run; may be repeated
  --http HOST:PORT    where its routes are served; default 127.0.0.1:8000, port 0 picks a free one
  --access-log DIR    a line per answered request goes to files in DIR; default: none
  --state-dir DIR     where queues, and how far batches have come, are kept; default ~/.sluice/local/)"
         + flow + R"(
  --restart           begin batches anew that were interrupted; otherwise they go on where they were
  --                  what follows is for the program itself

Ctrl-C drains: what is in user code is finished and settled, all else stays in its queue. A second
Ctrl-C ends at once; what was in flight is then done again next time.

Exit codes: 0 all done · 1 failed · 2 asked wrongly · 7 done but for dead letters · 130 drained after Ctrl-C
  143 drained after SIGTERM, before its end (a flow that has none, as one with routes: 0)
)";
}

} // namespace sluice::runtime
