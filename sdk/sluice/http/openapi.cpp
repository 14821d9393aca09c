#include <sluice/codec/codec.hpp>
#include <sluice/codec/schema_text.hpp>
#include <sluice/core/version.hpp>
#include <sluice/http/openapi.hpp>
#include <sluice/http/route.hpp>

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

namespace sluice::http {

namespace {

using codec::quoted;
using names = std::map<std::string, std::string>;

constexpr std::string_view reference_lead = "\"#/components/schemas/";

/// Calls `use(name)` for each schema that a text refers to.
template <class Use>
void for_each_reference(std::string_view text, Use use) {
  for (auto at = text.find(reference_lead); at != std::string_view::npos;
       at = text.find(reference_lead, at)) {
    at += reference_lead.size();
    use(text.substr(at, text.find('"', at) - at));
  }
}

/// The text with its references renamed.
std::string renamed(std::string_view text, const names& new_names) {
  std::string out;
  for (;;) {
    auto at = text.find(reference_lead);
    if (at == std::string_view::npos)
      return out.append(text);
    at += reference_lead.size();
    out.append(text.substr(0, at));
    text.remove_prefix(at);
    std::string name{text.substr(0, text.find('"'))};
    text.remove_prefix(name.size());
    auto found = new_names.find(name);
    out.append(found == new_names.end() ? name : found->second);
  }
}

/// A schema with all that it refers to, so that equal texts mean equal schemas.
std::string whole_text(const std::map<std::string, json_text>& schemas, const std::string& name) {
  std::set<std::string> reached{name};
  std::vector<std::string> open{name};
  while (!open.empty()) {
    auto found = schemas.find(open.back());
    open.pop_back();
    if (found != schemas.end())
      for_each_reference(found->second.text, [&](std::string_view reference) {
        if (reached.emplace(reference).second)
          open.emplace_back(reference);
      });
  }
  std::string text;
  for (const auto& each : reached)
    if (auto found = schemas.find(each); found != schemas.end())
      text.append(each).append(":").append(found->second.text).append("\n");
  return text;
}

/// The name, with a number where somebody else has it.
template <class IsTaken>
std::string free_name(const std::string& name, IsTaken is_taken) {
  auto free = name;
  for (int number = 2; is_taken(free); ++number)
    free = name + "_" + std::to_string(number);
  return free;
}

/// What a component may be called; the name of a header field may have more.
std::string component_key(std::string_view text) {
  std::string key{text};
  for (char& c : key) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    c = is_plain || c == '.' || c == '-' ? c : '_';
  }
  return key;
}

/// The schemas of all processors, each once.
class schema_collection {
public:
  /// Takes the schemas of one processor and returns what they are called here.
  names add(const std::map<std::string, json_text>& schemas) {
    names new_names;
    std::vector<std::string> fresh;
    for (const auto& [name, schema] : schemas) {
      auto text = whole_text(schemas, name);
      auto free = free_name(name, [&](const std::string& each) {
        auto found = whole_.find(each);
        return found != whole_.end() && found->second != text;
      });
      if (whole_.emplace(free, std::move(text)).second)
        fresh.push_back(name);
      new_names.emplace(name, std::move(free));
    }
    for (const auto& name : fresh)
      texts_.emplace(new_names.at(name), renamed(schemas.at(name).text, new_names));
    return new_names;
  }

  const std::map<std::string, std::string>& texts() const noexcept { return texts_; }

private:
  std::map<std::string, std::string> whole_; ///< as its processor gave it
  std::map<std::string, std::string> texts_;
};

/// JSON members, separated by commas.
class object {
public:
  object& add(std::string_view name, std::string_view json) {
    text_.append(text_.empty() ? "{" : ",").append(quoted(name)).append(":").append(json);
    return *this;
  }
  bool empty() const noexcept { return text_.empty(); }
  std::string text() const { return text_.empty() ? "{}" : text_ + "}"; }

private:
  std::string text_;
};

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// Names of a route's parameters in order.
std::vector<std::string> parameters_of(const std::vector<route_segment>& segments) {
  std::vector<std::string> all;
  for (const auto& segment : segments)
    if (segment.kind != segment_kind::literal)
      all.push_back(segment.text);
  return all;
}

/// "/files/{rest...}" as OpenAPI writes it: "/files/{rest}".
std::string path_template(std::string_view route) {
  std::string path{route};
  if (auto dots = path.find("...}"); dots != std::string::npos)
    path.erase(dots, 3);
  if (path.size() > 1 && path.ends_with('/'))
    path.pop_back();
  return path;
}

class document_builder {
public:
  void add(const documented_processor& from) {
    auto part = codec::decode<operation_document>(from.http.openapi);
    auto segments = parse_route(from.http.route);
    if (!part || !segments)
      return;
    auto mine = parameters_of(*segments);
    auto shape = route_shape(from.http.route);
    auto at = paths_.find(shape);
    if (at == paths_.end()) {
      // "/files/{name}" and "/files/{name...}" are two routes, but one text here: the later one's parameter is renamed.
      auto shown = mine;
      auto text = path_template(from.http.route);
      while (!texts_of_paths_.insert(text).second) {
        const auto last = text.rfind('}');
        text.insert(last, "_");
        shown.back() += "_";
      }
      at = paths_.emplace(shape, path{std::move(text), std::move(shown), {}}).first;
    }
    names new_parameters;
    for (std::size_t i = 0; i < std::min(mine.size(), at->second.parameters.size()); ++i)
      new_parameters.emplace(mine[i], at->second.parameters[i]);
    auto method = lower(to_string(from.http.method));
    if (!at->second.methods.insert(method).second)
      return;
    at->second.operations.add(method, operation(from, *part, new_parameters));
  }

