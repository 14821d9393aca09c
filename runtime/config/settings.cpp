#include "runtime/config/settings.hpp"

#include "runtime/config/quantity.hpp"
#include "runtime/config/suggest.hpp"

#include <sluice/core/disk_errc.hpp>

#include <toml++/toml.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/stat.h>

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t queue_bytes_min = 32u << 20; ///< less has no room for what consumers have in hand

constexpr std::array settings_table{
  setting{"head", "false", "run the head of a cluster"},
  setting{"worker", "true", "run flows on this node; only a head can do without"},
  setting{"address", "", "HOST:PORT of the head to join, or auto: the head on this machine"},
  setting{"state-dir", "",
          "folder for this node's state, made private or private already; default: below $SLUICE_HOME or "
          "~/.sluice"},
  setting{"listen", "127.0.0.1", "IP address to listen on; 0.0.0.0 lets other machines in"},
  setting{"link-port", "7410", "port for workers; a head keeps the one it had; 0 = any free one"},
  setting{"control-port", "7411", "port for clients elsewhere; 0 = any free one"},
  setting{"relay-port", "0", "port for requests from other nodes to replicas here; 0 = any free one"},
  setting{"http", "127.0.0.1:8000", "HOST:PORT where flows' routes are served; port 0 = any free one"},
  setting{"http-certificate", "", "PEM file with certificate and chain: serve routes over TLS"},
  setting{"http-key", "", "PEM file with the certificate's key"},
  setting{"http-client-rate", "0",
          "HTTP requests per second that one client address may send to this node; 0 = any"},
  setting{"http-docs", "true", "serve /openapi.json and /docs, which show the routes of all flows"},
  setting{"access-log", "true", "a line per answered HTTP request, in access-log/ of the state folder"},
  setting{"cpus", "", "CPU slots to offer; default: all of the machine"},
  setting{"memory", "", "memory to offer, for example 8GiB; default: all of the machine"},
  setting{"queue-size-max", "",
          "head: size that all queues together may have on disk; default: what it holds"},
  setting{"labels", "", "KEY=VALUE,... shown with the node"},
  setting{"join-token-file", "", "file with the join token; or SLUICE_JOIN_TOKEN"},
  setting{"log-level", "info", "debug, info, warning or error"},
  setting{"control", "", "where the head is: unix:PATH or HOST:PORT; default: the head on this machine"},
  setting{"token-file", "", "file with the cluster token, for HOST:PORT; or SLUICE_TOKEN"},
  setting{"ca-pin", "", "fingerprint of the cluster's CA, for HOST:PORT"},
  setting{"timeout", "10s", "how long to wait for one answer of the head"},
};

std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const auto& one : settings_table)
    all.push_back(one.name);
  return all;
}

