#include "transport/process/log_format.hpp"

#include <algorithm>
#include <chrono>

namespace sluice::process {

namespace {

/// Length of the UTF-8 sequence at the start of `text`, or 0 if it is none.
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(0);
  std::size_t length = 0;
  std::uint32_t point = 0;
  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
    point = first & 0x1f;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    point = first & 0x0f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    point = first & 0x07;
  } else {
    return 0;
  }
  if (text.size() < length)
    return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
    point = (point << 6) | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return overlong || surrogate || point > 0x10ffff ? 0 : length;
}

bool is_control(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1)
    return (first < 0x20 && first != '\t') || first == 0x7f;
  // C1 controls U+0080..U+009F, and U+2028/2029 and the bidi overrides that reorder a line.
  if (sequence.size() == 2)
    return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
  if (sequence.size() == 3 && first == 0xe2) {
    const auto second = static_cast<unsigned char>(sequence[1]);
    const auto third = static_cast<unsigned char>(sequence[2]);
    return (second == 0x80 && third >= 0xa8 && third <= 0xae)
           || (second == 0x81 && third >= 0xa6 && third <= 0xa9);
  }
  return false;
}

} // namespace

std::size_t append_escaped(std::string& out, std::string_view text, std::size_t size_max) {
  constexpr char digits[] = "0123456789abcdef";
  const std::size_t end = out.size() + size_max;
  std::size_t used = 0;
  while (used < text.size()) {
    // The common case in one go: printable ASCII.
    std::size_t plain = used;
    while (plain < text.size() && ((text[plain] >= 0x20 && text[plain] < 0x7f) || text[plain] == '\t'))
      ++plain;
    const auto count = std::min(plain - used, end - out.size());
    out.append(text, used, count);
    used += count;
    if (used < plain || used == text.size())
      break;
    auto length = utf8_length(text.substr(used));
    const bool is_shown = length > 0 && !is_control(text.substr(used, length));
    if (length == 0)
      length = 1;
    if (out.size() + (is_shown ? length : 4 * length) > end)
      break;
    if (is_shown) {
      out.append(text, used, length);
    } else {
      for (std::size_t i = 0; i < length; ++i) {
        const auto byte = static_cast<unsigned char>(text[used + i]);
        out.append({'\\', 'x', digits[byte >> 4], digits[byte & 15]});
      }
    }
    used += length;
  }
  return used;
}

void line_formatter::feed(std::string_view bytes, std::string_view prefix, std::string& out) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    keep(bytes.substr(0, newline));
    if (newline == std::string_view::npos)
      return;
    end_line(prefix, out);
    bytes.remove_prefix(newline + 1);
  }
}

void line_formatter::finish(std::string_view prefix, std::string& out) {
  if (!line_.empty() || beyond_count_ > 0)
    end_line(prefix, out);
}

void line_formatter::keep(std::string_view piece) {
  const auto count = std::min(piece.size(), line_bytes_max_ - line_.size());
  line_.append(piece, 0, count);
  beyond_count_ += piece.size() - count;
}

void line_formatter::end_line(std::string_view prefix, std::string& out) {
  if (beyond_count_ == 0 && !line_.empty() && line_.back() == '\r')
    line_.pop_back();
  out.append(prefix);
  const auto used = append_escaped(out, line_, line_bytes_max_);
  if (const auto cut = beyond_count_ + (line_.size() - used); cut > 0)
    out += " [cut: " + std::to_string(cut) + " bytes more]";
  out.push_back('\n');
  line_.clear();
  beyond_count_ = 0;
}

std::string to_timestamp(std::int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds{unix_ms}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  // Digit by digit: who logs each request does this more often than anything else that writes text.
  std::string out = "0000-00-00T00:00:00.000Z";
  const auto put = [&out](std::size_t last, auto value) {
    for (auto rest = static_cast<unsigned>(value); rest > 0; rest /= 10)
      out[last--] = static_cast<char>('0' + rest % 10);
  };
  put(3, std::clamp(int{date.year()}, 0, 9999));
  put(6, unsigned{date.month()});
  put(9, unsigned{date.day()});
  put(12, time.hours().count());
  put(15, time.minutes().count());
  put(18, time.seconds().count());
  put(22, time.subseconds().count());
  return out;
}

} // namespace sluice::process
