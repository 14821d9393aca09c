#include <sluice/codec/schema.hpp>

#include <set>

namespace sluice::codec {

std::string component_name(std::string_view pretty_type) {
  // "... [with T = shop::page<shop::item>; ...]" or, behind the type, what the caller added.
  std::string name;
  auto start = pretty_type.find("T = ");
  auto text = start == pretty_type.npos ? pretty_type : pretty_type.substr(start + 4);
  auto end = text.find_first_of(";]");
  auto suffix = end == text.npos ? std::string_view{} : text.substr(text.find_last_of(']') + 1);
  text = text.substr(0, end);
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto left = text.substr(i);
    constexpr std::string_view nameless[] = {"{anonymous}::", "(anonymous namespace)::", "__cxx11::"};
    bool skipped = false;
    for (auto part : nameless)
      if (left.starts_with(part)) {
        i += part.size() - 1;
        skipped = true;
        break;
      }
    if (skipped)
      continue;
    char c = text[i];
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (is_plain) {
      name.push_back(c);
    } else if (left.starts_with("::")) {
      name.push_back('.');
      ++i;
    } else if (!name.empty() && name.back() != '-' && name.back() != '.') {
      name.push_back('-');
    }
  }
  while (!name.empty() && (name.back() == '-' || name.back() == '.'))
    name.pop_back();
  if (!suffix.empty())
    name.append(".").append(suffix.substr(1));
  return name;
}

std::string schema_set::name_of(const std::string& pretty_type, bool& is_new) {
  auto [at, inserted] = names_.try_emplace(pretty_type);
  is_new = inserted;
  if (inserted) {
    auto name = component_name(pretty_type);
    at->second = name;
    for (int number = 2; components_.contains(at->second); ++number)
      at->second = name + "-" + std::to_string(number);
    components_.try_emplace(at->second); // taken, although its text is still to come
  }
  return at->second;
}

namespace detail {

std::string reference_to(std::string_view component) {
  return R"({"$ref":)" + quoted("#/components/schemas/" + std::string{component}) + "}";
}

} // namespace detail

} // namespace sluice::codec