std::string to_flag_spelling(std::string_view key) {
  std::string name{key};
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// A TOML value as the text a flag would have.
std::optional<std::string> text_of(const toml::node& node) {
  std::ostringstream text;
  if (auto value = node.value_exact<std::string>())
    return *value;
  if (auto value = node.value_exact<bool>())
    return *value ? "true" : "false";
  if (auto value = node.value_exact<std::int64_t>())
    return std::to_string(*value);
  if (auto value = node.value_exact<double>()) {
    text << *value;
    return text.str();
  }
  return std::nullopt;
}

/// `[labels]` as "key=value,...".
std::optional<std::string> labels_of(const toml::table& table) {
  std::string all;
  for (auto&& [key, node] : table) {
    auto value = text_of(node);
    if (!value)
      return std::nullopt;
    all += (all.empty() ? "" : ",") + std::string{key.str()} + "=" + *value;
  }
  return all;
}

result<std::string> read_text(const fs::path& path) {
  const auto cannot = [&](int error) {
    return fail(error == EISDIR ? errc::invalid_argument : errc_of_disk(error, errc::not_found),
                "cannot read " + path.string() + ": " + std::strerror(error));
  };
  std::ifstream in{path, std::ios::binary};
  if (!in)
    return cannot(errno);
  if (std::error_code unknown; fs::is_directory(path, unknown))
    return cannot(EISDIR);
  std::ostringstream text;
  if (!(text << in.rdbuf() || text.str().empty()) || in.bad())
    return cannot(EIO);
  return text.str();
}

result<void> add_file(settings& to, const fs::path& path) {
  auto text = read_text(path);
  if (!text)
    return fail(text);
  toml::table table;
  try {
    table = toml::parse(*text, path.string());
  } catch (const toml::parse_error& why) {
    return fail(errc::invalid_argument, path.string() + ":" + std::to_string(why.source().begin.line) + ": "
                                          + std::string{why.description()});
  }
  to.file = path.string();
  for (auto&& [key, node] : table) {
    auto where = path.string() + ":" + std::to_string(key.source().begin.line);
    auto name = to_flag_spelling(key.str());
    auto found = to.values.find(name);
    if (found == to.values.end()) {
      auto known = names();
      return fail(errc::invalid_argument,
                  where + ": unknown key '" + std::string{key.str()} + "'" + did_you_mean(name, known));
    }
    auto value = name == "labels" && node.is_table() ? labels_of(*node.as_table()) : text_of(node);
    if (!value)
      return fail(errc::invalid_argument,
                  where + ": '" + std::string{key.str()} + "' must be a text, a number or true/false");
    found->second = {*value, where};
  }
  return {};
}

result<void> check_port(const settings& from, std::string_view name, std::uint16_t& to) {
  auto port = parse_count(from.text(name), 0, 65535);
  if (!port)
    return tl::unexpected{from.wrong(name, port.error())};
  to = static_cast<std::uint16_t>(*port);
  return {};
}

result<bool> flag_of(const settings& from, std::string_view name) {
  auto value = parse_bool(from.text(name));
  if (!value)
    return tl::unexpected{from.wrong(name, value.error())};
  return *value;
}

result<void> check_role(const node_options& options, const settings& from) {
  if (options.head && !options.address.empty())
    return fail(errc::invalid_argument, "a node is a head or joins one: --head and --address ("
                                          + from.at("address").origin + ") exclude each other");
  if (!options.head && options.address.empty())
    return fail(errc::invalid_argument,
                "start what? `sluice start --head` starts a cluster, `sluice start --address "
                "HOST:PORT` joins one (`--address auto`: the one on this machine)");
  if (!options.head && !options.worker)
    return fail(errc::invalid_argument, "only a head can do without a worker: --no-worker needs --head");
  return {};
}

/// The names that are resolved are those of others; to listen takes an address.
result<void> check_listen(const settings& from) {
  const auto& text = from.text("listen");
  in6_addr bytes{};
  if (text == "localhost" || ::inet_pton(AF_INET, text.c_str(), &bytes) == 1
      || ::inet_pton(AF_INET6, text.c_str(), &bytes) == 1)
    return {};
  return tl::unexpected{
    from.wrong("listen", {errc::invalid_argument,
                          "'" + text + "' is no IP address; write for example 127.0.0.1 or 0.0.0.0"})};
}

result<void> check_log_level(const node_options& options, const settings& from) {
  constexpr std::array<std::string_view, 4> levels{"debug", "info", "warning", "error"};
  if (std::find(levels.begin(), levels.end(), options.log_level) == levels.end())
    return tl::unexpected{
      from.wrong("log-level", {errc::invalid_argument, "'" + options.log_level
                                                         + "' is not debug, info, "
                                                           "warning or error"
                                                         + did_you_mean(options.log_level, levels)})};
  return {};
}

} // namespace

std::span<const setting> all_settings() { return settings_table; }

