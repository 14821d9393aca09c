#pragma once

#include "runtime/cli/command.hpp"

#include <string>
#include <string_view>

namespace sluice::cli {

/// Colours where the stream can show them, the plain text where not.
class style {
public:
  explicit style(const terminal& where) : colours_(where.colours) {}

  std::string error(std::string_view text) const { return paint("1;31", text); }
  std::string good(std::string_view text) const { return paint("32", text); }
  std::string warning(std::string_view text) const { return paint("33", text); }
  std::string bad(std::string_view text) const { return paint("31", text); }
  std::string title(std::string_view text) const { return paint("1", text); }
  std::string dim(std::string_view text) const { return paint("2", text); }

  /// By what a phase or a severity means: running is good, suspect is a warning, dead is bad.
  std::string phase(std::string_view word) const;

private:
  std::string paint(const char* code, std::string_view text) const;

  bool colours_;
};

} // namespace sluice::cli
