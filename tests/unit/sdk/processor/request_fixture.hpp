#pragma once

#include "tests/support/fake_exchange.hpp"
#include "tests/support/manual_executor.hpp"

#include <sluice/processor/collector.hpp>
#include <sluice/processor/endpoint.hpp>

#include <doctest/doctest.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <string>

/// Requests to user code behind endpoints and collectors, without anything between.
namespace sluice {

using test::fake_answer;
using test::fake_exchange;

template <class Target>
std::unique_ptr<request_body> endpoint_of(bool has_body, std::optional<route_guard> guard = {},
                                          std::shared_ptr<processor::value_factories> factories = {}) {
  if (!factories)
    factories = std::make_shared<processor::value_factories>();
  return processor::endpoint_factory<Target>({{"lookup", false}, has_body, std::move(guard), factories})();
}

template <auto Function>
std::unique_ptr<request_body> endpoint_of(bool has_body, std::optional<route_guard> guard = {}) {
  return endpoint_of<processor::function_target<Function>>(has_body, std::move(guard));
}

template <auto Function>
std::unique_ptr<request_body> collector_of(bool has_body) {
  return processor::collector_factory<processor::function_target<Function>>(
    {{"ingest", true}, has_body, {}, std::make_shared<processor::value_factories>()})();
}

inline request get(std::string path, std::string query = {}) {
  request in;
  in.path = std::move(path);
  in.query = std::move(query);
  in.id = "req-1";
  return in;
}

inline request post(std::string body, std::string content_type = "application/json") {
  request in;
  in.method = method::post;
  in.path = "/orders";
  in.body = std::move(body);
  in.id = "req-1";
  if (!content_type.empty())
    in.headers.add("Content-Type", std::move(content_type));
  return in;
}

/// "200 application/json {...}" of a call that ends at once.
inline std::string shown(const response& answer) {
  std::string text = std::to_string(answer.status);
  if (auto type = answer.headers.find("Content-Type"))
    text.append(" ").append(*type);
  return answer.body.empty() ? text : text + " " + answer.body;
}

inline std::string call(request_body& body, request in) {
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  encoded_results results;
  CHECK_FALSE(body.handle(exchange, results));
  CHECK(exchange->seen->ends() == 1);
  CHECK(results.count() == 0);
  auto answer = exchange->seen->answer();
  return answer ? shown(*answer) : "none";
}

/// What is written to stderr while it lives.
class captured_log {
public:
  captured_log() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~captured_log() { std::cerr.rdbuf(before_); }
  captured_log(const captured_log&) = delete;
  captured_log& operator=(const captured_log&) = delete;

  std::string text() const { return text_.str(); }

private:
  std::ostringstream text_;
  std::streambuf* before_;
};

} // namespace sluice
