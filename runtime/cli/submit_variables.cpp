#include "runtime/cli/submit_variables.hpp"

#include "runtime/cli/input.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <cstdint>

namespace sluice::cli {

namespace {

failure wrong(const std::string& where, std::string_view why) {
  return {errc::invalid_argument, where + ": " + std::string{why}};
}

/// One line of a file. The text before '=' is not repeated when it is no name: it may be part of a secret.
result<void> take_line(const std::string& line, const std::string& where, flow_variables& to) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos || line[begin] == '#')
    return {};
  const auto equals = line.find('=');
  if (equals == std::string::npos)
    return tl::unexpected{wrong(where, "the line is not NAME=VALUE")};
  auto name = line.substr(begin, equals - begin);
  auto value = line.substr(equals + 1);
  if (auto mistake = variable_name_mistake(name); !mistake.empty())
    return tl::unexpected{wrong(where, mistake)};
  if (auto mistake = variable_value_mistake(value); !mistake.empty())
    return tl::unexpected{wrong(where, name + ": " + std::string{mistake})};
  to.insert_or_assign(std::move(name), std::move(value));
  return {};
}

result<void> take_file(const environment& env, const std::string& file, flow_variables& to) {
  auto read = env.open_input(file);
  if (!read)
    return fail(read);
  const auto shown = file == "-" ? std::string{"standard input"} : file;
  line_reader lines{std::move(*read)};
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  for (bool is_at_end = false;;) {
    while (auto line = lines.next()) {
      const auto where = shown + ":" + std::to_string(++number);
      bytes += line->size();
      if (bytes > limits::variables_file_bytes_max)
        return tl::unexpected{wrong(where, "a file of variables has at most "
                                             + std::to_string(limits::variables_file_bytes_max >> 10)
                                             + " KiB")};
      if (auto done = take_line(*line, where, to); !done)
        return done;
    }
    if (is_at_end)
      return {};
    auto came = lines.fill(std::nullopt);
    if (!came)
      return fail(came);
    if (*came == input_piece::outcome::signal)
      return fail(errc::cancelled, "interrupted while reading " + shown);
    is_at_end = *came == input_piece::outcome::end;
  }
}

} // namespace

result<flow_variables> read_variables(const environment& env, const std::vector<std::string>& files,
                                      const std::vector<std::string>& given) {
  if (std::count(files.begin(), files.end(), "-") > 1)
    return fail(
      errc::invalid_argument,
      "--env-file - was given twice: the standard input can be read once only, and the second time it is "
      "empty");
  flow_variables all;
  for (const auto& file : files)
    if (auto done = take_file(env, file, all); !done)
      return fail(done);
  for (const auto& one : given) {
    const auto equals = one.find('=');
    auto name = one.substr(0, equals);
    if (auto mistake = variable_name_mistake(name); !mistake.empty())
      return tl::unexpected{wrong("--env '" + name + "'", mistake)};
    std::optional<std::string> value;
    if (equals != std::string::npos)
      value = one.substr(equals + 1);
    else
      value = env.variable(name);
    if (!value)
      return tl::unexpected{
        wrong("--env " + name, "your environment has no such variable; set it, or write " + name + "=VALUE")};
    if (auto mistake = variable_value_mistake(*value); !mistake.empty())
      return tl::unexpected{wrong("--env " + name, mistake)};
    all.insert_or_assign(std::move(name), std::move(*value));
  }
  if (auto done = check_variables(all); !done)
    return fail(done);
  return all;
}

} // namespace sluice::cli
