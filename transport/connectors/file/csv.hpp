#pragma once

#include <sluice/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::connectors::csv {

/// One field of a row. Quotes say that it is text, whatever it looks like.
struct field {
  std::string text;
  bool quoted = false;

  friend bool operator==(const field&, const field&) = default;
};

/// Where in a row one is. Quotes count at the beginning of a field only: `5" pipe` is a bare field. (RFC 4180, and what
/// most programs make of what it leaves open.)
enum class place : std::uint8_t {
  field_start,
  bare,
  quoted,
  closing, ///< behind a quote inside quotes: their end, unless another one follows
};

/// The place behind `c`.
place step(place at, char c) noexcept;

/// Finds the end of the first row in `text`: the index behind its line break, or nothing
/// when more is needed. A line break inside quotes is part of the row.
/// `scanned` and `at` carry the search on when more text has come.
std::optional<std::size_t> row_end(std::string_view text, std::size_t& scanned, place& at) noexcept;

struct row {
  std::vector<field> fields;
  bool is_open = false; ///< it ends inside quotes
};

/// Splits one row, with or without its line break.
row split(std::string_view text);

/// The names of the columns, without the byte order mark that some programs begin a file with. Fails if a quote is not
/// closed, or if lines end in CR alone: the whole file would be the header.
result<std::vector<std::string>> column_names(std::string_view first_row);

/// How the fields below one name are read.
struct column {
  std::string name;
  bool is_text = false;     ///< always a string, whatever it looks like
  bool keeps_empty = false; ///< an empty field is an empty string

  column(std::string what, bool text = false, bool empty = false)
    : name(std::move(what)), is_text(text), keeps_empty(empty) {}
  column(const char* what) : name(what) {}
};

/// Which columns hold text, as the record's type has it.
struct text_columns {
  std::set<std::string, std::less<>> all;
  std::set<std::string, std::less<>> with_empty;
};
/// From the options of a file source, where names are apart by commas: identifiers of C++ have none.
text_columns parse_text_columns(std::string_view all, std::string_view with_empty);

/// `column_names`, with what is known about them.
result<std::vector<column>> read_columns(std::string_view first_row, const text_columns& text);

/// A row as a JSON object. Unquoted fields that are a JSON number, `true` or `false` become
/// that unless their column is text; empty ones are left out unless it keeps them; everything else is a string. Fails
/// with what is wrong about the row, naming the column: another number of fields than the header has, an open quote,
/// bytes that are no UTF-8.
result<std::string> to_json(const std::vector<column>& header, const row& from);

/// The members of a JSON object as (name, field), in their order: strings are quoted where
/// they would read back as something else; nested values are their JSON text.
result<std::vector<std::pair<std::string, std::string>>> from_json(std::string_view object);

/// A string as a field, quoted where it must be.
std::string quote(std::string_view text);

/// Writes JSON objects as rows under one header.
class row_writer {
public:
  /// `columns` are those of a file that goes on; none = the first object names them. `path` is for messages.
  explicit row_writer(std::string path, std::vector<std::string> columns = {})
    : path_(std::move(path)), columns_(std::move(columns)) {}

  const std::vector<std::string>& columns() const noexcept { return columns_; }

  /// Appends a row to `text`, behind the header if there is none yet. Fails with `invalid_argument` when the
  /// object has a member that is no column or would name the columns and has none, or is no object.
  result<void> add(std::string_view object, std::string& text);

private:
  std::string path_;
  std::vector<std::string> columns_;
};

} // namespace sluice::connectors::csv
