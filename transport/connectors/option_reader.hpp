#pragma once

#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace sluice::connectors {

/// Reads the options of one source or sink. Keeps the first mistake; what was not read
/// is unknown, and refused by `check`.
class option_reader {
public:
  explicit option_reader(const io_spec& spec) : spec_(spec) {}

  /// Must be there and not empty.
  std::string required(const std::string& name);
  std::string one_of(const std::string& name, std::initializer_list<std::string_view> allowed,
                     std::string_view otherwise);
  /// Empty if it is not there.
  std::string optional(const std::string& name);
  bool flag(const std::string& name, bool otherwise);
  /// Must be there.
  std::uint64_t number(const std::string& name, std::uint64_t min, std::uint64_t max);

  /// Fails with `invalid_argument`, naming the kind and the option.
  result<void> check() const;

private:
  const std::string* find(const std::string& name);
  void refuse(std::string mistake);

  const io_spec& spec_;
  std::set<std::string> known_;
  std::optional<std::string> mistake_;
};

} // namespace sluice::connectors
