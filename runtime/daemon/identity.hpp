#pragma once

#include "runtime/config/options.hpp"
#include "transport/link/asio_link.hpp"
#include "transport/pki/certificate.hpp"
#include "transport/pki/token.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>

#include <filesystem>
#include <memory>
#include <string>

/// Who a node is: what it keeps about itself under `<state>/identity/`, files of mode 0600.
namespace sluice::daemon {

/// What a head needs to be one. Made at the first start, the same ever after.
struct head_identity {
  std::string cluster_id;
  node_id id; ///< of the worker in the head's process
  pki::key_pair authority;
  std::string ca_fingerprint;
  pki::identity link;    ///< for links; issued anew at each start and while it runs
  pki::identity node;    ///< of the worker in the head's process, for links to other nodes; likewise
  pki::identity control; ///< for the control API, which cannot change it while it runs: lasts as the CA does
  std::string cluster_token;
  std::unique_ptr<pki::join_token_store> join_tokens;
};

result<head_identity> load_head_identity(const std::filesystem::path& state_dir, pki::wall_time now);

/// What a worker needs to be in its cluster.
struct worker_identity {
  std::string cluster_id;
  node_id id;
  pki::identity link;
};

/// Reads the certificate of an earlier join, or joins with the token of the options. Fails
/// with `unauthenticated` when there is neither, or the head refuses; says what to do.
result<worker_identity> load_or_join(const config::node_options& options, const link::io_thread& io,
                                     pki::wall_time now);

/// What the head answers to a process that wants to join. The node's id is made here, so
/// that nobody can ask to be another node.
result<link::join_grant> grant_join(head_identity& head, const link::join_request& request,
                                    pki::wall_time now);

/// Signs the next certificate of node `who`, which has shown its present one.
result<std::string> sign_renewal(const head_identity& head, const node_id& who,
                                 const std::string& request_pem, pki::wall_time now);

/// Makes the head's next certificates for links, `link` and `node`.
result<void> issue_certificates(head_identity& head, pki::wall_time now);

/// Stores a node's next certificate in place of the old one and returns the identity with it. Refuses
/// one that is for somebody else.
result<worker_identity> adopt_renewal(const std::filesystem::path& state_dir, worker_identity known,
                                      const std::string& certificate_pem);

/// 128 bits from the system's generator.
incarnation make_incarnation();

struct host_port {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const host_port&, const host_port&) = default;
};

/// Splits "HOST:PORT"; `invalid_argument` when it is something else.
result<host_port> parse_address(const std::string& address);

} // namespace sluice::daemon
