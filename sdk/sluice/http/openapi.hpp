#pragma once

#include <sluice/codec/adapter.hpp>
#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Documentation that writes itself: each processor carries its part in `http_spec::openapi`, made
/// from its types when the flow is built; who serves requests puts the parts together.
namespace sluice::http {

/// A value that a request carries in its path or query.
struct parameter_document {
  std::string name;
  std::string in; ///< "path", "query" or "header"
  bool required = false;
  std::optional<std::string> description;
  json_text schema;
};

/// What `http_spec::openapi` holds, as JSON.
struct operation_document {
  std::vector<parameter_document> parameters;
  std::optional<json_text> request_body;
  std::map<std::string, json_text> responses;        ///< by status, or "default"
  std::map<std::string, json_text> schemas;          ///< what "#/components/schemas/NAME" refers to
  std::map<std::string, json_text> security_schemes; ///< each is enough
};

std::string to_json(const operation_document& document);

/// One row of the document: a processor that takes requests.
struct documented_processor {
  flow_name flow;
  processor_name processor;
  pattern kind = pattern::endpoint;
  http_spec http;
};

/// An OpenAPI 3.1 document of these processors, as JSON. Those without documentation, or whose
/// documentation cannot be read, are left out. Pure: of the same processors it makes the same text.
///
/// Schemas of one name with different contents get a number behind their name; paths that
/// differ in the names of their parameters only are one path with the names of the first.
std::string openapi_document(std::string_view title, const std::vector<documented_processor>& processors);

} // namespace sluice::http
