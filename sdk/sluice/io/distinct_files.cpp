#include <sluice/io/distinct_files.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sluice {

namespace {

namespace fs = std::filesystem;

/// Where it leads; empty for what is no file, and for a device: on a terminal /dev/stdin and /dev/stdout are one.
fs::path place_of(const std::string& path) {
  if (path.empty())
    return {};
  std::error_code error;
  if (fs::is_other(path, error))
    return {};
  auto place = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? fs::path{path} : place;
}

std::string path_of(const io_spec& io) {
  const auto path = io.options.find("path");
  return io.kind == "file" && path != io.options.end() ? path->second : std::string{};
}

} // namespace

result<void> check_distinct_files(const processor_spec& spec) {
  const auto source = place_of(path_of(spec.source));
  const auto sink = place_of(path_of(spec.sink));
  const auto rejected = place_of(spec.batch ? spec.batch->rejected : std::string{});
  const auto refuse = [&](std::string_view what, const fs::path& which, std::string_view other) {
    return fail(errc::invalid_argument, std::string{what} + ": " + which.string() + " is the file of the "
                                          + std::string{other} + ", by another name; name another one");
  };
  std::error_code ignored;
  const bool appends = !spec.batch && !source.empty() && !sink.empty();
  if (!source.empty() && (source == sink || (appends && fs::equivalent(source, sink, ignored))))
    return refuse("sink", sink, "source");
  if (!rejected.empty() && rejected == source)
    return refuse("rejected", rejected, "source");
  if (!rejected.empty() && rejected == sink)
    return refuse("rejected", rejected, "sink");
  return {};
}

} // namespace sluice
