#include "transport/link/hello_codec.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace sluice::link {

namespace {

constexpr std::uint32_t magic = 0x314b4c53; // "SLK1"
constexpr std::size_t text_bytes_max = 128;
constexpr std::size_t pem_bytes_max = 6u << 10;

class writer {
public:
  template <class T>
  requires std::is_integral_v<T> writer& put(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
    return *this;
  }

  writer& put(std::string_view text, std::size_t bytes_max) {
    text = text.substr(0, bytes_max);
    put(static_cast<std::uint16_t>(text.size()));
    out_.append(text);
    return *this;
  }

  std::string take() { return std::move(out_); }

private:
  std::string out_;
};

/// Reads what `writer` wrote; after the first failure everything reads as empty.
class reader {
public:
  explicit reader(std::string_view body) : rest_(body) {}

  template <class T>
  T get() {
    T value{};
    if (take(sizeof(T)))
      std::memcpy(&value, taken_.data(), sizeof(T));
    return value;
  }

  std::string text(std::size_t bytes_max) {
    std::size_t size = get<std::uint16_t>();
    if (size > bytes_max)
      good_ = false;
    return take(size) ? std::string{taken_} : std::string{};
  }

  bool done() const { return good_ && rest_.empty(); }

private:
  bool take(std::size_t count) {
    if (!good_ || rest_.size() < count)
      return good_ = false;
    taken_ = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }

  std::string_view rest_;
  std::string_view taken_;
  bool good_ = true;
};

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

} // namespace

std::string encode_hello(const hello& self) {
  return writer{}
    .put(magic)
    .put(self.protocol_version)
    .put(static_cast<std::uint8_t>(self.role))
    .put(self.started.bits[0])
    .put(self.started.bits[1])
    .put(self.cluster_id, text_bytes_max)
    .put(self.name, text_bytes_max)
    .put(self.sluice_version, text_bytes_max)
    .take();
}

result<hello> decode_hello(std::string_view body) {
  reader in{body};
  if (in.get<std::uint32_t>() != magic)
    return fail(errc::unsupported, "the peer does not speak the Sluice link protocol");
  hello peer;
  peer.protocol_version = in.get<std::uint16_t>();
  auto role = in.get<std::uint8_t>();
  peer.started.bits[0] = in.get<std::uint64_t>();
  peer.started.bits[1] = in.get<std::uint64_t>();
  peer.cluster_id = in.text(text_bytes_max);
  peer.name = in.text(text_bytes_max);
  peer.sluice_version = in.text(text_bytes_max);
  bool texts_ok =
    is_printable(peer.cluster_id) && is_printable(peer.name) && is_printable(peer.sluice_version);
  if (!in.done() || role < 1 || role > 3 || !texts_ok)
    return fail(errc::corrupt, "the peer's hello cannot be read");
  peer.role = static_cast<peer_role>(role);
  return peer;
}

std::string encode_goodbye(const failure& why) {
  return writer{}
    .put(static_cast<std::uint8_t>(why.code))
    .put(why.message, limits::goodbye_text_bytes_max)
    .take();
}

failure decode_goodbye(std::string_view body) {
  reader in{body};
  auto code = in.get<std::uint8_t>();
  auto text = in.text(limits::goodbye_text_bytes_max);
  if (!in.done() || code == 0 || code > static_cast<std::uint8_t>(errc::internal))
    return {errc::corrupt, "the peer closed the link with a reason that cannot be read"};
  std::replace_if(
    text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return {static_cast<errc>(code), std::move(text)};
}

std::string encode_join(const join_request& request) {
  return writer{}
    .put(magic)
    .put(request.token, text_bytes_max)
    .put(request.name, text_bytes_max)
    .put(request.request_pem, pem_bytes_max)
    .take();
}

result<join_request> decode_join(std::string_view body) {
  reader in{body};
  join_request request;
  auto mark = in.get<std::uint32_t>();
  request.token = in.text(text_bytes_max);
  request.name = in.text(text_bytes_max);
  request.request_pem = in.text(pem_bytes_max);
  if (!in.done() || mark != magic || !is_printable(request.token) || !is_printable(request.name))
    return fail(errc::corrupt, "the join request cannot be read");
  return request;
}

std::string encode_grant(const join_grant& grant) {
  return writer{}
    .put(magic)
    .put(grant.cluster_id, text_bytes_max)
    .put(grant.name, text_bytes_max)
    .put(grant.certificate_pem, pem_bytes_max)
    .put(grant.ca_pem, pem_bytes_max)
    .take();
}

result<join_grant> decode_grant(std::string_view body) {
  reader in{body};
  join_grant grant;
  auto mark = in.get<std::uint32_t>();
  grant.cluster_id = in.text(text_bytes_max);
  grant.name = in.text(text_bytes_max);
  grant.certificate_pem = in.text(pem_bytes_max);
  grant.ca_pem = in.text(pem_bytes_max);
  if (!in.done() || mark != magic)
    return fail(errc::corrupt, "the answer to the join request cannot be read");
  return grant;
}

result<void> check_hello(const hello& self, const hello& peer) {
  if (peer.protocol_version != self.protocol_version)
    return fail(errc::unsupported, "link protocol " + std::to_string(peer.protocol_version) + " (Sluice "
                                     + peer.sluice_version + ") meets protocol "
                                     + std::to_string(self.protocol_version) + " (Sluice "
                                     + self.sluice_version + "): install the same release on both sides");
  if (!self.cluster_id.empty() && !peer.cluster_id.empty() && peer.cluster_id != self.cluster_id)
    return fail(errc::permission_denied, "'" + peer.name + "' belongs to cluster " + peer.cluster_id + ", '"
                                           + self.name + "' to cluster " + self.cluster_id);
  if (peer.name.empty())
    return fail(errc::invalid_argument, "the peer's hello has no name");
  if (!peer.started)
    return fail(errc::invalid_argument, "the hello of '" + peer.name + "' has no incarnation");
  return {};
}

} // namespace sluice::link
