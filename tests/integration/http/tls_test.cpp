#include "tests/integration/http/http_fixture.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/pki/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace sluice::http::testing {
namespace {

/// A TLS client that trusts one authority. Blocks; the server's own deadlines bound it.
class tls_client {
public:
  tls_client(std::uint16_t port, const std::string& ca_file, int version_max = TLS1_3_VERSION)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), context_(SSL_CTX_new(TLS_client_method())) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, version_max);
    SSL_CTX_set_security_level(context_, 0);
    REQUIRE(SSL_CTX_load_verify_locations(context_, ca_file.c_str(), nullptr) == 1);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
    static constexpr unsigned char protocols[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    SSL_set_alpn_protos(ssl_, protocols, sizeof(protocols));
    connected_ = SSL_connect(ssl_) == 1;
    ERR_clear_error();
  }
  ~tls_client() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(fd_);
  }
  tls_client(const tls_client&) = delete;
  tls_client& operator=(const tls_client&) = delete;

  bool connected() const { return connected_; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  std::string version() const { return SSL_get_version(ssl_); }

  void send(std::string_view bytes) {
    if (bytes.empty())
      return;
    REQUIRE(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size()));
  }
  /// Reads until `count` bytes have come, or the server has ended.
  std::string read(std::size_t count) {
    std::string got;
    std::vector<char> buffer(65536);
    while (got.size() < count) {
      auto size =
        SSL_read(ssl_, buffer.data(), static_cast<int>(std::min(buffer.size(), count - got.size())));
      if (size <= 0)
        break;
      got.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return got;
  }
  /// Reads one answer with a Content-Length.
  std::string ask(std::string_view bytes) {
    send(bytes);
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      auto more = read(1);
      if (more.empty())
        return head;
      head += more;
    }
    return head + read(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
  }

private:
  int fd_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

struct tls_fixture : http_fixture {
  sluice::test::temp_dir folder = {};
  std::string ca_file = folder / "ca.pem";

  tls_fixture() {
    auto now = std::chrono::system_clock::now();
    auto authority = pki::make_authority("test", now).value();
    auto identity = pki::issue(authority, {"test", "node", "web"}, pki::valid_from(now)).value();
    options.certificate_file = write("cert.pem", identity.certificate_pem);
    options.key_file = write("key.pem", identity.key_pem);
    write("ca.pem", identity.ca_pem);
  }
  std::string write(const std::string& name, const std::string& text) {
    auto path = folder / name;
    std::ofstream{path} << text;
    return path;
  }
};

/// In PEM form, encrypted if there is a passphrase.
std::string text_of(EVP_PKEY* key, std::string secret) {
  std::unique_ptr<BIO, decltype(&BIO_free)> to{BIO_new(BIO_s_mem()), BIO_free};
  auto* bytes = reinterpret_cast<unsigned char*>(secret.data());
  REQUIRE(PEM_write_bio_PrivateKey(to.get(), key, secret.empty() ? nullptr : EVP_aes_128_cbc(), bytes,
                                   static_cast<int>(secret.size()), nullptr, nullptr)
          == 1);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(to.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

/// The key of that file, with a passphrase.
std::string encrypted(const std::string& key_file) {
  std::unique_ptr<BIO, decltype(&BIO_free)> from{BIO_new_file(key_file.c_str(), "r"), BIO_free};
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
    PEM_read_bio_PrivateKey(from.get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
  return text_of(key.get(), "open sesame");
}

} // namespace

TEST_CASE_FIXTURE(tls_fixture, "requests are answered over TLS 1.3 and 1.2, and nothing older") {
  port();
  for (int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    tls_client client{port(), ca_file, version};
    REQUIRE(client.connected());
    CHECK(client.version() == (version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"));
    CHECK(client.protocol() == "http/1.1");
    for (int i = 0; i < 3; ++i)
      CHECK(client.ask(post("/a", "body")).ends_with("POST /a? body"));
  }
  CHECK(!tls_client{port(), ca_file, TLS1_1_VERSION}.connected());
}

TEST_CASE_FIXTURE(tls_fixture, "long bodies pass through TLS both ways, pipelined requests too") {
  handler.on_decide = [](request&) { return ingress::head_decision{.body_bytes_max = 16u << 20}; };
  handler.on_handle = [](exchange_ptr call) { call->respond({200, {}, call->in.body}); };
  tls_client client{port(), ca_file};
  REQUIRE(client.connected());
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i)
    body[i] = static_cast<char>(i * 7);
  CHECK(client.ask(post("/", body)).ends_with(body));
  std::string all;
  for (int i = 0; i < 100; ++i)
    all += post("/", std::to_string(i));
  client.send(all);
  for (int i = 0; i < 100; ++i)
    CHECK(client.ask("").ends_with("\r\n\r\n" + std::to_string(i)));
}

// Goal (S10): half a handshake does not hold a connection.
TEST_CASE_FIXTURE(tls_fixture,
                  "a handshake that does not come in time is cut, and one that is none at once") {
  options.limits.handshake_deadline = 100ms;
  auto silent = connect();
  CHECK(silent.closed_by_server());
  auto half = connect();
  half.send(std::string_view{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11});
  CHECK(half.closed_by_server());
  auto plain = connect();
  plain.send(get("/"));
  CHECK(plain.closed_by_server());
  CHECK(handler.handled().empty());
}

TEST_CASE_FIXTURE(tls_fixture, "the end is said in TLS, after the answer") {
  tls_client client{port(), ca_file};
  REQUIRE(client.connected());
  CHECK(client.ask(get("/a", "Connection: close\r\n")).ends_with("GET /a? "));
  CHECK(client.read(1).empty());
}

TEST_CASE_FIXTURE(tls_fixture, "certificates that do not fit are said at the start") {
  auto good_key = options.key_file;
  auto expect_refused = [&](const std::string& certificate, const std::string& key, const std::string& says) {
    auto other = options;
    other.certificate_file = certificate;
    other.key_file = key;
    other.address_hint = "take another address";
    auto started = server::start(other, handler);
    REQUIRE(!started);
    CHECK(started.error().code == errc::invalid_argument);
    CHECK(started.error().message.find("another address") == std::string::npos);
    INFO(started.error().message);
    CHECK(started.error().message.find(says) != std::string::npos);
  };
  const auto& good = options.certificate_file;
  expect_refused("/nowhere.pem", good_key, "'/nowhere.pem': No such file or directory");
  expect_refused(good, "/nowhere.pem", "'/nowhere.pem': No such file or directory");
  expect_refused(good, "", "TLS needs both a certificate and a key");
  expect_refused(good, "/tmp", "'/tmp' is a folder");
  expect_refused(good_key, good_key, "holds no certificate in PEM form");
  expect_refused(good, good, "holds no private key in PEM form");
  expect_refused(good, write("encrypted.pem", encrypted(good_key)), "without a passphrase");
  tls_fixture other;
  const auto is_another = "is not that of the certificate in '" + good + "'";
  expect_refused(good, other.options.key_file, is_another);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> rsa{EVP_RSA_gen(2048), EVP_PKEY_free};
  expect_refused(good, write("rsa.pem", text_of(rsa.get(), "")), is_another);
}

} // namespace sluice::http::testing
