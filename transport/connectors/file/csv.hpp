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

/// One field of a row. RFC 4180 gives quotes no meaning but that of a fence; where nothing else says what a field is,
/// they say that it is text.
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
  bool is_open = false;  ///< it ends inside quotes
  bool has_tail = false; ///< of a field in quotes something stands behind them
};

/// Splits one row, with or without its line break.
row split(std::string_view text);

/// The names of the columns, without the byte order mark that some programs begin a file with. Fails if a quote is not
/// closed or has text behind it, or if lines end in CR alone: the whole file would be the header.
result<std::vector<std::string>> column_names(std::string_view first_row);

/// What the fields below one name are.
enum class column_kind : std::uint8_t {
  any,             ///< not known: quotes make text, and so does what is no value
  text,            ///< always a string, whatever it looks like
  text_with_empty, ///< so is an empty field
  value,           ///< a number or a truth value, in quotes as well
};

/// How the fields below one name are read.
struct column {
  std::string name;
  column_kind kind = column_kind::any;

  column(std::string what, column_kind is = column_kind::any) : name(std::move(what)), kind(is) {}
  column(const char* what) : name(what) {}
};

/// What the columns hold, as the record's type has it: those that are in no set may be anything.
struct column_kinds {
  std::set<std::string, std::less<>> text;
  std::set<std::string, std::less<>> text_with_empty; ///< a part of `text`
  std::set<std::string, std::less<>> values;
};
/// The option of a file source with that name, empty if it is not given.
using find_option = std::function<std::string(const char* name)>;
/// From the options `text_columns`, `text_columns_with_empty` and `value_columns`, where names are apart by commas:
/// identifiers of C++ have none.
column_kinds read_column_kinds(const find_option& find);

/// `column_names`, with what is known about them.
result<std::vector<column>> read_columns(std::string_view first_row, const column_kinds& kinds);

/// A row as a JSON object. Fields that are a JSON number, `true` or `false` become that unless their column is text, or
/// they are quoted and it is not known to hold values; empty ones are left out unless it is text with empty ones, or they
/// are quoted and it does not hold values; everything else is a string. Fails with what is wrong about the row, naming
/// the column: another number of fields than the header has, an open quote, bytes that are no UTF-8.
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
