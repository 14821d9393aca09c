#pragma once

#include <boost/json/value.hpp>

#include <map>
#include <random>
#include <string>
#include <string_view>

/// JSON Schema, as much of it as `sluice::codec::schema` writes: judges documents and makes up ones that it
/// allows. Throws std::runtime_error at a keyword that it does not know, so that none goes untested.
class json_schema {
public:
  using chance = std::mt19937;

  json_schema(std::string_view schema, const std::map<std::string, std::string>& components);

  /// `format` counts: dates must exist.
  bool allows(const boost::json::value& document) const { return allows(root_, document); }

  /// A document that the schema allows, with nesting that ends about `depth` levels down.
  boost::json::value make(chance& from, int depth = 4) const { return make(root_, from, depth); }

private:
  using value = boost::json::value;
  using object = boost::json::object;

  const value& resolve(const value& schema) const;
  bool allows(const value& schema, const value& document) const;
  bool allows_keyword(const object& schema, std::string_view keyword, const value& rule,
                      const value& document) const;
  bool allows_members(const object& schema, const value& document) const;
  bool allows_elements(const object& schema, const value& document) const;
  value make(const value& schema, chance& from, int depth) const;
  value make_object(const object& schema, chance& from, int depth) const;
  value make_array(const object& schema, chance& from, int depth) const;
  value make_number(const object& schema, chance& from) const;
  value make_string(const object& schema, chance& from) const;

  value root_;
  std::map<std::string, value> components_;
};

/// A text that the regular expression matches; knows (?:a|b), [a-z], \., ?, *, + and {m,n}.
std::string matching_text(std::string_view pattern, std::mt19937& from);

/// A document like `seed` with something in it changed, taken away or added.
boost::json::value mutate(boost::json::value seed, std::mt19937& from);
