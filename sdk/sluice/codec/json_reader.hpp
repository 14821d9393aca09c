#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::codec {

/// Deepest nesting of arrays and objects that is read or written. Bounds the stack.
constexpr int depth_max = 32;

/// What the next value looks like from its first character.
enum class json_kind : std::uint8_t { null, boolean, number, string, array, object, nothing };

std::string_view to_string(json_kind kind) noexcept;

/// What a step through an array or object came upon.
enum class json_step : std::uint8_t { item, end, error };

/// Why a document could not be read: built from the inside out, while the calls return.
struct json_error {
  std::string path;       ///< ".items[2].price"; the caller puts the root's name before it
  std::string message;    ///< "expected number, got string"
  bool is_syntax = false; ///< no JSON, or beyond the bounds; not a wrong type

  void under_field(std::string_view name) { path.insert(0, std::string{"."}.append(name)); }
  void under_index(std::size_t index) { path.insert(0, "[" + std::to_string(index) + "]"); }
};

/// Appends valid JSON without the blanks between its tokens.
void append_compact(std::string& out, std::string_view json);

/// Reads one JSON document (RFC 8259, strictly; UTF-8 checked) front to back, told by the
/// caller which type comes next, so that no tree is built between text and value.
///
/// Why not Boost.JSON here: its 1.81 parser misses one double in ten by a bit, and a tree
/// costs an allocation per node. `tests/unit/sdk/codec` compares the two.
///
/// Every function that returns false or `json_step::error` has set `error()`; the reader is
/// then of no further use. One thread; the text must outlive it.
class json_reader {
public:
  /// `depth`: arrays and objects that the text will stand in.
  explicit json_reader(std::string_view text, int depth = 0) noexcept
    : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()), depth_(depth) {}

  /// Refuses a document of more than `limits::record_size_bytes_max`.
  bool check_size();

  /// Skips blanks and looks at the next value without taking it.
  json_kind peek() noexcept;

  bool read_null();
  bool read_bool(bool& out);
  bool read_string(std::string& out);

  /// Gives the number's text, checked against the grammar. `expected` is for the error.
  bool read_number(std::string_view& out, std::string_view expected);

  bool enter_array(std::string_view expected = "array");
  /// `first` true on the first call for this array, then false.
  json_step next_element(bool first);

  bool enter_object(std::string_view expected = "object");
  /// `key` is valid until the next key is read.
  json_step next_member(bool first, std::string_view& key);

  /// Reads and checks a value of any type, and forgets it.
  bool skip_value();
  /// The same, giving its text without blanks.
  bool read_any(std::string& out);

  /// Goes through an object up to its first member called `name`, which must be there and a string that is
  /// one of `expected`.
  bool find_string(std::string_view name, std::string& out, std::string_view expected);

  /// Only blanks may follow.
  bool finish();

  /// Sets "expected X, got Y" for the next value, or the syntax error that stands there.
  bool refuse_kind(std::string_view expected);
  bool refuse(std::string message);

  /// How many bytes of the document have been read.
  std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

  json_error& error() noexcept { return error_; }

  /// How the message of a syntax error begins; the byte follows, then ':'.
  static constexpr std::string_view syntax_lead = "not valid JSON at byte ";

private:
  void skip_blanks() noexcept;
  bool syntax_error(std::string_view expected);
  bool refuse_bound(std::string message);
  bool enter();
  bool scan_string(std::string* out);
  bool scan_escape(std::string* out);
  bool scan_hex4(std::uint32_t& out);
  bool read_key(std::string_view& key);

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_;
  std::string scratch_; ///< a key that has escapes
  json_error error_;
};

} // namespace sluice::codec
