#include "tests/support/http_client.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::testing {

http_client::http_client(std::uint16_t port, int receive_buffer_bytes)
  : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  if (fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0)
    close();
}

http_client::~http_client() { close(); }

void http_client::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

bool http_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void http_client::end_of_input() { ::shutdown(fd_, SHUT_WR); }

bool http_client::receive(int wait_ms) {
  pollfd wait{fd_, POLLIN, 0};
  if (ended_ || ::poll(&wait, 1, wait_ms) <= 0)
    return false;
  std::array<char, 65536> buffer;
  auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (count <= 0) {
    ended_ = true;
    return false;
  }
  unread_.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

bool http_client::closed_by_server() {
  while (receive()) {
  }
  return ended_;
}

namespace {

std::size_t number_in(std::string_view text, int base) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

} // namespace

client_answer http_client::read(bool head_only) {
  client_answer out;
  auto wait_for = [&](auto condition) {
    while (!condition())
      if (!receive())
        return condition();
    return true;
  };
  std::size_t end = 0;
  if (!wait_for([&] { return (end = unread_.find("\r\n\r\n")) != std::string::npos; }))
    return out;
  std::string head = unread_.substr(0, end + 2);
  unread_.erase(0, end + 4);
  out.status = static_cast<unsigned>(number_in(std::string_view{head}.substr(9, 3), 10));
  for (auto at = head.find("\r\n") + 2; at < head.size();) {
    auto stop = head.find("\r\n", at);
    auto colon = head.find(": ", at);
    out.fields.add(head.substr(at, colon - at), head.substr(colon + 2, stop - colon - 2));
    at = stop + 2;
  }
  if (out.status == 100)
    return read(head_only);
  out.complete = true;
  if (head_only || out.status == 204 || out.status == 304)
    return out;
  if (auto length = out.fields.find("Content-Length")) {
    auto size = number_in(*length, 10);
    out.complete = wait_for([&] { return unread_.size() >= size; });
    out.body = unread_.substr(0, size);
    unread_.erase(0, size);
  } else if (out.fields.find("Transfer-Encoding") == "chunked") {
    for (;;) {
      std::size_t line = 0;
      out.complete = wait_for([&] { return (line = unread_.find("\r\n")) != std::string::npos; });
      auto size = out.complete ? number_in(std::string_view{unread_}.substr(0, line), 16) : 0;
      out.complete = out.complete && wait_for([&] { return unread_.size() >= line + size + 4; });
      if (!out.complete)
        return out;
      out.body += unread_.substr(line + 2, size);
      unread_.erase(0, line + size + 4);
      if (size == 0)
        return out;
    }
  } else {
    out.complete = closed_by_server();
    out.body = std::exchange(unread_, {});
  }
  return out;
}

} // namespace sluice::testing
