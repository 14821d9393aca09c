#include "transport/connectors/file/csv.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace sluice::connectors;

namespace {

std::vector<csv::field> fields(std::initializer_list<csv::field> all) { return all; }

csv::column_kinds known(const std::map<std::string, std::string>& options) {
  return csv::read_column_kinds([&](const char* name) {
    auto found = options.find(name);
    return found == options.end() ? std::string{} : found->second;
  });
}

} // namespace

TEST_CASE("a row is split at commas outside of quotes") {
  CHECK(csv::split("a,b\r\n").fields == fields({{"a", false}, {"b", false}}));
  CHECK(csv::split("\"a,b\",c\n").fields == fields({{"a,b", true}, {"c", false}}));
  CHECK(csv::split("\"say \"\"hi\"\"\"").fields == fields({{"say \"hi\"", true}}));
  CHECK(csv::split("a,,\"\"").fields == fields({{"a", false}, {"", false}, {"", true}}));
  CHECK(csv::split("").fields == fields({{"", false}}));
  CHECK(csv::split("5\"x,y").fields == fields({{"5\"x", false}, {"y", false}}));
}

TEST_CASE("a line break inside quotes belongs to the row, and a search goes on where it stopped") {
  std::size_t scanned = 0;
  auto place = csv::place::field_start;
  std::string text = "a,\"x\n";
  CHECK_FALSE(csv::row_end(text, scanned, place));
  text += "y\"\nnext";
  CHECK(csv::row_end(text, scanned, place) == 8);
}

TEST_CASE("rows end where their fields do: a quote inside a bare field is one of its characters") {
  for (const std::string_view text : {"1,5\" pipe\n2,x\n", "5\" pipe\n6\" pipe\n",
                                      "\"a\"\"\nb\",2\r\n3,4\r\n", "\"a\"b\"\nc\n", ",\"\n\",\n\n"}) {
    CAPTURE(text);
    std::size_t begin = 0;
    int rows = 0;
    while (begin < text.size()) {
      std::size_t scanned = 0;
      auto place = csv::place::field_start;
      const auto end = csv::row_end(text.substr(begin), scanned, place);
      REQUIRE(end);
      CHECK_FALSE(csv::split(text.substr(begin, *end)).is_open);
      CHECK(csv::split(text.substr(begin, *end - 1)).fields == csv::split(text.substr(begin, *end)).fields);
      begin += *end;
      ++rows;
    }
    CHECK(rows == 2);
  }
}

TEST_CASE("column names come without a byte order mark, and not with an open quote") {
  CHECK(csv::column_names("\xEF\xBB\xBF\"id\",note\r\n") == std::vector<std::string>{"id", "note"});
  CHECK(csv::column_names("id,\"a\rb\"\n") == std::vector<std::string>{"id", "a\rb"});
  auto one_row = csv::column_names("id,note\r1,a\r2,b\r"); // a file with the line ends of an old Mac
  REQUIRE_FALSE(one_row);
  CHECK(one_row.error().message.starts_with("has a carriage return that is not followed by a line feed"));
  CHECK(csv::column_names("id,\"note\n1,2\n").error().message == "has a quote that is not closed");
}

TEST_CASE("unquoted numbers and truth values become such, empty fields are left out, quotes make text") {
  CHECK(csv::to_json({"a", "b", "c", "d", "e"}, csv::split("1,-2.5e3,true,,\"7\""))
        == "{\"a\":1,\"b\":-2.5e3,\"c\":true,\"e\":\"7\"}");
  CHECK(csv::to_json({"zip", "x"}, csv::split("02134, 5")) == "{\"zip\":\"02134\",\"x\":\" 5\"}");
  CHECK(csv::to_json({"a"}, csv::split("\"\"")) == "{\"a\":\"\"}");
}

TEST_CASE("a column of text is text whatever it looks like") {
  auto header = csv::read_columns(
    "city,note,count\n", known({{"text_columns", "city,note"}, {"text_columns_with_empty", "city"}}));
  REQUIRE(header);
  CHECK(csv::to_json(*header, csv::split("1899,true,1e5")) == R"({"city":"1899","note":"true","count":1e5})");
  CHECK(csv::to_json(*header, csv::split(",,")) == R"({"city":""})");
  CHECK(known({}).text.empty());
}

