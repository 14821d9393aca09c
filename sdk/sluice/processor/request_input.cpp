#include <sluice/http/url.hpp>
#include <sluice/processor/request_input.hpp>

#include <algorithm>

namespace sluice::processor {

namespace {

std::size_t find(std::span<const text_member> members, std::string_view name) noexcept {
  auto found = std::ranges::find(members, name, &text_member::name);
  return static_cast<std::size_t>(found - members.begin());
}

/// Reads one text into a member and gives what is wrong with it.
std::optional<bad_request> read_one(const text_member& member, std::string_view text, void* object,
                                    std::string_view where) {
  std::string error;
  if (member.read == nullptr)
    error = "cannot be given here";
  else if (member.read(object, text, error))
    return std::nullopt;
  return bad_request{.message = std::move(error), .path = std::string{member.name}, .where = where};
}

bool same_letters(std::string_view text, std::string_view lower) noexcept {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

std::string_view trimmed(std::string_view text) noexcept {
  while (text.starts_with(' ') || text.starts_with('\t'))
    text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t'))
    text.remove_suffix(1);
  return text;
}

/// "application/json" or "application/problem+json", with any parameters but another charset.
bool is_json(std::string_view content_type) noexcept {
  auto semicolon = std::min(content_type.find(';'), content_type.size());
  auto media = trimmed(content_type.substr(0, semicolon));
  constexpr std::string_view application = "application/";
  constexpr std::string_view suffix = "+json";
  if (!same_letters(media.substr(0, application.size()), application))
    return false;
  media.remove_prefix(application.size());
  if (!same_letters(media, "json")
      && (media.size() <= suffix.size() || !same_letters(media.substr(media.size() - suffix.size()), suffix)))
    return false;
  auto left = content_type.substr(semicolon);
  while (!left.empty()) {
    left.remove_prefix(1);
    auto parameter = trimmed(left.substr(0, left.find(';')));
    left.remove_prefix(std::min(left.find(';'), left.size()));
    constexpr std::string_view charset = "charset=";
    if (!same_letters(parameter.substr(0, charset.size()), charset))
      continue;
    parameter.remove_prefix(charset.size());
    if (!same_letters(parameter, "utf-8") && !same_letters(parameter, "\"utf-8\""))
      return false;
  }
  return true;
}

} // namespace

std::optional<bad_request> read_text_members(const request& in, std::span<const text_member> members,
                                             bool is_strict, void* object, given_members& given) {
  std::optional<bad_request> bad;
  if (auto name = http::find_malformed_field(in.query))
    return bad_request{.status = 400,
                       .message = "a '%' is not followed by two hex digits",
                       .path = std::move(*name),
                       .where = "query"};
  for (const auto& [name, value] : in.params) {
    auto index = find(members, name);
    if (index == members.size())
      continue;
    if ((bad = read_one(members[index], value, object, "path")))
      return bad;
    given.path.set(index);
  }
  http::for_each_query_field(in.query, [&](const std::string& name, const std::string& value) {
    if (bad)
      return;
    auto index = find(members, name);
    if (index == members.size()) {
      if (is_strict)
        bad = bad_request{.message = "no such query field", .path = name, .where = "query"};
      return;
    }
    if (given.path[index])
      return;
    const auto& member = members[index];
    if (given.query[index] && !member.is_list) {
      bad = bad_request{.message = "given twice", .path = name, .where = "query"};
      return;
    }
    if (member.is_list && !given.query[index])
      member.clear(object);
    bad = read_one(member, value, object, "query");
    given.query.set(index);
  });
  return bad;
}

std::optional<bad_request> check_json_type(const request& in) {
  if (auto coding = in.headers.find("Content-Encoding"); coding && *coding != "identity")
    return bad_request{.status = 415,
                       .message = "expected a body that is not compressed, got one of Content-Encoding "
                                  + std::string{coding->substr(0, 128)}};
  auto type = in.headers.find("Content-Type");
  if (!type || is_json(*type))
    return std::nullopt;
  return bad_request{.status = 415,
                     .message = "expected a body of Content-Type application/json, got "
                                + std::string{type->substr(0, 128)}};
}

bad_request bad_body(codec::decode_error error, std::string_view root) {
  bad_request bad{.message = std::move(error.message), .path = std::move(error.path), .where = "body"};
  if (bad.path.starts_with(root))
    bad.path.erase(0, root.size());
  if (bad.path.starts_with('.'))
    bad.path.erase(0, 1);
  if (error.fault == codec::decode_fault::syntax) {
    bad.status = 400;
    bad.offset = error.offset;
    bad.line = error.line;
    bad.column = error.column;
  }
  return bad;
}

} // namespace sluice::processor
