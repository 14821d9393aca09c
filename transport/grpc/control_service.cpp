#include "transport/grpc/control_service.hpp"

#include "transport/grpc/control_rpc.hpp"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice::control {

namespace {

/// One block of the largest records with its frame; nothing larger is believed.
constexpr int receive_size_bytes_max = 32 << 20;
constexpr int send_size_bytes_max = 64 << 20;
constexpr std::size_t memory_bytes_max = 256u << 20; ///< of all connections together
constexpr int streams_per_connection_max = 16;
constexpr int idle_ms_max = 10 * 60 * 1000; ///< then an idle connection is closed
constexpr int keepalive_ms = 30'000;
constexpr int keepalive_timeout_ms = 10'000;
constexpr int ping_interval_ms_min = 10'000; ///< a client that pings faster is cut
constexpr int handshake_ms_max = 5'000;
constexpr int metadata_bytes_max = 16 << 10;

/// Lets in who knows the token. Runs before a call of the TCP listener is looked at.
class token_check final : public grpc::AuthMetadataProcessor {
public:
  explicit token_check(std::function<bool(std::string_view)> is_valid) : is_valid_(std::move(is_valid)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata* consumed,
                       OutputMetadata*) override {
    constexpr std::string_view scheme = "Bearer ";
    auto [begin, end] = metadata.equal_range("authorization");
    if (begin == end)
      return {grpc::StatusCode::UNAUTHENTICATED, "this needs the cluster token"};
    auto value = std::string_view{begin->second.data(), begin->second.size()};
    if (std::next(begin) != end || !value.starts_with(scheme) || !is_valid_(value.substr(scheme.size())))
      return {grpc::StatusCode::UNAUTHENTICATED, "the cluster token is wrong"};
    consumed->emplace("authorization", std::string{value});
    return grpc::Status::OK;
  }

private:
  std::function<bool(std::string_view)> is_valid_;
};

class grpc_control_server final : public control_server {
public:
  grpc_control_server(caf::actor_system& sys, control_backend backend) : rpc_(sys, std::move(backend), {}) {}
  grpc_control_server(const grpc_control_server&) = delete;
  grpc_control_server& operator=(const grpc_control_server&) = delete;

  ~grpc_control_server() override {
    rpc_.end_following();
    if (server_) {
      server_->Shutdown(std::chrono::system_clock::now() + stop_grace);
      server_->Wait();
    }
    if (!socket_path_.empty())
      ::unlink(socket_path_.c_str());
  }

  result<void> start(const control_server_options& options,
                     std::function<bool(std::string_view)> is_token_valid);

  std::uint16_t tcp_port() const noexcept override { return static_cast<std::uint16_t>(tcp_port_); }

private:
  control_rpc rpc_;
  std::unique_ptr<grpc::Server> server_;
  std::string socket_path_;
  int tcp_port_ = 0;
  int socket_port_ = 0; ///< gRPC's sign that the socket is bound
};

/// Makes the socket's directory, private, if it is not there, and takes a socket away that nobody serves.
result<void> prepare_socket(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(errc::invalid_argument,
                "the path of the control socket, " + path + ", has " + std::to_string(path.size())
                  + " bytes and a socket's may have 107; choose a shorter --state-dir");
  auto directory = std::filesystem::path{path}.parent_path();
  std::error_code error;
  const bool is_new = std::filesystem::create_directories(directory, error);
  if (error || (is_new && ::chmod(directory.c_str(), 0700) != 0))
    return fail(errc::unavailable, "cannot make " + directory.string()
                                     + " private: " + (error ? error.message() : std::strerror(errno)));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errc::unavailable, "cannot replace " + path + ": " + std::strerror(errno));
  return {};
}

void set_bounds(grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota{"control"};
  quota.SetMaxThreads(control_server::calls_max);
  quota.Resize(memory_bytes_max);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(receive_size_bytes_max);
  builder.SetMaxSendMessageSize(send_size_bytes_max);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  // A poller that wakes to see whether it is still needed costs more than one that stays.
  builder.SetSyncServerOption(grpc::ServerBuilder::CQ_TIMEOUT_MSEC, 60'000);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams_per_connection_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, idle_ms_max);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, ping_interval_ms_min);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, handshake_ms_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, metadata_bytes_max);
}

result<std::shared_ptr<grpc::ServerCredentials>>
tls_credentials(const control_server_options& options, std::function<bool(std::string_view)> is_token_valid) {
  if (options.certificate_chain.empty() || options.private_key.empty() || !is_token_valid)
    return fail(errc::invalid_argument,
                "the control port " + options.tcp_address
                  + " needs a certificate, a key and a token; it is never open without");
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({options.private_key, options.certificate_chain});
  auto credentials = grpc::SslServerCredentials(tls);
  credentials->SetAuthMetadataProcessor(std::make_shared<token_check>(std::move(is_token_valid)));
  return credentials;
}

result<void> grpc_control_server::start(const control_server_options& options,
                                        std::function<bool(std::string_view)> is_token_valid) {
  grpc::ServerBuilder builder;
  set_bounds(builder);
  builder.RegisterService(&rpc_);
  if (!options.socket_path.empty()) {
    if (auto done = prepare_socket(options.socket_path); !done)
      return done;
    socket_path_ = options.socket_path;
    builder.AddListeningPort("unix:" + socket_path_, grpc::experimental::LocalServerCredentials(UDS),
                             &socket_port_);
  }
  if (!options.tcp_address.empty()) {
    auto credentials = tls_credentials(options, std::move(is_token_valid));
    if (!credentials)
      return fail(credentials);
    builder.AddListeningPort(options.tcp_address, *credentials, &tcp_port_);
  }
  server_ = builder.BuildAndStart();
  if (!server_) {
    if (!socket_path_.empty() && socket_port_ == 0)
      return fail(errc::unavailable, "cannot listen on the unix socket " + socket_path_);
    return fail(errc::conflict,
                "cannot listen on the control port " + options.tcp_address
                  + ": another process has it, or the address is not this machine's; choose another "
                    "with --control-port (0 = any free one), or another address with --listen");
  }
  if (!socket_path_.empty())
    ::chmod(socket_path_.c_str(), 0600);
  if (!options.tcp_address.empty()) {
    auto host = options.tcp_address.substr(0, options.tcp_address.rfind(':'));
    const auto port = static_cast<std::uint16_t>(tcp_port_);
    rpc_.set_control_address(options.address_for_others ? options.address_for_others(port)
                                                        : host + ":" + std::to_string(port));
  }
  return {};
}

} // namespace

result<std::unique_ptr<control_server>> start_control_server(caf::actor_system& sys, control_backend backend,
                                                             control_server_options options) {
  if (options.socket_path.empty() && options.tcp_address.empty())
    return fail(errc::invalid_argument, "a control server must listen somewhere");
  auto is_token_valid = backend.is_token_valid;
  auto server = std::make_unique<grpc_control_server>(sys, std::move(backend));
  if (auto done = server->start(options, std::move(is_token_valid)); !done)
    return fail(done);
  return server;
}

} // namespace sluice::control
