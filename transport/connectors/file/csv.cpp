#include "transport/connectors/file/csv.hpp"

#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>

#include <algorithm>
#include <utility>

namespace sluice::connectors::csv {

namespace {

constexpr std::string_view bare_returns = "has a carriage return that is not followed by a line feed: rows "
                                          "end in LF or CRLF here; convert the file, as with "
                                          "`tr '\\r' '\\n'`";

/// What is wrong with the quotes of a row; empty: nothing.
std::string quote_mistake(const row& of) {
  if (of.is_open)
    return "has a quote that is not closed";
  if (of.has_tail)
    return "has text behind the closing quote of a field: a quote inside of quotes is written twice";
  return {};
}

bool is_bare_value(std::string_view text) {
  if (text == "true" || text == "false")
    return true;
  codec::json_reader reader{text};
  std::string_view number;
  // The reader skips blanks; a field with blanks is text.
  return !text.empty() && text.find_first_of(" \t\r\n") == std::string_view::npos
         && reader.peek() == codec::json_kind::number && reader.read_number(number, "number")
         && reader.finish();
}

std::string fields_text(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " field" : " fields");
}

std::string count_mistake(const std::vector<column>& header, const std::vector<field>& row) {
  constexpr std::size_t shown_bytes_max = 64;
  auto text = "has " + fields_text(row.size()) + ", the header has " + std::to_string(header.size()) + ": ";
  if (row.size() < header.size())
    return text + "column '" + header[row.size()].name.substr(0, shown_bytes_max) + "' is missing";
  return text + "nothing may follow column '" + header.back().name.substr(0, shown_bytes_max) + "'";
}

std::string_view without_break(std::string_view row) {
  if (row.ends_with('\n'))
    row.remove_suffix(1);
  if (row.ends_with('\r'))
    row.remove_suffix(1);
  return row;
}

} // namespace

place step(place at, char c) noexcept {
  if (at == place::quoted)
    return c == '"' ? place::closing : place::quoted;
  if (c == ',' || c == '\n')
    return place::field_start;
  return c == '"' && at != place::bare ? place::quoted : place::bare;
}

std::optional<std::size_t> row_end(std::string_view text, std::size_t& scanned, place& at) noexcept {
  while (scanned < text.size()) {
    const char c = text[scanned++];
    const bool ends = c == '\n' && at != place::quoted;
    at = step(at, c);
    if (ends)
      return scanned;
  }
  return std::nullopt;
}

row split(std::string_view text) {
  text = without_break(text);
  row out;
  out.fields.emplace_back();
  auto at = place::field_start;
  for (const char c : text) {
    const auto before = std::exchange(at, step(at, c));
    auto& current = out.fields.back();
    if (at == place::field_start)
      out.fields.emplace_back();
    else if (before == place::field_start && at == place::quoted)
      current.quoted = true;
    else if (at != place::closing) {
      out.has_tail = out.has_tail || (before == place::closing && at == place::bare);
      current.text += c;
    }
  }
  out.is_open = at == place::quoted;
  return out;
}

result<std::vector<std::string>> column_names(std::string_view first_row) {
  auto found = split(codec::without_byte_order_mark(first_row));
  if (auto mistake = quote_mistake(found); !mistake.empty())
    return fail(errc::invalid_argument, std::move(mistake));
  std::vector<std::string> names;
  for (auto& each : found.fields) {
    if (!each.quoted && each.text.find('\r') != std::string::npos)
      return fail(errc::invalid_argument, std::string{bare_returns});
    names.push_back(std::move(each.text));
  }
  return names;
}

