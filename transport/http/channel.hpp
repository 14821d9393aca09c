#pragma once

#include <sluice/core/result.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct iovec;
struct ssl_ctx_st;
struct ssl_st;

namespace sluice::http {

/// The certificate that a server shows: TLS 1.2 or 1.3. Immutable, shared by its connections.
class tls_certificate {
public:
  /// PEM files, the certificate with its chain. Fails with `invalid_argument` and the file's name.
  static result<std::shared_ptr<const tls_certificate>> load(const std::string& certificate_file,
                                                             const std::string& key_file);
  ssl_ctx_st* context() const noexcept { return context_.get(); }

private:
  std::shared_ptr<ssl_ctx_st> context_;
};

/// The bytes of one accepted socket, plain or TLS; owns the descriptor. Never blocks. One thread
/// at a time.
class channel {
public:
  enum class state {
    ok,      ///< `bytes` were moved
    waiting, ///< not now: wait for the socket, see `wants_write`
    ended,   ///< the peer has said that nothing more comes
    broken,  ///< the connection is gone
  };
  struct moved {
    state what;
    std::size_t bytes = 0;
  };

  /// Takes `fd`, a connected, non-blocking socket.
  explicit channel(int fd) : fd_(fd) {}
  ~channel();
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// Before any byte is read. False if OpenSSL has no memory left.
  bool begin_tls(const tls_certificate& certificate);
  /// `ok` once TLS stands (at once without it), else `waiting` or `broken`.
  state handshake();
  bool secure() const noexcept { return ssl_ != nullptr; }

  moved read(std::span<char> into);
  /// TLS takes the first piece only.
  moved write(std::span<const iovec> pieces);
  /// Of a plain socket; any thread, while the descriptor is open.
  static moved write_plain(int fd, std::span<const iovec> pieces) noexcept;
  /// Says that nothing more is written, and goes on to read.
  void finish();

  int fd() const noexcept { return fd_; }
  /// The last `waiting` waits for the socket to take bytes, whatever was asked.
  bool wants_write() const noexcept { return wants_write_; }

private:
  struct ssl_free {
    void operator()(ssl_st* ssl) const noexcept;
  };
  moved explain(int result);

  int fd_;
  std::unique_ptr<ssl_st, ssl_free> ssl_;
  bool wants_write_ = false;
};

} // namespace sluice::http
