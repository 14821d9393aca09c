#include "actors/message.hpp"

#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>
#include <caf/to_string.hpp>

namespace sluice {

caf::error to_caf(const failure& why) {
  return caf::error{static_cast<std::uint8_t>(why.code), error_category, caf::make_message(why.message)};
}

failure from_caf(const caf::error& why) {
  if (why.category() == error_category) {
    std::string text;
    if (why.context().match_elements<std::string>())
      text = why.context().get_as<std::string>(0);
    return {static_cast<errc>(why.code()), std::move(text)};
  }
  auto text = caf::to_string(why);
  if (why == caf::sec::request_timeout)
    return {errc::timeout, "no answer in time (" + text + ")"};
  if (why == caf::sec::request_receiver_down || why.category() == caf::atom("exit"))
    return {errc::unavailable, "the actor that was asked is gone (" + text + ")"};
  return {errc::internal, text};
}

} // namespace sluice
