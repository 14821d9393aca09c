#pragma once

#include "runtime/cli/style.hpp"

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

/// Columns a text takes on a terminal: wide and combining characters counted as they are
/// shown, control characters as nothing.
std::size_t display_width(std::string_view text);

/// `text` on one line and at most `width` columns wide, "…" at its end where something is missing.
/// Control characters become spaces, so that a text cannot move the cursor. `width` 0 = no bound.
std::string fit(std::string_view text, std::size_t width);

enum class align { left, right };

struct column {
  std::string title;
  align side = align::left;
  bool elastic = false;     ///< shortened first when the terminal is too narrow
  int dropped = 0;          ///< left out when shortening is not enough, the highest number first; 0 = never
                            ///< (then it is cut, the first column last)
  bool only_if_any = false; ///< left out where no row has a text for it
};

struct cell {
  std::string text;
  std::string (style::*paint)(std::string_view) const = nullptr; ///< applied after the padding is known

  cell(std::string what) : text(std::move(what)) {}
  cell(const char* what) : text(what) {}
  cell(std::string what, std::string (style::*how)(std::string_view) const)
    : text(std::move(what)), paint(how) {}
};

/// Rows in columns as wide as their content, two blanks between. Fits the terminal by shortening elastic columns,
/// then leaving out some, then cutting what is left; no line is wider. Off a terminal nothing is cut.
class table {
public:
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const noexcept { return rows_.empty(); }

  void print(std::ostream& to, const terminal& where, std::string_view indent = "") const;

private:
  struct layout {
    std::vector<std::size_t> widths;
    std::vector<bool> is_shown;
    std::size_t total() const;
  };
  layout fit_columns(std::size_t available) const;
  layout wanted() const;
  void choose(layout& narrowest, std::size_t available) const;
  template <class May>
  void shorten(layout& made, std::size_t available, std::size_t width_min, May&& may) const;

  std::vector<column> columns_;
  std::vector<std::vector<cell>> rows_;
};

} // namespace sluice::cli
