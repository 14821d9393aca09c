#include "transport/peer/http_codec.hpp"

#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <utility>

namespace sluice::peer {

namespace pb = sluice::link::v1;

namespace {

static_assert(std::endian::native == std::endian::little, "integers are written as they are");

using size_type = std::uint32_t;
constexpr size_type fields_reserved_max = 64; ///< more must have come before there is room made for them
constexpr std::uint8_t wants_sink_notice_flag = 1;

std::size_t size_of(std::string_view text) { return sizeof(size_type) + text.size(); }

template <class Fields>
std::size_t size_of_fields(const Fields& fields) {
  auto out = sizeof(size_type);
  for (const auto& [name, value] : fields)
    out += size_of(name) + size_of(value);
  return out;
}

/// Writes a header of exactly the size it is made for, into the one allocation that has room for the body, too.
class writer {
public:
  writer(std::size_t header_bytes, std::size_t body_bytes) {
    out_.reserve(header_bytes + body_bytes);
    out_.resize(header_bytes);
    at_ = out_.data();
  }

  template <std::integral T>
  void put(T value) {
    std::memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }

  void put_text(std::string_view text) {
    put(static_cast<size_type>(text.size()));
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  template <class Fields>
  void put_fields(const Fields& fields) {
    put(static_cast<size_type>(fields.size()));
    for (const auto& [name, value] : fields) {
      put_text(name);
      put_text(value);
    }
  }

  std::string finish(std::string_view body) {
    out_.append(body);
    return std::move(out_);
  }

private:
  std::string out_;
  char* at_;
};

/// Once a part is not there `is_good` is false and all that follows is empty.
class reader {
public:
  explicit reader(std::string_view bytes) : rest_(bytes) {}

  template <std::integral T>
  T get() {
    T value{};
    if (has(sizeof(value)))
      std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }

  std::string get_text() {
    const auto size = get<size_type>();
    return has(size) ? std::string{take(size)} : std::string{};
  }

  template <class Fields, class Add>
  void get_fields(Fields& into, Add add) {
    const auto count = get<size_type>();
    into.reserve(std::min(count, fields_reserved_max));
    for (size_type i = 0; i < count && is_good_; ++i) {
      auto name = get_text();
      add(std::move(name), get_text());
    }
  }

  bool is_good() const noexcept { return is_good_; }
  std::string_view rest() const noexcept { return rest_; }

private:
  bool has(std::size_t size) noexcept { return is_good_ = is_good_ && size <= rest_.size(); }

  std::string_view take(std::size_t size) noexcept {
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
  bool is_good_ = true;
};

} // namespace

std::string encode_request(replica_id replica, const request& in, bool wants_sink_notice) {
  const auto header = sizeof(replica.value) + 2 + size_of(in.path) + size_of(in.query) + size_of(in.client)
                      + size_of(in.id) + size_of_fields(in.headers) + size_of_fields(in.params);
  writer out{header, in.body.size()};
  out.put(replica.value);
  out.put(static_cast<std::uint8_t>(in.method));
  out.put(wants_sink_notice ? wants_sink_notice_flag : std::uint8_t{0});
  out.put_text(in.path);
  out.put_text(in.query);
  out.put_text(in.client);
  out.put_text(in.id);
  out.put_fields(in.headers);
  out.put_fields(in.params);
  return out.finish(in.body);
}

result<incoming_request> decode_request(std::string_view bytes) {
  reader from{bytes};
  incoming_request out{replica_id{from.get<std::uint64_t>()}, {}, false};
  auto& in = out.in;
  const auto method = from.get<std::uint8_t>();
  out.wants_sink_notice = (from.get<std::uint8_t>() & wants_sink_notice_flag) != 0;
  in.path = from.get_text();
  in.query = from.get_text();
  in.client = from.get_text();
  in.id = from.get_text();
  from.get_fields(in.headers, [&](std::string name, std::string value) {
    in.headers.add(std::move(name), std::move(value));
  });
  from.get_fields(in.params, [&](std::string name, std::string value) {
    in.params.emplace_back(std::move(name), std::move(value));
  });
  if (!from.is_good())
    return fail(errc::corrupt, "link: the peer sent bytes that are no HTTP request");
  if (method > static_cast<std::uint8_t>(sluice::method::options))
    return fail(errc::corrupt, "link: the peer sent a request of an unknown method");
  in.method = static_cast<sluice::method>(method);
  in.body = from.rest();
  return out;
}

std::string encode_answer(const response& answer) {
  writer out{sizeof(std::uint32_t) + size_of_fields(answer.headers), answer.body.size()};
  out.put(static_cast<std::uint32_t>(answer.status));
  out.put_fields(answer.headers);
  return out.finish(answer.body);
}

result<response> decode_answer(std::string_view bytes) {
  reader from{bytes};
  response out;
  out.status = from.get<std::uint32_t>();
  from.get_fields(out.headers, [&](std::string name, std::string value) {
    out.headers.add(std::move(name), std::move(value));
  });
  if (!from.is_good())
    return fail(errc::corrupt, "link: the peer sent bytes that are no HTTP answer");
  out.body = from.rest();
  return out;
}

std::string encode_results(const queue_results& what) {
  pb::HttpCollected header;
  header.set_queue(what.queue.value);
  header.set_idempotency_key(what.key);
  header.set_fingerprint(what.fingerprint);
  detail::body_writer out{header, what.records.bytes().size()};
  out.add(what.records);
  return out.finish();
}

result<queue_results> decode_results(std::string_view bytes) {
  pb::HttpCollected header;
  auto rest = detail::parse_header(bytes, header);
  if (!rest)
    return fail(rest);
  auto records = record_block::from_bytes(std::string{*rest});
  if (!records)
    return fail(records);
  return queue_results{queue_name{std::move(*header.mutable_queue())}, std::move(*records),
                       std::move(*header.mutable_idempotency_key()), header.fingerprint()};
}

} // namespace sluice::peer
