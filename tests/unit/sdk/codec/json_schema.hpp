#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/regex.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace schema_testing {

using chance = std::mt19937;

inline std::size_t pick(chance& from, std::size_t count) { return from() % count; }

/// Wide enough for each int64, uint64 and double.
inline long double number_of(const boost::json::value& v) {
  if (v.is_int64())
    return static_cast<long double>(v.get_int64());
  return v.is_uint64() ? static_cast<long double>(v.get_uint64()) : v.get_double();
}

inline bool has_type(const boost::json::value& v, std::string_view type) {
  if (type == "null")
    return v.is_null();
  if (type == "boolean")
    return v.is_bool();
  if (type == "string")
    return v.is_string();
  if (type == "array")
    return v.is_array();
  if (type == "object")
    return v.is_object();
  if (type == "number")
    return v.is_number();
  if (type == "integer") // 5.0 is one
    return v.is_number() && std::floor(number_of(v)) == number_of(v);
  throw std::runtime_error{"no such type: " + std::string{type}};
}

/// Compiling a pattern takes longer than using it; there are few.
inline bool matches(std::string_view text, const std::string& pattern) {
  static std::map<std::string, boost::regex> compiled;
  auto at = compiled.find(pattern);
  if (at == compiled.end())
    at = compiled.emplace(pattern, boost::regex{pattern}).first;
  return boost::regex_search(text.begin(), text.end(), at->second);
}

