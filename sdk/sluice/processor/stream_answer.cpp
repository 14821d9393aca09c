#include <sluice/processor/stream_answer.hpp>

#include <algorithm>

namespace sluice::processor {

namespace {

/// "text/event-stream" among the types of an Accept field, unless with q=0.
bool accepts_events(std::string_view accept) {
  constexpr std::string_view wanted = "text/event-stream";
  while (!accept.empty()) {
    std::string range{accept.substr(0, accept.find(','))};
    accept.remove_prefix(std::min(accept.size(), range.size() + 1));
    std::erase_if(range, [](char c) { return c == ' ' || c == '\t'; });
    std::ranges::transform(range, range.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (range == wanted)
      return true;
    if (range.starts_with(std::string{wanted} + ";"))
      return !range.ends_with(";q=0") && !range.ends_with(";q=0.0");
  }
  return false;
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
  return accept && accepts_events(*accept) ? stream_format::events : stream_format::lines;
}

bool stream_writer::write_json(std::string text) {
  return send(format_ == stream_format::events ? event({}, text) : std::move(text) + "\n");
}

bool stream_writer::write_event(std::string_view text) { return send(event({}, text)); }

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
