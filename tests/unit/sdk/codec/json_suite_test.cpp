// Goal: of a large set of documents every valid one is accepted and every invalid one refused with its position,
// whatever type it was to become. The table names its cases as the JSON parsing test suite does: y_ must be
// accepted, n_ refused, i_ is a parser's choice, and the choice is stated.

#include <sluice/codec/codec.hpp>

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

using namespace sluice;
using namespace std::string_view_literals;
using codec::decode_fault;

namespace {

struct item {
  std::string name;
  double price;
};

struct order {
  std::string id;
  std::vector<item> items;
  std::map<std::string, std::optional<int>> counts;
  std::variant<std::monostate, bool, item> extra;
};

struct document {
  std::string_view name;
  std::string_view text;
};

constexpr document accepted[] = {
  {"y_array_empty", "[]"},
  {"y_array_arrays_with_spaces", "[[]   ]"},
  {"y_array_empty_string", "[\"\"]"},
  {"y_array_ending_with_newline", "[\"a\"]\n"},
  {"y_array_false", "[false]"},
  {"y_array_heterogeneous", "[null, 1, \"1\", {}]"},
  {"y_array_null", "[null]"},
  {"y_array_with_1_and_newline", "[1\n]"},
  {"y_array_with_leading_space", " [1]"},
  {"y_array_with_several_null", "[1,null,null,null,2]"},
  {"y_array_with_trailing_space", "[2] "},
  {"y_number_0e+1", "[0e+1]"},
  {"y_number_0e1", "[0e1]"},
  {"y_number_after_space", "[ 4]"},
  {"y_number_close_to_zero",
   "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"},
  {"y_number_int_with_exp", "[20e1]"},
  {"y_number_minus_zero", "[-0]"},
  {"y_number_negative_int", "[-123]"},
  {"y_number_negative_one", "[-1]"},
  {"y_number_capital_e", "[1E22]"},
  {"y_number_capital_e_neg_exp", "[1E-2]"},
  {"y_number_capital_e_pos_exp", "[1E+2]"},
  {"y_number_exponent", "[123e45]"},
  {"y_number_fraction_exponent", "[123.456e78]"},
  {"y_number_neg_exp", "[1e-2]"},
  {"y_number_simple_int", "[123]"},
  {"y_number_simple_real", "[123.456789]"},
  {"y_object_basic", "{\"asd\":\"sdf\"}"},
  {"y_object_duplicated_key_nobody_reads", "{\"a\":\"b\",\"a\":\"c\"}"},
  {"y_object_empty", "{}"},
  {"y_object_empty_key", "{\"\":0}"},
  {"y_object_escaped_null_in_key", "{\"foo\\u0000bar\": 42}"},
  {"y_object_extreme_numbers", "{\"min\": -1.0e+28, \"max\": 1.0e+28}"},
  {"y_object_long_strings", "{\"x\":[{\"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}]}"},
  {"y_object_with_newlines", "{\n\"a\": \"b\"\n}"},
  {"y_string_1_2_3_bytes_UTF-8", "[\"\\u0060\\u012a\\u12AB\"]"},
  {"y_string_accepted_surrogate_pair", "[\"\\uD801\\udc37\"]"},
  {"y_string_accepted_surrogate_pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"},
  {"y_string_allowed_escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"},
  {"y_string_backslash_and_u_escaped_zero", "[\"\\\\u0000\"]"},
  {"y_string_backslash_doublequotes", "[\"\\\"\"]"},
  {"y_string_comments", "[\"a/*b*/c/*d//e\"]"},
  {"y_string_double_escape_a", "[\"\\\\a\"]"},
  {"y_string_escaped_control_character", "[\"\\u0012\"]"},
  {"y_string_escaped_noncharacter", "[\"\\uFFFF\"]"},
  {"y_string_in_array", "[\"asd\"]"},
  {"y_string_last_surrogates_1_and_2", "[\"\\uDBFF\\uDFFF\"]"},
  {"y_string_nonCharacterInUTF-8_U+10FFFF", "[\"\xf4\x8f\xbf\xbf\"]"},
  {"y_string_nonCharacterInUTF-8_U+FFFF", "[\"\xef\xbf\xbf\"]"},
  {"y_string_null_escape", "[\"\\u0000\"]"},
  {"y_string_pi", "[\"\xcf\x80\"]"},
  {"y_string_simple_ascii", "[\"asd \"]"},
  {"y_string_space", "\" \""},
  {"y_string_U+2028_line_sep", "[\"\xe2\x80\xa8\"]"},
  {"y_string_unescaped_DEL", "[\"\x7f\"]"},
  {"y_string_unicode_U+200B_ZERO_WIDTH_SPACE", "[\"\\u200B\"]"},
  {"y_string_utf8", "[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]"},
  {"y_structure_lonely_false", "false"},
  {"y_structure_lonely_int", "42"},
  {"y_structure_lonely_negative_real", "-0.1"},
  {"y_structure_lonely_null", "null"},
  {"y_structure_lonely_string", "\"asd\""},
  {"y_structure_string_empty", "\"\""},
  {"y_structure_whitespace_array", " [] "},
  // Left to the parser, and accepted here.
  {"i_number_double_huge_neg_exp", "[123.456e-789]"},
  {"i_number_huge_exp_that_nobody_reads",
   "[0.4e00669999999999999999999999999999999999999999999999999969999999006]"},
  {"i_number_too_big_pos_int_that_nobody_reads", "[100000000000000000000]"},
  {"i_structure_32_nested_arrays", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
};

constexpr document refused[] = {
  {"n_array_1_true_without_comma", "[1 true]"},
  {"n_array_invalid_utf8", "[a\xe5]"},
  {"n_array_colon_instead_of_comma", "[\"\": 1]"},
  {"n_array_comma_after_close", "[\"\"],"},
  {"n_array_comma_and_number", "[,1]"},
  {"n_array_double_comma", "[1,,2]"},
  {"n_array_double_extra_comma", "[\"x\",,]"},
  {"n_array_extra_close", "[\"x\"]]"},
  {"n_array_extra_comma", "[\"\",]"},
  {"n_array_incomplete", "[\"x\""},
  {"n_array_incomplete_invalid_value", "[x"},
  {"n_array_inner_array_no_comma", "[3[4]]"},
  {"n_array_items_separated_by_semicolon", "[1:2]"},
  {"n_array_just_comma", "[,]"},
  {"n_array_just_minus", "[-]"},
  {"n_array_missing_value", "[   , \"\"]"},
  {"n_array_newlines_unclosed", "[\"a\",\n4\n,1,"},
  {"n_array_number_and_comma", "[1,]"},
  {"n_array_spaces_vertical_tab_formfeed", "[\"\x0b\"\\f]"},
  {"n_array_star_inside", "[*]"},
  {"n_array_unclosed", "[\"\""},
  {"n_array_unclosed_with_object_inside", "[{}"},
  {"n_incomplete_false", "[fals]"},
  {"n_incomplete_null", "[nul]"},
  {"n_incomplete_true", "[tru]"},
  {"n_multidigit_number_then_00", "123\0"sv},
  {"n_number_++", "[++1234]"},
  {"n_number_+1", "[+1]"},
  {"n_number_+Inf", "[+Inf]"},
  {"n_number_-01", "[-01]"},
  {"n_number_-1.0.", "[-1.0.]"},
  {"n_number_-2.", "[-2.]"},
  {"n_number_-NaN", "[-NaN]"},
  {"n_number_.-1", "[.-1]"},
  {"n_number_.2e-3", "[.2e-3]"},
  {"n_number_0.1.2", "[0.1.2]"},
  {"n_number_0.3e", "[0.3e]"},
  {"n_number_0.3e+", "[0.3e+]"},
  {"n_number_0.e1", "[0.e1]"},
  {"n_number_0_capital_E", "[0E]"},
  {"n_number_0_capital_E+", "[0E+]"},
  {"n_number_1.0e-", "[1.0e-]"},
  {"n_number_1_000", "[1 000.0]"},
  {"n_number_1eE2", "[1eE2]"},
  {"n_number_2.e+3", "[2.e+3]"},
  {"n_number_9.e+", "[9.e+]"},
  {"n_number_expression", "[1+2]"},
  {"n_number_hex_1_digit", "[0x1]"},
  {"n_number_hex_2_digits", "[0x42]"},
  {"n_number_Inf", "[Inf]"},
  {"n_number_infinity", "[Infinity]"},
  {"n_number_invalid+-", "[0e+-1]"},
  {"n_number_invalid_negative_real", "[-123.123foo]"},
  {"n_number_invalid_utf8_after_digit", "[1\xe5]"},
  {"n_number_minus_infinity", "[-Infinity]"},
  {"n_number_minus_sign_with_trailing_garbage", "[-foo]"},
  {"n_number_minus_space_1", "[- 1]"},
  {"n_number_NaN", "[NaN]"},
  {"n_number_neg_int_starting_with_zero", "[-012]"},
  {"n_number_real_garbage_after_e", "[1ea]"},
  {"n_number_real_without_fractional_part", "[1.]"},
  {"n_number_starting_with_dot", "[.123]"},
  {"n_number_full_width_digit_one", "[\xef\xbc\x91]"},
  {"n_number_with_alpha", "[1.2a-3]"},
  {"n_number_with_leading_zero", "[012]"},
  {"n_object_bad_value", "[\"x\", truth]"},
  {"n_object_bracket_key", "{[: \"x\"}\n"},
  {"n_object_comma_instead_of_colon", "{\"x\", null}"},
  {"n_object_double_colon", "{\"x\"::\"b\"}"},
  {"n_object_emoji", "{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}"},
  {"n_object_garbage_at_end", "{\"a\":\"a\" 123}"},
  {"n_object_key_with_single_quotes", "{key: 'value'}"},
  {"n_object_lone_continuation_byte_in_key", "{\"\xb9\":\"0\",}"},
  {"n_object_missing_colon", "{\"a\" b}"},
  {"n_object_missing_key", "{:\"b\"}"},
  {"n_object_missing_semicolon", "{\"a\" \"b\"}"},
  {"n_object_missing_value", "{\"a\":"},
  {"n_object_no_colon", "{\"a\""},
  {"n_object_non_string_key", "{1:1}"},
  {"n_object_repeated_null_null", "{null:null,null:null}"},
  {"n_object_several_trailing_commas", "{\"id\":0,,,,,}"},
  {"n_object_single_quote", "{'a':0}"},
  {"n_object_trailing_comma", "{\"id\":0,}"},
  {"n_object_trailing_comment", "{\"a\":\"b\"}/**/"},
  {"n_object_trailing_comment_slash", "{\"a\":\"b\"}//"},
  {"n_object_trailing_comment_open", "{\"a\":\"b\"}/**//"},
  {"n_object_two_commas_in_a_row", "{\"a\":\"b\",,\"c\":\"d\"}"},
  {"n_object_unquoted_key", "{a: \"b\"}"},
  {"n_object_unterminated_value", "{\"a\":\"a"},
  {"n_object_with_single_string", "{ \"foo\" : \"bar\", \"a\" }"},
  {"n_object_with_trailing_garbage", "{\"a\":\"b\"}#"},
  {"n_single_space", " "},
  {"n_string_1_surrogate_then_escape", "[\"\\uD800\\\"]"},
  {"n_string_1_surrogate_then_escape_u", "[\"\\uD800\\u\"]"},
  {"n_string_1_surrogate_then_escape_u1", "[\"\\uD800\\u1\"]"},
  {"n_string_1_surrogate_then_escape_u1x", "[\"\\uD800\\u1x\"]"},
  {"n_string_accentuated_char_no_quotes", "[\xc3\xa9]"},
  {"n_string_backslash_00", "[\"\\\0\"]"sv},
  {"n_string_escape_x", "[\"\\x00\"]"},
  {"n_string_escaped_backslash_bad", "[\"\\\\\\\"]"},
  {"n_string_escaped_ctrl_char_tab", "[\"\\\t\"]"},
  {"n_string_escaped_emoji", "[\"\\\xf0\x9f\x8c\x80\"]"},
  {"n_string_incomplete_escape", "[\"\\\"]"},
  {"n_string_incomplete_escaped_character", "[\"\\u00A\"]"},
  {"n_string_incomplete_surrogate", "[\"\\uD834\\uDd\"]"},
  {"n_string_incomplete_surrogate_escape_invalid", "[\"\\uD800\\uD800\\x\"]"},
  {"n_string_invalid_utf-8_in_escape", "[\"\\u\xe5\"]"},
  {"n_string_invalid_backslash_esc", "[\"\\a\"]"},
  {"n_string_invalid_unicode_escape", "[\"\\uqqqq\"]"},
  {"n_string_invalid_utf8_after_escape", "[\"\\\xe5\"]"},
  {"n_string_leading_uescaped_thinspace", "[\\u0020\"asd\"]"},
  {"n_string_no_quotes_with_bad_escape", "[\\n]"},
  {"n_string_single_doublequote", "\""},
  {"n_string_single_quote", "['single quote']"},
  {"n_string_single_string_no_double_quotes", "abc"},
  {"n_string_start_escape_unclosed", "[\"\\"},
  {"n_string_unescaped_ctrl_char", "[\"a\0a\"]"sv},
  {"n_string_unescaped_newline", "[\"new\nline\"]"},
  {"n_string_unescaped_tab", "[\"\t\"]"},
  {"n_string_unicode_CapitalU", "\"\\UA66D\""},
  {"n_string_with_trailing_garbage", "\"\"x"},
  {"n_structure_angle_bracket", "[<null>]"},
  {"n_structure_array_trailing_garbage", "[1]x"},
  {"n_structure_array_with_extra_array_close", "[1]]"},
  {"n_structure_array_with_unclosed_string", "[\"asd]"},
  {"n_structure_ascii_unicode_identifier", "a\xc3\xa5"},
  {"n_structure_capitalized_True", "[True]"},
  {"n_structure_close_unopened_array", "1]"},
  {"n_structure_comma_instead_of_closing_brace", "{\"x\": true,"},
  {"n_structure_double_array", "[][]"},
  {"n_structure_end_array", "]"},
  {"n_structure_incomplete_UTF8_BOM", "\xef\xbb{}"},
  {"n_structure_lone_invalid_utf-8", "\xe5"},
  {"n_structure_lone_open_bracket", "["},
  {"n_structure_no_data", ""},
  {"n_structure_null-byte-outside-string", "[\0]"sv},
  {"n_structure_number_with_trailing_garbage", "2@"},
  {"n_structure_object_followed_by_closing_object", "{}}"},
  {"n_structure_object_unclosed_no_value", "{\"\":"},
  {"n_structure_object_with_comment", "{\"a\":/*comment*/\"b\"}"},
  {"n_structure_object_with_trailing_garbage", "{\"a\": true} \"x\""},
  {"n_structure_open_array_apostrophe", "['"},
  {"n_structure_open_array_comma", "[,"},
  {"n_structure_open_array_open_object", "[{"},
  {"n_structure_open_object", "{"},
  {"n_structure_open_object_close_array", "{]"},
  {"n_structure_open_object_comma", "{,"},
  {"n_structure_open_object_open_array", "{["},
  {"n_structure_open_object_open_string", "{\"a"},
  {"n_structure_open_open", "[\"\\{[\"\\{[\"\\{[\"\\{"},
  {"n_structure_single_star", "*"},
  {"n_structure_trailing_hash", "{\"a\":\"b\"}#{}"},
  {"n_structure_U+2060_word_joined", "[\xe2\x81\xa0]"},
  {"n_structure_uescaped_LF_before_string", "[\\u000A\"\"]"},
  {"n_structure_unclosed_array_partial_null", "[ false, nul"},
  {"n_structure_unclosed_array_unfinished_true", "[ false, tru"},
  {"n_structure_unclosed_object", "{\"asd\":\"asd\""},
  {"n_structure_unicode-identifier", "\xc3\xa5"},
  {"n_structure_UTF8_BOM_no_data", "\xef\xbb\xbf"},
  {"n_structure_whitespace_formfeed", "[\x0c]"},
  {"n_structure_whitespace_U+00A0", "[\xc2\xa0]"},
  // Left to the parser, and refused here.
  {"i_object_key_lone_2nd_surrogate", "{\"\\uDFAA\":0}"},
  {"i_string_1st_surrogate_but_2nd_missing", "[\"\\uDADA\"]"},
  {"i_string_1st_valid_surrogate_2nd_invalid", "[\"\\uD888\\u1234\"]"},
  {"i_string_incomplete_surrogate_and_escape_valid", "[\"\\uD800\\n\"]"},
  {"i_string_inverted_surrogates_U+1D11E", "[\"\\uDd1e\\uD834\"]"},
  {"i_string_invalid_utf-8", "[\"\xff\"]"},
  {"i_string_iso_latin_1", "[\"\xe9\"]"},
  {"i_string_lone_utf8_continuation_byte", "[\"\x81\"]"},
  {"i_string_not_in_unicode_range", "[\"\xf4\xbf\xbf\xbf\"]"},
  {"i_string_overlong_sequence_2_bytes", "[\"\xc0\xaf\"]"},
  {"i_string_overlong_sequence_6_bytes", "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]"},
  {"i_string_truncated-utf-8", "[\"\xe0\xff\"]"},
  {"i_string_UTF-16LE_with_BOM", "\xff\xfe[\0\"\0\xe9\0\"\0]\0"sv},
  {"i_string_UTF-8_invalid_surrogate", "[\"\xed\xa0\x80\"]"},
  {"i_structure_33_nested_arrays", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
  {"i_structure_UTF-8_BOM_empty_object", "\xef\xbb\xbf{}"},
};

/// Calls `use` with the error, if any, of reading `text` as each of several types.
template <class Use>
void as_each_type(std::string_view text, Use use) {
  auto read = [&]<class T>(T*) {
    auto value = codec::try_decode<T>(text);
    use(value ? nullptr : &value.error());
  };
  read(static_cast<order*>(nullptr));
  read(static_cast<int*>(nullptr));
  read(static_cast<std::vector<std::string>*>(nullptr));
  read(static_cast<std::map<int, bool>*>(nullptr));
  read(static_cast<std::optional<std::pair<double, bytes>>*>(nullptr));
  read(static_cast<std::variant<item, std::string>*>(nullptr));
}

using chance = std::mt19937;

std::string blanks(chance& from) {
  std::string text;
  while (from() % 4 == 0)
    text.push_back(" \t\r\n"[from() % 4]);
  return text;
}

std::string make_string(chance& from) {
  constexpr std::string_view pieces[] = {"a",
                                         "Z",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\b",
                                         "\\u0041",
                                         "\\uFfFf",
                                         "\xc3\xa4",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\\ud83d\\ude00",
                                         "\\u0000",
                                         "\x7f"};
  std::string text = "\"";
  for (auto count = from() % 6; count > 0; --count)
    text += pieces[from() % std::size(pieces)];
  return text + "\"";
}

std::string make_number(chance& from) {
  std::string text = from() % 2 == 0 ? "-" : "";
  text += from() % 3 == 0 ? "0" : std::to_string(1 + from() % 1'000'000'000);
  if (from() % 3 == 0)
    text += "." + std::to_string(from());
  if (from() % 3 == 0)
    text.append({"eE"[from() % 2]}).append(from() % 2 == 0 ? "" : "-").append(std::to_string(from() % 200));
  return text;
}

/// A valid document, made by the grammar.
std::string make_json(chance& from, int depth) {
  std::string text = blanks(from);
  auto kind = from() % (depth == 0 ? 4 : 6);
  if (kind == 0)
    text += std::array{"null", "true", "false"}[from() % 3];
  else if (kind <= 1)
    text += make_number(from);
  else if (kind <= 3)
    text += make_string(from);
  else {
    bool is_array = kind == 4;
    text.push_back(is_array ? '[' : '{');
    text += blanks(from);
    for (auto count = from() % 4; count > 0; --count) {
      if (!is_array)
        text += blanks(from) + make_string(from) + blanks(from) + ":";
      text += make_json(from, depth - 1);
      text += count > 1 ? "," : "";
    }
    text.push_back(is_array ? ']' : '}');
  }
  return text + blanks(from);
}

} // namespace

TEST_CASE("every valid document is accepted") {
  for (const auto& [name, text] : accepted) {
    auto value = codec::try_decode<json_text>(text);
    CHECK_MESSAGE(value, name);
    as_each_type(text, [&](const codec::decode_error* error) {
      CHECK_MESSAGE((error == nullptr || error->fault == decode_fault::type), name);
    });
  }
}

TEST_CASE("every invalid document is refused as such, with a position within it") {
  for (const auto& [name, text] : refused) {
    auto check = [&](const codec::decode_error* error) {
      REQUIRE_MESSAGE(error != nullptr, name);
      CHECK_MESSAGE(error->fault == decode_fault::syntax, name);
      CHECK_MESSAGE(error->offset <= text.size(), name);
    };
    auto value = codec::try_decode<json_text>(text);
    check(value ? nullptr : &value.error());
    as_each_type(text, check);
  }
}

TEST_CASE("documents made by the grammar are accepted, and compact ones say the same") {
  chance from{21};
  for (int round = 0; round < 3000; ++round) {
    auto text = make_json(from, 5);
    auto value = codec::try_decode<json_text>(text);
    REQUIRE_MESSAGE(value, text);
    CHECK(value->text.size() <= text.size());
    boost::json::error_code error;
    auto there = boost::json::parse(text, error);
    if (!error) // it minds exponents that are large
      CHECK(boost::json::parse(value->text) == there);
    as_each_type(text, [&](const codec::decode_error* error) {
      CHECK((error == nullptr || error->fault == decode_fault::type));
    });
  }
}

TEST_CASE("a document that is cut off anywhere is refused as such") {
  chance from{22};
  for (int round = 0; round < 150; ++round) {
    auto text = "[" + make_json(from, 4) + "]";
    for (std::size_t size = 0; size < text.size(); ++size) {
      auto value = codec::try_decode<json_text>(std::string_view{text}.substr(0, size));
      REQUIRE_FALSE_MESSAGE(value, text.substr(0, size));
      CHECK(value.error().fault == decode_fault::syntax);
    }
  }
}

TEST_CASE("a document with any byte changed is judged as Boost.JSON judges it, and never crashes") {
  chance from{23};
  for (int round = 0; round < 3000; ++round) {
    auto text = make_json(from, 4);
    text[from() % text.size()] = static_cast<char>(from());
    boost::json::error_code error;
    auto there = boost::json::parse(text, error);
    if (error == boost::json::error::exponent_overflow)
      continue;
    auto value = codec::try_decode<json_text>(text);
    CHECK_MESSAGE(value.has_value() == !error, text);
    as_each_type(text, [&](const codec::decode_error* here) {
      if (error)
        CHECK((here != nullptr && here->fault == decode_fault::syntax));
    });
  }
}
