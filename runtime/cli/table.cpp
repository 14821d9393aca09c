#include "runtime/cli/table.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t elastic_width_min = 10;
constexpr std::size_t cut_width_min = 4; ///< of what may not be left out

/// The next character: its bytes and columns. A byte that is no UTF-8 is one column.
struct character {
  std::string_view bytes;
  std::size_t width = 0;
  bool is_control = false;
};

character next_character(std::string_view text) {
  utf8proc_int32_t code = 0;
  auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                            static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (n <= 0)
    return {text.substr(0, 1), 1, true};
  bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  auto width = is_control ? 0 : std::max(0, utf8proc_charwidth(code));
  return {text.substr(0, static_cast<std::size_t>(n)), static_cast<std::size_t>(width), is_control};
}

} // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    auto next = next_character(text);
    width += next.width;
    text.remove_prefix(next.bytes.size());
  }
  return width;
}

std::string fit(std::string_view text, std::size_t width) {
  std::string clean;
  for (auto rest = text; !rest.empty();) {
    auto next = next_character(rest);
    if (next.is_control)
      clean += ' ';
    else
      clean += next.bytes;
    rest.remove_prefix(next.bytes.size());
  }
  while (!clean.empty() && clean.back() == ' ')
    clean.pop_back();
  if (width == 0 || display_width(clean) <= width)
    return clean;
  std::string cut;
  std::size_t used = 0;
  for (std::string_view rest = clean; !rest.empty();) {
    auto next = next_character(rest);
    if (used + next.width + 1 > width)
      break;
    cut += next.bytes;
    used += next.width;
    rest.remove_prefix(next.bytes.size());
  }
  return cut + "\xe2\x80\xa6";
}

std::size_t table::layout::total() const {
  std::size_t sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < widths.size(); ++i)
    if (is_shown[i]) {
      sum += widths[i];
      ++count;
    }
  return sum + gap * (count == 0 ? 0 : count - 1);
}

/// A column without a title and without a text takes no place.
table::layout table::wanted() const {
  layout made;
  for (const auto& one : columns_)
    made.widths.push_back(one.only_if_any ? 0 : display_width(one.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size() && i < made.widths.size(); ++i)
      made.widths[i] = std::max(made.widths[i], display_width(fit(row[i].text, 0)));
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    made.is_shown.push_back(made.widths[i] > 0);
    if (made.is_shown[i])
      made.widths[i] = std::max(made.widths[i], display_width(columns_[i].title));
  }
  return made;
}

/// Leaves out columns until the others fit, and puts back those that fit all the same, the most important first.
void table::choose(layout& narrowest, std::size_t available) const {
  std::vector<std::size_t> order; // the first to go first
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (narrowest.is_shown[i] && columns_[i].dropped > 0)
      order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return columns_[a].dropped > columns_[b].dropped; });
  std::size_t gone = 0;
  for (; narrowest.total() > available && gone < order.size(); ++gone)
    narrowest.is_shown[order[gone]] = false;
  while (gone > 0) {
    const auto i = order[--gone];
    narrowest.is_shown[i] = true;
    narrowest.is_shown[i] = narrowest.total() <= available;
  }
}

/// The widest column that may gives first, so that they end up about equal; none below `width_min`.
template <class May>
void table::shorten(layout& made, std::size_t available, std::size_t width_min, May&& may) const {
  for (auto total = made.total(); total > available; --total) {
    auto widest = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i)
      if (may(i) && made.is_shown[i] && made.widths[i] > width_min
          && (widest == columns_.size() || made.widths[i] > made.widths[widest]))
        widest = i;
    if (widest == columns_.size())
      return;
    --made.widths[widest];
  }
}

table::layout table::fit_columns(std::size_t available) const {
  auto made = wanted();
  if (available == 0)
    return made;
  auto narrowest = made;
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].elastic)
      narrowest.widths[i] = std::min(narrowest.widths[i], elastic_width_min);
  choose(narrowest, available);
  made.is_shown = narrowest.is_shown;
  shorten(made, available, elastic_width_min, [&](std::size_t i) { return columns_[i].elastic; });
  shorten(made, available, cut_width_min, [](std::size_t i) { return i > 0; });
  shorten(made, available, cut_width_min, [](std::size_t) { return true; });
  for (auto i = columns_.size(); i-- > 1 && made.total() > available;)
    made.is_shown[i] = false;
  shorten(made, available, 1, [](std::size_t) { return true; });
  return made;
}

// g++ 12 at -O2 takes a call through a pointer to member for one through a virtual table
// and warns about a class that has none.
#pragma GCC diagnostic ignored "-Warray-bounds"

void table::print(std::ostream& to, const terminal& where, std::string_view indent) const {
  style paint{where};
  auto available = where.width > indent.size() ? where.width - indent.size() : where.width;
  const auto fitted = fit_columns(available);
  const auto& width = fitted.widths;
  auto print_row = [&](auto&& cell_at) {
    std::string line{indent};
    std::size_t owed = 0; // blanks before the next text: none are left at the end of a line
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (!fitted.is_shown[i])
        continue;
      auto [text, how] = cell_at(i);
      auto padding = width[i] - std::min(width[i], display_width(text));
      if (columns_[i].side == align::right)
        owed += padding;
      if (!text.empty()) {
        line.append(owed, ' ');
        line += how ? (paint.*how)(text) : text;
        owed = 0;
      }
      owed += gap + (columns_[i].side == align::right ? 0 : padding);
    }
    to << line << "\n";
  };
  print_row([&](std::size_t i) { return cell{fit(columns_[i].title, width[i]), &style::dim}; });
  for (const auto& row : rows_)
    print_row([&](std::size_t i) {
      if (i >= row.size())
        return cell{""};
      return cell{fit(row[i].text, width[i]), row[i].paint};
    });
}

} // namespace sluice::cli