column_kinds read_column_kinds(const find_option& find) {
  auto names_of = [](const std::string& all) {
    std::string_view text = all;
    std::set<std::string, std::less<>> names;
    while (!text.empty()) {
      const auto end = std::min(text.find(','), text.size());
      names.emplace(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
  };
  return {names_of(find("text_columns")), names_of(find("text_columns_with_empty")),
          names_of(find("value_columns"))};
}

result<std::vector<column>> read_columns(std::string_view first_row, const column_kinds& kinds) {
  auto names = column_names(first_row);
  if (!names)
    return fail(names);
  std::vector<column> columns;
  for (auto& name : *names) {
    const auto kind = kinds.text_with_empty.contains(name) ? column_kind::text_with_empty
                      : kinds.text.contains(name)          ? column_kind::text
                      : kinds.values.contains(name)        ? column_kind::value
                                                           : column_kind::any;
    columns.emplace_back(std::move(name), kind);
  }
  return columns;
}

result<std::string> to_json(const std::vector<column>& header, const row& from) {
  const auto& fields = from.fields;
  if (auto mistake = quote_mistake(from); !mistake.empty())
    return fail(errc::invalid_argument, std::move(mistake));
  if (fields.size() != header.size())
    return fail(errc::invalid_argument, count_mistake(header, fields));
  std::string out = "{";
  codec::json_writer writer{out};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& [text, quoted] = fields[i];
    const auto kind = header[i].kind;
    const bool may_be_value = kind == column_kind::value || (kind == column_kind::any && !quoted);
    if (text.empty() && kind != column_kind::text_with_empty && (may_be_value || !quoted))
      continue;
    if (out.size() > 1)
      writer.character(',');
    if (!writer.string(header[i].name))
      return fail(errc::invalid_argument, "has no UTF-8 name for its column " + std::to_string(i + 1));
    writer.character(':');
    if (may_be_value && is_bare_value(text))
      writer.text(text);
    else if (!writer.string(text))
      return fail(errc::invalid_argument, "has text that is no UTF-8 in column '" + header[i].name + "'");
  }
  writer.character('}');
  return out;
}

std::string quote(std::string_view text) {
  // Nothing but blanks could be a whole row, which would be skipped.
  const bool plain = text.find_first_not_of(" \t") != std::string_view::npos
                     && text.find_first_of("\",\r\n") == std::string_view::npos && !is_bare_value(text);
  if (plain)
    return std::string{text};
  std::string out = "\"";
  for (char c : text) {
    if (c == '"')
      out += '"';
    out += c;
  }
  return out + "\"";
}

result<std::vector<std::pair<std::string, std::string>>> from_json(std::string_view object) {
  codec::json_reader reader{object};
  std::vector<std::pair<std::string, std::string>> members;
  const auto refuse = [&] {
    return fail(errc::invalid_argument, "csv: a result must be a JSON object: " + reader.error().message);
  };
  if (!reader.enter_object())
    return refuse();
  for (bool first = true;; first = false) {
    std::string_view key;
    const auto step = reader.next_member(first, key);
    if (step == codec::json_step::error)
      return refuse();
    if (step == codec::json_step::end)
      break;
    std::string name{key};
    const auto kind = reader.peek();
    const auto begin = reader.offset();
    if (kind == codec::json_kind::string) {
      std::string text;
      if (!reader.read_string(text))
        return refuse();
      members.emplace_back(std::move(name), quote(text));
      continue;
    }
    if (!reader.skip_value())
      return refuse();
    const auto text = object.substr(begin, reader.offset() - begin);
    if (kind == codec::json_kind::null)
      members.emplace_back(std::move(name), std::string{});
    else if (kind == codec::json_kind::array || kind == codec::json_kind::object)
      members.emplace_back(std::move(name), quote(text));
    else
      members.emplace_back(std::move(name), std::string{text});
  }
  if (!reader.finish())
    return refuse();
  return members;
}

result<void> row_writer::add(std::string_view object, std::string& text) {
  auto members = from_json(object);
  if (!members)
    return fail(members);
  std::vector<std::string> named; // kept only once the row is whole
  const auto& columns = columns_.empty() ? named : columns_;
  if (columns_.empty())
    for (const auto& member : *members)
      named.push_back(member.first);
  if (columns.empty())
    return fail(errc::invalid_argument, "file: " + path_ + ": a result without members names no columns");
  std::vector<std::string> row(columns.size());
  for (auto& [name, value] : *members) {
    auto at = std::find(columns.begin(), columns.end(), name);
    if (at == columns.end())
      return fail(errc::invalid_argument, "file: " + path_ + " has no column '" + name + "'");
    row[static_cast<std::size_t>(at - columns.begin())] = std::move(value);
  }
  if (columns_.empty()) {
    for (std::size_t i = 0; i < named.size(); ++i)
      text += (i == 0 ? "" : ",") + quote(named[i]);
    text += '\n';
    columns_ = std::move(named);
  }
  if (row.size() == 1 && row.front().empty())
    row.front() = R"("")"; // a blank line is no row
  for (std::size_t i = 0; i < row.size(); ++i) {
    text += i == 0 ? "" : ",";
    text += row[i];
  }
  text += '\n';
  return {};
}

} // namespace sluice::connectors::csv
