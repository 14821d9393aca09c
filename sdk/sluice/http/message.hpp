#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// The methods that a route may have, and those that the ingress answers by itself
/// (HEAD from GET, OPTIONS from the routes of a path).
enum class method : std::uint8_t { get, post, put, patch, delete_, head, options };

/// As on the wire: "GET".
std::string_view to_string(method value) noexcept;
/// Methods are case-sensitive (RFC 9110 §9.1).
std::optional<method> method_from(std::string_view text) noexcept;

/// Whether repeating a request has the effect of sending it once (RFC 9110 §9.2.2), so
/// that it may be given to another replica when the first one dies with it.
constexpr bool is_idempotent(method value) noexcept {
  return value != method::post && value != method::patch;
}

/// Whether a request of this method brings a body that means something (RFC 9110 §9.3).
constexpr bool method_has_body(method value) noexcept {
  return value == method::post || value == method::put || value == method::patch;
}

/// Header fields in order. Names compare without case; there are few, so look-up is a walk.
class headers {
public:
  using field = std::pair<std::string, std::string>;

  headers() = default;
  headers(std::initializer_list<field> fields) : fields_(fields) {}

  /// The first value of that name, or none. Valid until the next change.
  std::optional<std::string_view> find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
  std::size_t count(std::string_view name) const noexcept;

  /// Appends, whether or not there is one of that name.
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  /// Replaces all of that name.
  void set(std::string_view name, std::string value);
  void erase(std::string_view name);

  void reserve(std::size_t count) { fields_.reserve(count); }
  std::size_t size() const noexcept { return fields_.size(); }
  bool empty() const noexcept { return fields_.empty(); }
  auto begin() const noexcept { return fields_.begin(); }
  auto end() const noexcept { return fields_.end(); }

  friend bool operator==(const headers&, const headers&) = default;

private:
  std::vector<field> fields_;
};

/// A request as the ingress read it: one Host, a body within the route's bound, any
/// transfer coding undone.
struct request {
  sluice::method method = sluice::method::get;
  std::string path;  ///< as sent, without the query; not decoded
  std::string query; ///< as sent, without the '?'
  sluice::headers headers;
  std::string body;
  std::string client;                                           ///< "address:port"
  std::string id;                                               ///< X-Request-Id, made up if there was none
  std::vector<std::pair<std::string, std::string>> params = {}; ///< of the route, decoded: {"id", "7"}

  /// The parameter of the route's path, decoded; empty if the route has none of that name.
  std::string_view param(std::string_view name) const noexcept;
  /// The first query field of that name, decoded. Walks the query at each call.
  std::optional<std::string> query_field(std::string_view name) const;
};

/// Of what a client asks for: method, path, query and body, byte by byte. Never 0; may be stored.
std::uint64_t fingerprint_of(const request& in) noexcept;

/// An answer. Content-Length, Date, Connection and Server are the ingress's affair.
struct response {
  unsigned status = 200;
  sluice::headers headers = {};
  std::string body = {};
};

/// What is no valid HTTP about it, for who made it: "its status 99 is none"; none if it can be sent.
std::optional<std::string> find_flaw(const response& answer);

/// Thrown by an endpoint: the client gets this status and {"error": text}.
class http_error : public std::runtime_error {
public:
  /// @pre `status` from 400 to 599; another is 500
  http_error(unsigned status, const std::string& text)
    : std::runtime_error(text), status_(status >= 400 && status <= 599 ? status : 500) {}

  unsigned status() const noexcept { return status_; }

private:
  unsigned status_;
};

/// A status that the code of a route throws as `http_error`, and what it means there: for the documents.
struct documented_error {
  unsigned status = 0;
  std::string description = {};

  friend bool operator==(const documented_error&, const documented_error&) = default;
};

/// The reason phrase, "Not Found"; "Unknown" for a status that has none.
std::string_view status_text(unsigned status) noexcept;

/// How a route tells failures: {"error": text}, and a collector {"success":false,"error": text}.
enum class error_form : std::uint8_t { plain, collector };

/// What a collector says once the sink has everything.
response collected_response();

response error_response(unsigned status, std::string_view text, error_form form = error_form::plain);

} // namespace sluice