TEST_CASE("a column of values has them in quotes as well: RFC 4180 gives quotes no type") {
  auto header = csv::read_columns("\"n\",\"ok\",\"x\"\n", known({{"value_columns", "n,ok"}}));
  REQUIRE(header);
  CHECK(csv::to_json(*header, csv::split(R"("3","true","4")")) == R"({"n":3,"ok":true,"x":"4"})");
  CHECK(csv::to_json(*header, csv::split(R"(3,false,4)")) == R"({"n":3,"ok":false,"x":4})");
  CHECK(csv::to_json(*header, csv::split(R"("-12.5e3","","")")) == R"({"n":-12.5e3,"x":""})");
  // What is no value stays the text that it is: the record's type refuses it with what it is.
  CHECK(csv::to_json(*header, csv::split(R"(" 3","yes",x)")) == R"({"n":" 3","ok":"yes","x":"x"})");
}

TEST_CASE("a row that is no object says why in the words of a table") {
  auto mistake = [](std::vector<csv::column> header, const char* row) {
    auto made = csv::to_json(header, csv::split(row));
    return made ? *made : made.error().message;
  };
  CHECK(mistake({"a", "b"}, "1") == "has 1 field, the header has 2: column 'b' is missing");
  // Each goes on from "the row" or "row 7 of FILE".
  CHECK(mistake({"a"}, "1,2") == "has 2 fields, the header has 1: nothing may follow column 'a'");
  CHECK(mistake({"a", "b"}, "1,\"broken\n2,ok\n") == "has a quote that is not closed");
  CHECK(mistake({"a", "b"}, "1,\"two\"three\n")
        == "has text behind the closing quote of a field: a quote inside of quotes is written twice");
  CHECK(mistake({"a", "b"}, "\"one\" ,2").starts_with("has text behind the closing quote"));
  CHECK(mistake({"a", "b"}, "\"one\"\"\",\"2\"\r\n") == R"({"a":"one\"","b":"2"})");
  CHECK(mistake({"a", "b"}, "1,\xff") == "has text that is no UTF-8 in column 'b'");
  CHECK(mistake({"a", "\xff"}, "1,2") == "has no UTF-8 name for its column 2");
}

TEST_CASE("strings are quoted where they would read back as something else") {
  CHECK(csv::quote("plain") == "plain");
  CHECK(csv::quote("12") == "\"12\"");
  CHECK(csv::quote("true") == "\"true\"");
  CHECK(csv::quote("") == "\"\"");
  CHECK(csv::quote("a\"b") == "\"a\"\"b\"");
  CHECK(csv::quote("a\nb") == "\"a\nb\"");
  CHECK(csv::quote("02134") == "02134");
  CHECK(csv::quote(" \t") == "\" \t\"");
}

TEST_CASE("members of an object become fields in their order") {
  auto members = csv::from_json("{\"a\": 1, \"b\":\"x,y\",\"c\":null,\"d\":[1, 2],\"e\":true}");
  REQUIRE(members);
  CHECK(*members
        == std::vector<std::pair<std::string, std::string>>{
          {"a", "1"}, {"b", "\"x,y\""}, {"c", ""}, {"d", "\"[1, 2]\""}, {"e", "true"}});
}

TEST_CASE("a row of one column is never a blank line, which no reader would give back") {
  const std::vector<std::string> objects = {R"({"note":"x"})", R"({"note":""})", R"({"note":null})", "{}",
                                            R"({"note":" "})", R"({"note":1})"};
  csv::row_writer rows{"notes.csv"};
  std::string text;
  for (const auto& each : objects)
    REQUIRE(rows.add(each, text));
  CHECK(text == "note\nx\n\"\"\n\"\"\n\"\"\n\" \"\n1\n");
  CHECK(*csv::to_json({"note"}, csv::split("\"\"\n")) == R"({"note":""})");
  CHECK(*csv::to_json({"note"}, csv::split("\" \"\n")) == R"({"note":" "})");
}

TEST_CASE("of several columns all may be empty; none at all name no file") {
  csv::row_writer rows{"out.csv"};
  std::string text;
  auto none = rows.add("{}", text);
  REQUIRE_FALSE(none);
  CHECK(none.error().message == "file: out.csv: a result without members names no columns");
  CHECK(text.empty());
  REQUIRE(rows.add(R"({"a":null,"b":null})", text));
  CHECK(text == "a,b\n,\n");
}

TEST_CASE("what is no object cannot be a row") {
  for (const char* text : {"1", "[1]", "{\"a\":}", "{} x", ""}) {
    auto members = csv::from_json(text);
    REQUIRE_FALSE(members);
    CHECK(members.error().code == sluice::errc::invalid_argument);
    CHECK(members.error().message.find("csv: a result must be a JSON object: ") == 0);
  }
}
