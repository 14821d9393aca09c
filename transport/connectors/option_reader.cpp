#include "transport/connectors/option_reader.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::connectors {

const std::string* option_reader::find(const std::string& name) {
  known_.insert(name);
  auto found = spec_.options.find(name);
  return found == spec_.options.end() ? nullptr : &found->second;
}

void option_reader::refuse(std::string mistake) {
  if (!mistake_)
    mistake_ = spec_.kind + ": " + std::move(mistake);
}

std::string option_reader::required(const std::string& name) {
  const auto* value = find(name);
  if (value != nullptr && !value->empty())
    return *value;
  refuse("option '" + name + "' is missing");
  return {};
}

std::string option_reader::optional(const std::string& name) {
  const auto* value = find(name);
  return value == nullptr ? std::string{} : *value;
}

std::string option_reader::one_of(const std::string& name, std::initializer_list<std::string_view> allowed,
                                  std::string_view otherwise) {
  const auto* value = find(name);
  if (value == nullptr)
    return std::string{otherwise};
  if (std::find(allowed.begin(), allowed.end(), *value) != allowed.end())
    return *value;
  std::string choices;
  for (auto each : allowed)
    choices += (choices.empty() ? "" : " or ") + std::string{each};
  refuse("option '" + name + "' must be " + choices + ", is '" + *value + "'");
  return std::string{otherwise};
}

bool option_reader::flag(const std::string& name, bool otherwise) {
  return one_of(name, {"true", "false"}, otherwise ? "true" : "false") == "true";
}

std::uint64_t option_reader::number(const std::string& name, std::uint64_t min, std::uint64_t max) {
  const auto text = required(name);
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max)
    refuse("option '" + name + "' must be a number from " + std::to_string(min) + " to " + std::to_string(max)
           + ", is '" + text + "'");
  return value;
}

result<void> option_reader::check() const {
  if (mistake_)
    return fail(errc::invalid_argument, *mistake_);
  for (const auto& [name, value] : spec_.options) {
    if (known_.contains(name))
      continue;
    std::string all;
    for (const auto& each : known_)
      all += (all.empty() ? "" : ", ") + each;
    return fail(errc::invalid_argument, spec_.kind + ": there is no option '" + name
                                          + (all.empty() ? "'; it has none" : "'; there are: " + all));
  }
  return {};
}

} // namespace sluice::connectors