std::string variable_of(std::string_view name) {
  std::string variable = "SLUICE_";
  for (char c : name)
    variable.push_back(c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  return variable;
}

const setting_value& settings::at(std::string_view name) const {
  auto found = values.find(name);
  if (found == values.end())
    throw std::logic_error{"no setting is called " + std::string{name}};
  return found->second;
}

const std::string& settings::text(std::string_view name) const { return at(name).text; }

failure settings::wrong(std::string_view name, const failure& why) const {
  return {why.code, std::string{name} + " (" + at(name).origin + "): " + why.message};
}

std::vector<fs::path> default_search(const variable_reader& variable) {
  std::vector<fs::path> paths{"sluice.toml"};
  if (auto config = variable("XDG_CONFIG_HOME"); config && !config->empty())
    paths.push_back(fs::path{*config} / "sluice" / "config.toml");
  else if (auto home = variable("HOME"); home && !home->empty())
    paths.push_back(fs::path{*home} / ".config" / "sluice" / "config.toml");
  paths.emplace_back("/etc/sluice/config.toml");
  return paths;
}

result<settings> load_settings(const setting_sources& from) {
  settings to;
  for (const auto& one : settings_table)
    to.values.emplace(one.name, setting_value{std::string{one.fallback}, "default"});
  if (!from.config_file.empty()) {
    if (auto done = add_file(to, from.config_file); !done)
      return fail(done);
  } else {
    std::error_code ignored;
    auto found = std::find_if(from.search.begin(), from.search.end(),
                              [&](const fs::path& path) { return fs::exists(path, ignored); });
    if (found != from.search.end())
      if (auto done = add_file(to, *found); !done)
        return fail(done);
  }
  for (auto& [name, value] : to.values)
    if (auto text = from.variable(variable_of(name)); text && !text->empty())
      value = {*text, "environment " + variable_of(name)};
  for (const auto& [name, text] : from.flags)
    to.values.at(name) = {text, "flag --" + name};
  return to;
}

result<fs::path> base_dir(const variable_reader& variable) {
  if (auto home = variable("SLUICE_HOME"); home && !home->empty())
    return fs::absolute(*home);
  if (auto home = variable("HOME"); home && !home->empty())
    return fs::path{*home} / ".sluice";
  return fail(errc::invalid_argument, "neither SLUICE_HOME nor HOME is set: there is no place for state");
}

namespace {

/// The public listener.
result<void> convert_http(const settings& from, node_options& to) {
  to.http = from.text("http");
  to.http_or_any = from.is_default("http");
  to.http_certificate = from.text("http-certificate");
  to.http_key = from.text("http-key");
  if (to.http_certificate.empty() != to.http_key.empty())
    return tl::unexpected{
      from.wrong(to.http_key.empty() ? "http-key" : "http-certificate",
                 {errc::invalid_argument, "certificate and key go together; give both or neither"})};
  auto rate = parse_count(from.text("http-client-rate"), 0, 1'000'000);
  if (!rate)
    return tl::unexpected{from.wrong("http-client-rate", rate.error())};
  to.http_client_rate = static_cast<std::uint32_t>(*rate);
  auto docs = flag_of(from, "http-docs");
  if (!docs)
    return fail(docs);
  to.http_docs = *docs;
  auto access_log = flag_of(from, "access-log");
  if (!access_log)
    return fail(access_log);
  to.access_log = *access_log;
  return {};
}

/// All but what one setting has to do with another.
result<node_options> convert(const settings& from) {
  node_options to;
  auto head = flag_of(from, "head");
  auto worker = flag_of(from, "worker");
  if (!head || !worker)
    return fail(!head ? head : worker);
  to.head = *head;
  to.worker = *worker;
  to.address = from.text("address");
  to.state_dir = from.text("state-dir");
  if (auto done = check_listen(from); !done)
    return fail(done);
  to.listen = from.text("listen");
  to.log_level = from.text("log-level");
  if (auto done = check_port(from, "link-port", to.link_port); !done)
    return fail(done);
  to.link_port_given = !from.is_default("link-port");
  if (auto done = check_port(from, "control-port", to.control_port); !done)
    return fail(done);
  to.listen_given = !from.is_default("listen");
  if (auto done = check_port(from, "relay-port", to.relay_port); !done)
    return fail(done);
  if (auto done = convert_http(from, to); !done)
    return fail(done);
  if (!from.text("cpus").empty()) {
    auto cpus = parse_cpus(from.text("cpus"));
    if (!cpus)
      return tl::unexpected{from.wrong("cpus", cpus.error())};
    to.cpus = *cpus;
  }
  if (!from.text("memory").empty()) {
    auto memory = parse_size(from.text("memory"));
    if (!memory)
      return tl::unexpected{from.wrong("memory", memory.error())};
    to.memory_bytes = *memory;
  }
  if (!from.text("queue-size-max").empty()) {
    auto size = parse_size(from.text("queue-size-max"));
    if (!size)
      return tl::unexpected{from.wrong("queue-size-max", size.error())};
    if (*size < queue_bytes_min)
      return tl::unexpected{
        from.wrong("queue-size-max",
                   {errc::invalid_argument, "'" + from.text("queue-size-max") + "' is too little: at least "
                                              + std::to_string(queue_bytes_min >> 20) + "MiB"})};
    to.queue_bytes_max = *size;
  }
  auto labels = parse_labels(from.text("labels"));
  if (!labels)
    return tl::unexpected{from.wrong("labels", labels.error())};
  to.labels = std::move(*labels);
  if (auto done = check_log_level(to, from); !done)
    return fail(done);
  return to;
}

} // namespace

result<void> check_values(const settings& from) {
  auto node = convert(from);
  if (!node)
    return fail(node);
  if (auto timeout = parse_timeout(from); !timeout)
    return fail(timeout);
  return {};
}

result<std::chrono::milliseconds> parse_timeout(const settings& from) {
  auto timeout = parse_duration(from.text("timeout"));
  if (!timeout || timeout->count() == 0)
    return tl::unexpected{
      from.wrong("timeout", timeout ? failure{errc::invalid_argument, "it must not be 0"} : timeout.error())};
  return timeout;
}

result<node_options> node_options_of(const settings& from) {
  auto to = convert(from);
  if (!to)
    return to;
  if (auto done = check_role(*to, from); !done)
    return fail(done);
  return to;
}

result<std::string> read_secret(const settings& from, std::string_view file_setting,
                                const std::string& variable, const variable_reader& read,
                                bool must_be_private) {
  const auto& path = from.text(file_setting);
  if (path.empty())
    return read(variable).value_or("");
  struct stat entry {};
  if (must_be_private && ::stat(path.c_str(), &entry) == 0 && (entry.st_mode & 0077) != 0
      && S_ISREG(entry.st_mode))
    return fail(errc::permission_denied,
                "others may read the secret in " + path + "; close it with: chmod 600 " + path);
  auto text = read_text(path);
  if (!text)
    return tl::unexpected{from.wrong(file_setting, text.error())};
  auto end = text->find_last_not_of(" \t\r\n");
  text->erase(end == std::string::npos ? 0 : end + 1);
  if (text->empty())
    return tl::unexpected{from.wrong(file_setting, {errc::invalid_argument, path + " is empty"})};
  return *text;
}

} // namespace sluice::config
