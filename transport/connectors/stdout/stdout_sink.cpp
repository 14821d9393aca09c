#include "transport/connectors/stdout/stdout_sink.hpp"

#include "transport/connectors/option_reader.hpp"

#include <cerrno>
#include <cstring>
#include <mutex>
#include <poll.h>
#include <string>
#include <unistd.h>

namespace sluice::connectors::stdout_sink {

namespace {

/// One descriptor, several replicas: a pipe takes a large write in pieces.
std::mutex& line_mutex() {
  static std::mutex mutex;
  return mutex;
}

class printer final : public sink {
public:
  explicit printer(int fd) : fd_(fd) {}

  result<void> open() override { return {}; }

  result<void> push(const record_block& results) override {
    std::string lines;
    lines.reserve(results.bytes().size());
    for (auto record : results) {
      lines += record.payload;
      lines += '\n';
    }
    std::lock_guard lock{line_mutex()};
    for (std::string_view left{lines}; !left.empty();) {
      const auto count = ::write(fd_, left.data(), left.size());
      if (count >= 0) {
        left.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        pollfd ready{fd_, POLLOUT, 0};
        ::poll(&ready, 1, -1);
      } else if (errno != EINTR) {
        const bool is_gone = errno == EPIPE || errno == EBADF; // who read it does not come back
        return fail(is_gone ? errc::not_found : errc::unavailable,
                    std::string{"stdout: "} + std::strerror(errno));
      }
    }
    return {};
  }

private:
  int fd_;
};

result<std::unique_ptr<sink>> make(const io_spec& spec) {
  option_reader options{spec};
  if (auto ok = options.check(); !ok)
    return fail(ok);
  return std::make_unique<printer>(STDOUT_FILENO);
}

} // namespace

void add_to(connector_registry& registry) { registry.add_sink("stdout", make); }

std::unique_ptr<sink> make_for_test(int fd) { return std::make_unique<printer>(fd); }

} // namespace sluice::connectors::stdout_sink
