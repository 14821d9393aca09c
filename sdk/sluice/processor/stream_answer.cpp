#include <sluice/codec/utf8.hpp>
#include <sluice/http/field_value.hpp>
#include <sluice/processor/stream_answer.hpp>

#include <array>
#include <cstddef>

namespace sluice::processor {

namespace {

/// How much a client wants a type, by the item of its Accept field that says most about it: the type itself, "text/*",
/// "*/*". 0 = not at all.
class wanted {
public:
  wanted(std::string_view type, std::string_view range) : names_{"*/*", range, type} {}

  void add(std::string_view name, int weight) noexcept {
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (http::same_token(name, names_[i]) && said_by_ <= i) {
        said_by_ = i;
        weight_ = weight;
      }
  }

  int weight() const noexcept { return weight_; }
  bool is_named() const noexcept { return said_by_ + 1 == names_.size(); }

private:
  std::array<std::string_view, 3> names_; ///< from the least that is said to the most
  std::size_t said_by_ = 0;
  int weight_ = 0;
};

/// Events are for clients that ask for them: where both would do, only for one that names them.
bool prefers_events(std::string_view accept) noexcept {
  wanted events{"text/event-stream", "text/*"};
  wanted lines{"application/x-ndjson", "application/*"};
  http::for_each_choice(accept, [&](std::string_view type, int weight) {
    events.add(type, weight);
    lines.add(type, weight);
  });
  return events.is_named() ? events.weight() > 0 && events.weight() >= lines.weight()
                           : events.weight() > lines.weight();
}

std::string event(std::string_view name, std::string_view data) {
  std::string text;
  if (!name.empty())
    text.append("event: ").append(name).append("\n");
  for (;;) { // every line of the data is a field of its own
    auto end = data.find_first_of("\r\n");
    text.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos)
      break;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  return text + "\n";
}

} // namespace

stream_format stream_format_of(const request& in) {
  auto accept = in.headers.find("Accept");
  return accept && prefers_events(*accept) ? stream_format::events : stream_format::lines;
}

bool stream_writer::write_json(std::string text) {
  return send(format_ == stream_format::events ? event({}, text) : std::move(text) + "\n");
}

bool stream_writer::write_event(std::string_view text) {
  if (!codec::is_utf8(text)) // as of a value in JSON
    throw std::runtime_error{"a value of the stream cannot be written: it is no UTF-8"};
  return send(event({}, text));
}

bool stream_writer::send(std::string part) {
  if (has_begun_)
    return call_.write(std::move(part));
  begin(std::move(part));
  return true;
}

void stream_writer::begin(std::string part) {
  has_begun_ = true;
  call_.is_streaming = true;
  response head{200, {}, std::move(part)};
  if (format_ == stream_format::events) {
    head.headers.add("Content-Type", "text/event-stream");
    head.headers.add("Cache-Control", "no-cache");
  } else {
    head.headers.add("Content-Type", "application/x-ndjson");
  }
  call_.begin(std::move(head));
}

void stream_writer::finish() {
  if (!has_begun_)
    begin({});
  call_.finish();
}

void break_stream(exchange& call, std::string_view error_json) {
  if (stream_format_of(call.in) == stream_format::events) {
    call.write(event("error", error_json));
    call.finish();
    return;
  }
  // Without an end: whoever drops the exchange cuts the answer off, and the client knows that it is not whole.
  call.write(std::string{error_json} + "\n");
}

} // namespace sluice::processor
