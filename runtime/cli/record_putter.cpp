#include "runtime/cli/record_putter.hpp"

#include "runtime/cli/format.hpp"
#include "runtime/config/quantity.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <array>
#include <ostream>
#include <utility>

namespace sluice::cli {

namespace {

constexpr std::chrono::milliseconds retry_interval{500};
constexpr std::chrono::milliseconds progress_interval{200};
/// Lines of a slow writer go together when they come within this.
constexpr std::chrono::milliseconds linger_max{100};
constexpr std::size_t record_overhead_bytes = 16;

/// A head that is away or full may take the block later.
bool is_worth_repeating(errc code) noexcept {
  return code == errc::unavailable || code == errc::timeout || code == errc::overloaded
         || code == errc::shutting_down;
}

/// The head has looked at the block and stored nothing of it.
bool is_refusal(errc code) noexcept {
  switch (code) {
  case errc::invalid_argument:
  case errc::not_found:
  case errc::conflict:
  case errc::unauthenticated:
  case errc::permission_denied:
  case errc::overloaded:
  case errc::exhausted:
  case errc::unsupported:
    return true;
  default:
    return false;
  }
}

/// A point says by its producer which queue it is of.
std::string producer_prefix(const std::string& queue) { return "put/" + queue + "/"; }

} // namespace

result<void> check_queue_of(const resume_point& point, const std::string& queue) {
  if (point.producer.starts_with(producer_prefix(queue)))
    return {};
  return fail(errc::invalid_argument, "--resume: '" + to_text(point) + "' is of a put to another queue than '"
                                        + queue
                                        + "'; take the command from the message of the put that failed");
}

std::string to_text(const resume_point& point) {
  return point.producer + ":" + std::to_string(point.block.seq) + ":" + std::to_string(point.block.line) + ":"
         + std::to_string(point.block.count);
}

result<resume_point> parse_resume_point(const std::string& text) {
  std::array<std::string, 4> parts;
  auto rest = text;
  std::size_t found = 0;
  for (std::size_t i = parts.size() - 1; i > 0; --i) {
    const auto colon = rest.rfind(':');
    if (colon == std::string::npos)
      break;
    parts[i] = rest.substr(colon + 1);
    rest.resize(colon);
    ++found;
  }
  const auto number = [&](std::size_t i) { return config::parse_count(parts[i], 1, UINT64_MAX).value_or(0); };
  resume_point point{rest, {number(1), number(2), number(3)}};
  if (found != parts.size() - 1 || rest.empty() || point.block.seq == 0 || point.block.line == 0
      || point.block.count == 0 || point.block.count > limits::block_count_max)
    return fail(errc::invalid_argument,
                "--resume: '" + text
                  + "' is not PRODUCER:SEQ:LINE:COUNT; take it from the message of the put that failed");
  return point;
}

record_putter::record_putter(const environment& env, client::control_client& head, options opts)
  : env_(env), head_(head), opts_(std::move(opts)), started_(env.now()) {
  request_.set_queue(opts_.queue);
  if (!opts_.resume) {
    request_.set_producer(producer_prefix(opts_.queue) + env.make_id());
    return;
  }
  request_.set_producer(opts_.resume->producer);
  unsure_ = opts_.resume->block;
  seq_ = unsure_->seq - 1;
  line_next_ = unsure_->line;
}

bool record_putter::is_block_open() const noexcept {
  return unsure_ && static_cast<std::uint64_t>(request_.payloads_size()) < unsure_->count;
}

std::optional<resume_point> record_putter::unsure() const {
  if (!unsure_)
    return std::nullopt;
  return resume_point{request_.producer(), *unsure_};
}

std::optional<std::chrono::milliseconds> record_putter::linger() const {
  if (request_.payloads_size() == 0 || is_block_open())
    return std::nullopt;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(env_.now() - begun_at_);
  return std::clamp(linger_max - waited, std::chrono::milliseconds{0}, linger_max);
}

result<void> record_putter::add(std::string line, std::uint64_t number) {
  const auto size = line.size() + record_overhead_bytes;
  if (request_.payloads_size() > 0 && bytes_ + size > limits::block_size_bytes_max && !is_block_open())
    if (auto done = flush(); !done)
      return done;
  if (request_.payloads_size() == 0) {
    line_first_ = number;
    begun_at_ = env_.now();
  }
  line_last_ = number;
  bytes_ += size;
  request_.add_payloads(std::move(line));
  const auto count_max = unsure_ ? unsure_->count : opts_.batch_count_max;
  return static_cast<std::size_t>(request_.payloads_size()) >= count_max ? flush() : result<void>{};
}

result<void> record_putter::flush() {
  if (is_block_open())
    return fail(errc::invalid_argument, "there are fewer than the " + std::to_string(unsure_->count)
                                          + " records of the put that is to be resumed from line "
                                          + std::to_string(unsure_->line)
                                          + " on: give it the same input, from its beginning");
  if (request_.payloads_size() == 0)
    return {};
  request_.set_producer_seq(++seq_);
  if (auto done = send(); !done)
    return done;
  unsure_.reset();
  stored_ += static_cast<std::uint64_t>(request_.payloads_size());
  line_next_ = line_last_ + 1;
  request_.clear_payloads();
  bytes_ = 0;
  show_progress();
  return {};
}

result<void> record_putter::send() {
  const auto until = env_.now() + opts_.patience;
  for (;;) {
    auto reply = head_.queue_put(request_);
    if (reply)
      return {};
    const auto code = reply.error().code;
    if (!is_refusal(code) && !unsure_)
      unsure_ = {seq_, line_first_, static_cast<std::uint64_t>(request_.payloads_size())};
    if (!is_worth_repeating(code) || env_.now() >= until)
      return fail(reply);
    if (env_.ending_signal() != 0 || !env_.pause(retry_interval))
      return fail(errc::cancelled, "interrupted");
  }
}

void record_putter::end_progress() const {
  if (is_progress_shown_)
    talk(env_) << "\r\x1b[K";
}

void record_putter::show_progress() {
  if (!env_.err_terminal.is_terminal || env_.now() - shown_at_ < progress_interval)
    return;
  shown_at_ = env_.now();
  is_progress_shown_ = true;
  auto seconds = std::chrono::duration<double>(shown_at_ - started_).count();
  talk(env_) << "\r\x1b[K" << count_text(stored_) << " records stored, "
             << rate_text(seconds > 0 ? static_cast<double>(stored_) / seconds : 0) << std::flush;
}

} // namespace sluice::cli
