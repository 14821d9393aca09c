#include "transport/http/gzip.hpp"

#include "transport/http/head_check.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace sluice::http {

namespace {

class compressor {
public:
  compressor() {
    constexpr int gzip_window = 15 + 16; // 16: with the header of gzip instead of zlib's
    constexpr int memory_level = 8;
    ready_ =
      deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~compressor() {
    if (ready_)
      deflateEnd(&stream_);
  }
  compressor(const compressor&) = delete;
  compressor& operator=(const compressor&) = delete;

  std::optional<std::string> run(std::string_view text) {
    if (!ready_ || deflateReset(&stream_) != Z_OK || text.size() > std::numeric_limits<uInt>::max())
      return std::nullopt;
    std::string out(text.size(), '\0'); // what does not fit is not shorter
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END)
      return std::nullopt;
    out.resize(out.size() - stream_.avail_out);
    return out;
  }

private:
  z_stream stream_{};
  bool ready_ = false;
};

constexpr std::string_view compressible[] = {
  "application/json",    "application/javascript", "application/xml",     "application/xhtml+xml",
  "application/graphql", "application/x-ndjson",   "application/rss+xml", "image/svg+xml",
  "application/wasm",    "application/yaml",
};

} // namespace

std::optional<std::string> gzip(std::string_view text) {
  thread_local compressor mine;
  return mine.run(text);
}

bool worth_compressing(std::string_view content_type) noexcept {
  auto type = content_type.substr(0, content_type.find_first_of("; \t"));
  if (same_token(type, "text/event-stream"))
    return false;
  if (type.size() > 5 && same_token(type.substr(0, 5), "text/"))
    return true;
  if (type.size() > 5 && same_token(type.substr(type.size() - 5), "+json"))
    return true;
  return std::ranges::any_of(compressible, [&](std::string_view known) { return same_token(type, known); });
}

} // namespace sluice::http