inline bool is_date(std::string_view text) {
  if (!matches(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}"))
    return false;
  auto number = [&](std::size_t at, std::size_t count) {
    return std::stoi(std::string{text.substr(at, count)});
  };
  return std::chrono::year_month_day{std::chrono::year{number(0, 4)},
                                     std::chrono::month{static_cast<unsigned>(number(5, 2))},
                                     std::chrono::day{static_cast<unsigned>(number(8, 2))}}
    .ok();
}

/// Makes up a text piece by piece while it reads a pattern.
class pattern_reader {
public:
  pattern_reader(std::string_view pattern, chance& from) : left_(pattern), from_(from) {}

  std::string alternatives() {
    std::vector<std::string> made{sequence()};
    while (!left_.empty() && left_.front() == '|') {
      take();
      made.push_back(sequence());
    }
    return made[pick(from_, made.size())];
  }

private:
  char take() {
    if (left_.empty())
      throw std::runtime_error{"pattern ends early"};
    char c = left_.front();
    left_.remove_prefix(1);
    return c;
  }

  std::string sequence() {
    std::string text;
    while (!left_.empty() && left_.front() != '|' && left_.front() != ')') {
      auto start = left_;
      std::string one = atom();
      auto [least, most] = quantifier();
      auto behind = left_;
      auto count = least + pick(from_, most - least + 1);
      if (count > 0)
        text += one;
      for (std::size_t i = 1; i < count; ++i) {
        left_ = start; // each turn makes its own choices
        text += atom();
      }
      left_ = behind;
    }
    return text;
  }

  std::string atom() {
    char c = take();
    if (c == '^' || c == '$')
      return "";
    if (c == '\\')
      return {take()};
    if (c == '[')
      return {character_class()};
    if (c != '(')
      return {c};
    if (take() != '?' || take() != ':')
      throw std::runtime_error{"a group is written (?:...)"};
    auto text = alternatives();
    take(); // ')'
    return text;
  }

  char character_class() {
    std::string choices;
    for (char c = take(); c != ']'; c = take()) {
      if (c == '-' && !choices.empty() && left_.front() != ']') {
        char last = take();
        for (char next = choices.back(); next < last;)
          choices.push_back(++next);
      } else {
        choices.push_back(c);
      }
    }
    return choices[pick(from_, choices.size())];
  }

  std::pair<std::size_t, std::size_t> quantifier() {
    char c = left_.empty() ? '\0' : left_.front();
    if (c == '?' || c == '*' || c == '+') {
      take();
      return {c == '+' ? 1 : 0, c == '?' ? 1 : 3};
    }
    if (c != '{')
      return {1, 1};
    take();
    auto end = left_.find('}');
    std::string range{left_.substr(0, end)};
    left_.remove_prefix(end + 1);
    auto comma = range.find(',');
    auto least = std::stoul(range);
    return {least, comma == range.npos ? least : std::stoul(range.substr(comma + 1))};
  }

  std::string_view left_;
  chance& from_;
};

inline boost::json::value anything(chance& from) {
  constexpr std::string_view values[] = {"null",
                                         "true",
                                         "0",
                                         "-1",
                                         "255",
                                         "256",
                                         "-129",
                                         "3.5",
                                         "2147483648",
                                         "9223372036854775808",
                                         "18446744073709551615",
                                         "1e19",
                                         "1e300",
                                         "\"\"",
                                         "\"x\"",
                                         "\"red\"",
                                         "\"2024-02-29T12:00:00Z\"",
                                         "\"2023-02-29T12:00:00Z\"",
                                         "\"2024-05-01\"",
                                         "\"AP8=\"",
                                         "\"circle\"",
                                         "[]",
                                         "[1,2]",
                                         "[\"a\"]",
                                         "{}",
                                         "{\"type\":\"circle\"}",
                                         "{\"x\":1}"};
  return boost::json::parse(values[pick(from, std::size(values))]);
}

/// JSON Schema, as much of it as `sluice::codec::schema` writes: judges documents and makes up ones that it
/// allows. Throws std::runtime_error at a keyword that it does not know, so that none goes untested.
class json_schema {
public:
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

inline std::string matching_text(std::string_view pattern, chance& from) {
  return pattern_reader{pattern, from}.alternatives();
}

inline boost::json::value mutate(boost::json::value seed, chance& from) {
  switch (seed.is_structured() && pick(from, 8) != 0 ? seed.kind() : boost::json::kind::null) {
  case boost::json::kind::object: {
    auto& members = seed.get_object();
    if (members.empty() || pick(from, 6) == 0) {
      constexpr std::string_view names[] = {"type", "x", "extra", "-5", "05", "red", "128"};
      members[names[pick(from, std::size(names))]] = anything(from);
      return seed;
    }
    auto at = members.begin() + static_cast<std::ptrdiff_t>(pick(from, members.size()));
    if (pick(from, 5) == 0)
      members.erase(at);
    else
      at->value() = mutate(at->value(), from);
    return seed;
  }
  case boost::json::kind::array: {
    auto& elements = seed.get_array();
    if (elements.empty() || pick(from, 6) == 0) {
      elements.push_back(anything(from));
      return seed;
    }
    auto at = elements.begin() + static_cast<std::ptrdiff_t>(pick(from, elements.size()));
    if (pick(from, 5) == 0)
      elements.erase(at);
    else
      *at = mutate(*at, from);
    return seed;
  }
  default:
    break;
  }
  if (seed.is_string() && !seed.get_string().empty() && pick(from, 2) == 0) {
    constexpr std::string_view letters = "019-+:.TZ= xAg";
    auto& at = seed.get_string()[pick(from, seed.get_string().size())];
    if (static_cast<unsigned char>(at) < 0x80) // it stays UTF-8
      at = letters[pick(from, letters.size())];
    return seed;
  }
  return anything(from);
}

inline json_schema::json_schema(std::string_view schema, const std::map<std::string, std::string>& components)
  : root_(boost::json::parse(schema)) {
  for (const auto& [name, text] : components)
    components_["#/components/schemas/" + name] = boost::json::parse(text);
}

inline const boost::json::value& json_schema::resolve(const value& schema) const {
  auto reference = schema.is_object() ? schema.get_object().if_contains("$ref") : nullptr;
  return reference == nullptr ? schema : components_.at(std::string{reference->as_string()});
}

inline bool json_schema::allows(const value& schema, const value& document) const {
  if (schema.is_bool())
    return schema.get_bool();
  const auto& rules = schema.as_object();
  return std::all_of(rules.begin(), rules.end(), [&](const auto& rule) {
    return allows_keyword(rules, std::string_view{rule.key()}, rule.value(), document);
  });
}

inline bool json_schema::allows_keyword(const object& schema, std::string_view keyword, const value& rule,
                                        const value& document) const {
  auto count_allowing = [&] {
    const auto& list = rule.as_array();
    return std::count_if(list.begin(), list.end(), [&](const value& one) { return allows(one, document); });
  };
  if (keyword == "$ref")
    return allows(components_.at(std::string{rule.as_string()}), document);
  if (keyword == "anyOf")
    return count_allowing() > 0;
  if (keyword == "oneOf")
    return count_allowing() == 1;
  if (keyword == "type")
    return has_type(document, rule.as_string());
  if (keyword == "const")
    return document == rule;
  if (keyword == "enum")
    return std::count(rule.as_array().begin(), rule.as_array().end(), document) == 1;
  if (keyword == "minimum")
    return !document.is_number() || number_of(document) >= number_of(rule);
  if (keyword == "maximum")
    return !document.is_number() || number_of(document) <= number_of(rule);
  if (keyword == "exclusiveMinimum")
    return !document.is_number() || number_of(document) > number_of(rule);
  if (keyword == "exclusiveMaximum")
    return !document.is_number() || number_of(document) < number_of(rule);
  if (keyword == "pattern")
    return !document.is_string()
           || matches(std::string_view{document.get_string()}, std::string{rule.as_string()});
  if (keyword == "format")
    return !document.is_string() || !rule.as_string().starts_with("date")
           || is_date(std::string_view{document.get_string()});
  if (keyword == "properties" || keyword == "additionalProperties" || keyword == "required"
      || keyword == "propertyNames")
    return allows_members(schema, document);
  if (keyword == "items" || keyword == "prefixItems" || keyword == "minItems" || keyword == "maxItems")
    return allows_elements(schema, document);
  if (keyword == "default" || keyword == "description" || keyword == "discriminator")
    return true;
  throw std::runtime_error{"no such keyword: " + std::string{keyword}};
}

inline bool json_schema::allows_members(const object& schema, const value& document) const {
  if (!document.is_object())
    return true;
  const auto& members = document.get_object();
  if (auto required = schema.if_contains("required"))
    for (const auto& name : required->as_array())
      if (!members.contains(name.as_string()))
        return false;
  auto known = schema.if_contains("properties");
  auto others = schema.if_contains("additionalProperties");
  auto names = schema.if_contains("propertyNames");
  for (const auto& member : members) {
    if (names != nullptr && !allows(*names, value(member.key())))
      return false;
    auto rule = known == nullptr ? nullptr : known->as_object().if_contains(member.key());
    rule = rule == nullptr ? others : rule;
    if (rule != nullptr && !allows(*rule, member.value()))
      return false;
  }
  return true;
}

inline bool json_schema::allows_elements(const object& schema, const value& document) const {
  if (!document.is_array())
    return true;
  const auto& elements = document.get_array();
  auto first = schema.if_contains("prefixItems");
  auto others = schema.if_contains("items");
  auto least = schema.if_contains("minItems");
  auto most = schema.if_contains("maxItems");
  if ((least != nullptr && elements.size() < least->to_number<std::size_t>())
      || (most != nullptr && elements.size() > most->to_number<std::size_t>()))
    return false;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    bool is_first = first != nullptr && i < first->as_array().size();
    auto rule = is_first ? &first->as_array()[i] : others;
    if (rule != nullptr && !allows(*rule, elements[i]))
      return false;
  }
  return true;
}

inline boost::json::value json_schema::make(const value& unresolved, chance& from, int depth) const {
  const auto& schema = resolve(unresolved).as_object();
  for (auto keyword : {"anyOf", "oneOf"})
    if (auto list = schema.if_contains(keyword)) {
      // The last one is null for optionals: the way out of endless nesting.
      const auto& choices = list->as_array();
      return make(choices[depth <= 0 ? choices.size() - 1 : pick(from, choices.size())], from, depth);
    }
  if (auto constant = schema.if_contains("const"))
    return *constant;
  if (auto list = schema.if_contains("enum"))
    return list->as_array()[pick(from, list->as_array().size())];
  auto type = schema.if_contains("type");
  if (type == nullptr)
    return anything(from);
  if (type->as_string() == "object")
    return make_object(schema, from, depth);
  if (type->as_string() == "array")
    return make_array(schema, from, depth);
  if (type->as_string() == "string")
    return make_string(schema, from);
  if (type->as_string() == "boolean")
    return pick(from, 2) == 0;
  return type->as_string() == "null" ? value(nullptr) : make_number(schema, from);
}

inline boost::json::value json_schema::make_object(const object& schema, chance& from, int depth) const {
  object made;
  auto required = schema.if_contains("required");
  auto is_required = [&](const value& name) {
    return required != nullptr
           && std::count(required->as_array().begin(), required->as_array().end(), name) != 0;
  };
  if (auto properties = schema.if_contains("properties"))
    for (const auto& property : properties->as_object())
      if (is_required(value(property.key())) || (depth > 0 && pick(from, 2) == 0))
        made[property.key()] = make(property.value(), from, depth - 1);
  auto others = schema.if_contains("additionalProperties");
  if (depth <= 0 || (others != nullptr && others->is_bool()))
    return made;
  auto names = schema.if_contains("propertyNames");
  for (auto count = pick(from, 3); count > 0; --count) {
    std::string name = "other" + std::to_string(count);
    if (names != nullptr)
      name = std::string{make_string(names->as_object(), from).as_string()};
    made[name] = others == nullptr ? anything(from) : make(*others, from, depth - 1);
  }
  return made;
}

inline boost::json::value json_schema::make_array(const object& schema, chance& from, int depth) const {
  boost::json::array made;
  if (auto first = schema.if_contains("prefixItems"))
    for (const auto& rule : first->as_array())
      made.push_back(make(rule, from, depth - 1));
  auto others = schema.if_contains("items");
  if (others == nullptr || others->is_bool())
    return made;
  auto least = schema.if_contains("minItems");
  auto count = least != nullptr ? least->to_number<std::size_t>() : depth <= 0 ? 0 : pick(from, 4);
  while (made.size() < count)
    made.push_back(make(*others, from, depth - 1));
  return made;
}

inline boost::json::value json_schema::make_number(const object& schema, chance& from) const {
  constexpr auto largest = std::numeric_limits<double>::max(); // of who states no bounds
  const auto bound = [&](const char* inclusive, const char* exclusive, double otherwise) {
    if (const auto* stated = schema.if_contains(inclusive))
      return *stated;
    if (const auto* stated = schema.if_contains(exclusive))
      return value(std::nextafter(stated->as_double(), 0.0));
    return value(otherwise);
  };
  const auto least = bound("minimum", "exclusiveMinimum", -largest);
  const auto most = bound("maximum", "exclusiveMaximum", largest);
  switch (pick(from, 5)) {
  case 0:
    return least;
  case 1:
    return most;
  case 2:
    return least.is_double() ? value(0.1) : value(static_cast<std::int64_t>(pick(from, 100)));
  case 3:
    return value(static_cast<double>(pick(from, 100))); // integers may be written with a fraction of zero
  default:
    return value(static_cast<std::int64_t>(pick(from, 128)));
  }
}

inline boost::json::value json_schema::make_string(const object& schema, chance& from) const {
  if (auto list = schema.if_contains("enum"))
    return list->as_array()[pick(from, list->as_array().size())];
  if (auto pattern = schema.if_contains("pattern"))
    for (;;) {
      auto text = matching_text(std::string_view{pattern->as_string()}, from);
      if (!schema.contains("format") || !schema.at("format").as_string().starts_with("date") || is_date(text))
        return value(text);
    }
  constexpr std::string_view texts[] = {"", "x", "\xc3\xa4\xe2\x82\xac", "a\"b\\c\n", "null", "5"};
  return value(texts[pick(from, std::size(texts))]);
}

} // namespace schema_testing
