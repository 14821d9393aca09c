#include "actors/batch/index_set.hpp"

#include <charconv>
#include <iterator>

namespace sluice::batch {

namespace {

bool read_number(std::string_view& text, std::uint32_t& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  if (error != std::errc{})
    return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

} // namespace

bool index_set::contains(std::uint32_t index) const noexcept {
  auto after = ranges_.upper_bound(index);
  return after != ranges_.begin() && std::prev(after)->second >= index;
}

bool index_set::add(std::uint32_t index) {
  if (contains(index))
    return false;
  ++count_;
  auto after = ranges_.upper_bound(index);
  const bool joins_next = after != ranges_.end() && after->first == index + 1;
  const bool joins_last = after != ranges_.begin() && std::prev(after)->second + 1 == index;
  const auto last = joins_next ? after->second : index;
  if (joins_last)
    std::prev(after)->second = last;
  else
    ranges_.emplace_hint(after, index, last);
  if (joins_next)
    ranges_.erase(after);
  return true;
}

std::string index_set::to_text() const {
  std::string text;
  for (const auto& [first, last] : ranges_) {
    text += text.empty() ? "" : ",";
    text += std::to_string(first);
    if (last != first)
      text += "-" + std::to_string(last);
  }
  return text;
}

result<index_set> index_set::from_text(std::string_view text) {
  index_set out;
  const auto wrong = [] { return fail(errc::corrupt, "a set of splits is not written as 0-12,14"); };
  std::int64_t before = -2;
  while (!text.empty()) {
    std::uint32_t first = 0;
    if (!read_number(text, first))
      return wrong();
    auto last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      if (!read_number(text, last))
        return wrong();
    }
    if (last < first || first <= before + 1)
      return wrong();
    out.ranges_.emplace(first, last);
    out.count_ += last - first + 1;
    before = last;
    if (text.starts_with(',') && text.size() > 1)
      text.remove_prefix(1);
    else if (!text.empty())
      return wrong();
  }
  return out;
}

} // namespace sluice::batch
