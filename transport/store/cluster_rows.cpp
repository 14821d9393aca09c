#include "transport/store/cluster_rows.hpp"

#include <sluice/codec/utf8.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <exception>

namespace sluice::store {

namespace {

namespace json = boost::json;
using namespace cluster;

std::int64_t to_number(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

/// Texts of user code and of other processes may be no UTF-8, and what is stored must be read again.
std::string valid_text(std::string_view text) {
  return codec::is_utf8(text) ? std::string{text} : codec::to_utf8(text);
}

std::string stored_text(const json::value& row) { return valid_text(boost::json::serialize(row)); }

json::object to_json_object(const scale_map& scale) {
  json::object object;
  for (const auto& [processor, count] : scale)
    object[processor.value] = count;
  return object;
}

/// Reads one object; a member that is not there leaves its target alone.
class reader {
public:
  explicit reader(std::string_view text)
    : value_(json::parse(valid_text(text))), object_(value_.as_object()) {}

  const json::value* find(std::string_view name) const { return object_.if_contains(name); }

  void get(std::string_view name, std::string& to) const {
    if (const auto* found = find(name))
      to = std::string{found->as_string()};
  }
  template <class Tag>
  void get(std::string_view name, strong_name<Tag>& to) const {
    get(name, to.value);
  }
  template <class Tag>
  void get(std::string_view name, strong_number<Tag>& to) const {
    get(name, to.value);
  }
  void get(std::string_view name, std::uint64_t& to) const {
    if (const auto* found = find(name))
      to = found->to_number<std::uint64_t>();
  }
  void get(std::string_view name, double& to) const {
    if (const auto* found = find(name))
      to = found->to_number<double>();
  }
  void get(std::string_view name, bool& to) const {
    if (const auto* found = find(name))
      to = found->as_bool();
  }
  void get(std::string_view name, std::chrono::system_clock::time_point& to) const {
    if (const auto* found = find(name))
      to =
        std::chrono::system_clock::time_point{std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds{found->to_number<std::int64_t>()})};
  }
  void get(std::string_view name, scale_map& to) const {
    if (const auto* found = find(name))
      for (const auto& [key, count] : found->as_object())
        to[processor_name{std::string{key}}] = count.to_number<std::uint32_t>();
  }

private:
  json::value value_;
  const json::object& object_;
};

/// Runs `read`; what it throws becomes a failure.
template <class Read>
result<void> reading(std::string_view text, Read read) {
  try {
    return read(reader{text});
  } catch (const std::exception& what) {
    return fail(errc::corrupt, what.what());
  }
}

} // namespace

std::string encode(const stored_node& row) {
  json::object labels;
  for (const auto& [name, value] : row.info.labels)
    labels[name] = value;
  return stored_text(json::object{{"id", row.info.id.value},
                                  {"started_high", row.info.started.bits[0]},
                                  {"started_low", row.info.started.bits[1]},
                                  {"address", row.info.address},
                                  {"cpus", row.info.cpus},
                                  {"memory_bytes", row.info.memory_bytes},
                                  {"labels", std::move(labels)},
                                  {"sluice_version", row.info.sluice_version},
                                  {"is_head", row.info.is_head},
                                  {"http_address", row.info.http_address},
                                  {"drain_requested", row.drain_requested},
                                  {"gone", row.gone}});
}

result<void> decode(std::string_view text, stored_node& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("id", row.info.id);
    from.get("started_high", row.info.started.bits[0]);
    from.get("started_low", row.info.started.bits[1]);
    from.get("address", row.info.address);
    from.get("cpus", row.info.cpus);
    from.get("memory_bytes", row.info.memory_bytes);
    if (const auto* labels = from.find("labels"))
      for (const auto& [name, value] : labels->as_object())
        row.info.labels[std::string{name}] = std::string{value.as_string()};
    from.get("sluice_version", row.info.sluice_version);
    from.get("is_head", row.info.is_head);
    from.get("http_address", row.info.http_address);
    from.get("drain_requested", row.drain_requested);
    from.get("gone", row.gone);
    return {};
  });
}

namespace {

json::value to_json_value(const std::optional<flow_end>& end) {
  if (!end)
    return nullptr;
  json::object batches;
  for (const auto& [processor, batch] : end->batches)
    batches[processor.value] = json::object{{"run", batch.run},
                                            {"phase", static_cast<std::uint64_t>(batch.phase)},
                                            {"source_bytes", batch.source_bytes},
                                            {"done_bytes", batch.done_bytes},
                                            {"records_in", batch.records_in},
                                            {"records_out", batch.records_out},
                                            {"rejected", batch.rejected},
                                            {"took_ms", batch.took.count()},
                                            {"error", batch.error}};
  return json::object{
    {"is_complete", end->is_complete}, {"detail", end->detail}, {"batches", std::move(batches)}};
}

std::optional<flow_end> flow_end_from(const json::value* found) {
  if (!found || found->is_null())
    return std::nullopt;
  flow_end end;
  end.is_complete = found->at("is_complete").as_bool();
  end.detail = std::string{found->at("detail").as_string()};
  for (const auto& [name, batch] : found->at("batches").as_object()) {
    const auto number = [&batch = batch](const char* member) {
      return batch.at(member).to_number<std::uint64_t>();
    };
    auto& one = end.batches[processor_name{std::string{name}}];
    one.run = number("run");
    one.phase = static_cast<host::batch_phase>(
      std::min<std::uint64_t>(number("phase"), static_cast<std::uint64_t>(host::batch_phase::failed)));
    one.source_bytes = number("source_bytes");
    one.done_bytes = number("done_bytes");
    one.records_in = number("records_in");
    one.records_out = number("records_out");
    one.rejected = number("rejected");
    one.took = std::chrono::milliseconds{number("took_ms")};
    one.error = std::string{batch.at("error").as_string()};
  }
  return end;
}

} // namespace

