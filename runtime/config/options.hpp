#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <sys/types.h>

namespace sluice::config {

/// Everything a node process is told at its start. Plain data: made by
/// `node_options_of` from flags, environment, file and defaults, fixed while it runs.
struct node_options {
  bool head = false;                   ///< run the head; with `worker` both in one process
  bool worker = true;                  ///< run hosts; only a head may say no
  std::string address;                 ///< workers: "HOST:PORT" of the head's link
  bool address_auto = false;           ///< workers: it is this machine's head, wherever that listens by now
  std::string base_dir;                ///< `$SLUICE_HOME` or `~/.sluice`
  std::string state_dir;               ///< exists, is private and claimed before the node starts
  std::string listen = "127.0.0.1";    ///< IP address that link and control bind to
  bool listen_given = false;           ///< somebody chose `listen`
  std::uint16_t link_port = 7410;      ///< 0 = any free one
  bool link_port_given = false;        ///< somebody chose `link_port`; else a head takes the one it had
  std::uint16_t control_port = 7411;   ///< head only; 0 = any free one
  std::uint16_t relay_port = 0;        ///< for other nodes' requests to replicas here; 0 = any free one
  std::string http = "127.0.0.1:8000"; ///< HOST:PORT of the public HTTP listener; port 0 = any free one
  bool http_or_any = true;             ///< nobody chose `http`: any free port will do if it is taken
  std::string http_certificate;        ///< PEM file with its chain; with `http_key` the listener speaks TLS
  std::string http_key;
  std::uint32_t http_client_rate = 0; ///< requests per second of one address; 0 = any
  bool http_docs = true;              ///< /openapi.json and /docs are served
  bool access_log = true;
  double cpus = 0;                   ///< slots offered; 0 = as many as the machine has for us
  std::uint64_t memory_bytes = 0;    ///< offered; 0 = what the machine has for us
  std::uint64_t queue_bytes_max = 0; ///< head only: bound of the queues' file; 0 = what the disk has
  bool accept_loss = false;          ///< head only: begin a database anew that is missing beside the other
  std::map<std::string, std::string> labels;
  std::string join_token; ///< workers; from a file or the environment, never a flag's value
  std::string log_level = "info";

  friend bool operator==(const node_options&, const node_options&) = default;
};

/// What a node says once it serves.
struct ready_info {
  std::string role;    ///< "head" or "worker"
  std::string node_id; ///< empty for a head without a worker
  pid_t pid = 0;
  std::string link_address;    ///< "HOST:PORT", the real port
  std::string control_address; ///< head only: "HOST:PORT", the real port
  std::string control_socket;  ///< head only: path of the unix socket
  std::string state_dir;
  std::string join_token;        ///< head only: one, freshly made, to print; empty = none was made
  std::string ca_fingerprint;    ///< head only: SHA-256 in hex
  std::string http_address = {}; ///< "http://HOST:PORT" of the public listener; empty without a worker
  std::string warning = {};      ///< what whoever started it should know; empty = nothing

  friend bool operator==(const ready_info&, const ready_info&) = default;
};

} // namespace sluice::config
