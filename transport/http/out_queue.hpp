#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct iovec;

namespace sluice::http {

/// Bytes that wait to be sent, in order. Short pieces are put behind one another, so that many small
/// answers go out as one; long ones are moved and not copied. One thread at a time.
class out_queue {
public:
  void add(std::string_view bytes);
  void add(std::string&& bytes);
  /// Bytes that are sent to others too: never copied.
  void add(std::shared_ptr<const std::string> bytes);

  std::size_t bytes() const noexcept { return bytes_; }

  /// Points `pieces` at the front of the queue; returns how many of them were used.
  std::size_t gather(std::span<iovec> pieces);
  /// The first `count` bytes have gone. @pre count <= bytes()
  void drop(std::size_t count);

private:
  struct piece {
    std::string own;
    std::shared_ptr<const std::string> shared = {}; ///< instead, if there is one

    const std::string& bytes() const noexcept { return shared ? *shared : own; }
  };

  bool joins(std::size_t count) const noexcept;

  std::vector<piece> pieces_;
  std::size_t first_ = 0;  ///< index of what is sent next
  std::size_t offset_ = 0; ///< what of it has gone
  std::size_t bytes_ = 0;
};

} // namespace sluice::http