  std::string text(std::string_view title) const {
    object paths;
    for (const auto& [shape, each] : paths_)
      paths.add(each.text, each.operations.text());
    object schemas;
    for (const auto& [name, schema] : schemas_.texts())
      schemas.add(name, schema);
    object security;
    for (const auto& [name, scheme] : security_schemes_)
      security.add(name, scheme);
    object components;
    components.add("schemas", schemas.text());
    if (!security.empty())
      components.add("securitySchemes", security.text());
    object info;
    info.add("title", quoted(title)).add("version", quoted(SLUICE_VERSION));
    object document;
    document.add("openapi", quoted("3.1.0"))
      .add("info", info.text())
      .add("paths", paths.text())
      .add("components", components.text());
    return document.text();
  }

private:
  struct path {
    std::string text;
    std::vector<std::string> parameters;
    object operations;
    std::set<std::string> methods = {};
  };

  std::string operation(const documented_processor& from, const operation_document& part,
                        const names& new_parameters) {
    auto new_names = schemas_.add(part.schemas);
    // Names have dots, too, and while an update changes a route the processor has two.
    const auto id = free_name(from.flow.value + "." + from.processor.value,
                              [&](const std::string& each) { return operation_ids_.contains(each); });
    operation_ids_.insert(id);
    object out;
    out.add("operationId", quoted(id))
      .add("summary", quoted(from.processor.value))
      .add("tags", "[" + quoted(from.flow.value) + "]");
    std::string parameters;
    for (const auto& each : part.parameters) {
      auto found = each.in == "path" ? new_parameters.find(each.name) : new_parameters.end();
      object parameter;
      parameter.add("name", quoted(found == new_parameters.end() ? each.name : found->second))
        .add("in", quoted(each.in))
        .add("required", each.required ? "true" : "false");
      if (each.description)
        parameter.add("description", quoted(*each.description));
      parameter.add("schema", renamed(each.schema.text, new_names));
      parameters.append(parameters.empty() ? "" : ",").append(parameter.text());
    }
    if (!parameters.empty())
      out.add("parameters", "[" + parameters + "]");
    if (part.request_body)
      out.add("requestBody", renamed(part.request_body->text, new_names));
    object responses;
    for (const auto& [status, response] : part.responses)
      responses.add(status, renamed(response.text, new_names));
    out.add("responses", responses.text());
    std::string security;
    for (const auto& [name, scheme] : part.security_schemes)
      security.append(security.empty() ? "" : ",")
        .append("{" + quoted(security_scheme(name, scheme.text)) + ":[]}");
    if (!security.empty())
      out.add("security", "[" + security + "]");
    return out.text();
  }

  /// What a scheme is called here.
  std::string security_scheme(std::string_view name, const std::string& text) {
    auto key = free_name(component_key(name), [&](const std::string& each) {
      auto found = security_schemes_.find(each);
      return found != security_schemes_.end() && found->second != text;
    });
    security_schemes_.emplace(key, text);
    return key;
  }

  std::map<std::string, path> paths_; ///< by shape
  std::set<std::string> texts_of_paths_;
  std::set<std::string> operation_ids_;
  schema_collection schemas_;
  std::map<std::string, std::string> security_schemes_;
};

} // namespace

std::string to_json(const operation_document& document) {
  std::string text;
  return codec::encode(document, text) ? text : std::string{};
}

std::string openapi_document(std::string_view title, const std::vector<documented_processor>& processors) {
  document_builder builder;
  for (const auto& each : processors)
    builder.add(each);
  return builder.text(title);
}

} // namespace sluice::http