std::string encode(const stored_flow& row) {
  return stored_text(json::object{{"name", row.name.value},
                                  {"current", row.current.value},
                                  {"target", row.target.value},
                                  {"counted", row.counted.value},
                                  {"scale", to_json_object(row.scale)},
                                  {"scale_before", to_json_object(row.scale_before)},
                                  {"draining", row.draining},
                                  {"deleting", row.deleting},
                                  {"update_error", row.update_error},
                                  {"end", to_json_value(row.end)}});
}

result<void> decode(std::string_view text, stored_flow& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("name", row.name);
    from.get("current", row.current);
    from.get("target", row.target);
    from.get("counted", row.counted);
    from.get("scale", row.scale);
    from.get("scale_before", row.scale_before);
    from.get("draining", row.draining);
    from.get("deleting", row.deleting);
    from.get("update_error", row.update_error);
    row.end = flow_end_from(from.find("end"));
    return {};
  });
}

std::string encode(const stored_version& row) {
  json::array args;
  for (const auto& one : row.args)
    args.emplace_back(one);
  json::object env;
  for (const auto& [name, value] : row.env)
    env[name] = value;
  return stored_text(json::object{{"flow", row.flow.value},
                                  {"version", row.version.value},
                                  {"artifact", row.artifact.value},
                                  {"artifact_size_bytes", row.artifact_size_bytes},
                                  {"args", std::move(args)},
                                  {"env", std::move(env)},
                                  {"spec", to_json(row.spec)},
                                  {"submitted_at_ns", to_number(row.submitted_at)}});
}

result<void> decode(std::string_view text, stored_version& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("flow", row.flow);
    from.get("version", row.version);
    from.get("artifact", row.artifact);
    from.get("artifact_size_bytes", row.artifact_size_bytes);
    if (const auto* args = from.find("args"))
      for (const auto& one : args->as_array())
        row.args.emplace_back(one.as_string());
    if (const auto* env = from.find("env"))
      for (const auto& [name, value] : env->as_object())
        row.env.emplace(name, value.as_string());
    std::string spec_text;
    from.get("spec", spec_text);
    auto spec = flow_spec_from_json(spec_text);
    if (!spec)
      return fail(errc::corrupt, spec.error().message);
    row.spec = std::move(*spec);
    from.get("submitted_at_ns", row.submitted_at);
    return {};
  });
}

std::string encode(const stored_replica& row) {
  return stored_text(json::object{{"id", row.id.value},
                                  {"flow", row.flow.value},
                                  {"processor", row.processor.value},
                                  {"version", row.version.value},
                                  {"node", row.node.value},
                                  {"drains", row.goal == host::replica_goal::drain}});
}

result<void> decode(std::string_view text, stored_replica& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("id", row.id);
    from.get("flow", row.flow);
    from.get("processor", row.processor);
    from.get("version", row.version);
    from.get("node", row.node);
    bool drains = false;
    from.get("drains", drains);
    row.goal = drains ? host::replica_goal::drain : host::replica_goal::run;
    return {};
  });
}

std::string encode(const stored_answer& row) {
  return stored_text(json::object{{"number", row.number},
                                  {"request_id", row.request_id},
                                  {"version", row.reply.version.value},
                                  {"is_new", row.reply.is_new}});
}

result<void> decode(std::string_view text, stored_answer& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("number", row.number);
    from.get("request_id", row.request_id);
    from.get("version", row.reply.version);
    from.get("is_new", row.reply.is_new);
    return {};
  });
}

std::string encode(const event_view& row) {
  return stored_text(json::object{{"id", row.id},
                                  {"at_ns", to_number(row.at)},
                                  {"severity", row.severity},
                                  {"subject", row.subject},
                                  {"text", row.text}});
}

result<void> decode(std::string_view text, event_view& row) {
  return reading(text, [&](const reader& from) -> result<void> {
    from.get("id", row.id);
    from.get("at_ns", row.at);
    from.get("severity", row.severity);
    from.get("subject", row.subject);
    from.get("text", row.text);
    return {};
  });
}

} // namespace sluice::store
