#include "runtime/daemon/identity.hpp"

#include "transport/pki/secret_file.hpp"

#include <sluice/core/disk_errc.hpp>

#include <charconv>
#include <future>
#include <random>

namespace sluice::daemon {

namespace {

namespace fs = std::filesystem;

constexpr auto head_role = "head";
constexpr auto node_role = "node";
constexpr auto head_name = "head";

std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::string short_id(const char* prefix) {
  return prefix + to_string(incarnation{{random_word(), 0}}).substr(0, 8);
}

result<fs::path> identity_dir(const fs::path& state_dir) {
  auto dir = state_dir / "identity";
  std::error_code why;
  fs::create_directories(dir, why);
  if (!why)
    fs::permissions(dir, fs::perms::owner_all, why);
  if (why)
    return fail(errc_of_disk(why.value()), "cannot make " + dir.string() + ": " + why.message());
  return dir;
}

/// Reads a file, or writes what `make` returns into it.
template <class Make>
result<std::string> read_or_make(const fs::path& path, Make&& make) {
  auto text = pki::read_secret(path);
  if (text || text.error().code != errc::not_found)
    return text;
  result<std::string> made = make();
  if (!made)
    return made;
  if (auto written = pki::write_secret(path, *made); !written)
    return fail(written);
  return made;
}

result<pki::key_pair> load_authority(const fs::path& dir, const std::string& cluster_id, pki::wall_time now) {
  auto key = pki::read_secret(dir / "ca-key.pem");
  auto certificate = pki::read_secret(dir / "ca.pem");
  if (key && certificate)
    return pki::key_pair{std::move(*key), std::move(*certificate)};
  // A head that lost one of the two must not quietly become another cluster.
  for (auto* part : {&key, &certificate})
    if (!*part && part->error().code != errc::not_found)
      return fail(*part);
  if (key || certificate)
    return fail(errc::corrupt, dir.string()
                                 + " holds only one of ca-key.pem and ca.pem; restore the other from a "
                                   "backup, or start with an empty --state-dir for a new cluster");
  auto made = pki::make_authority(cluster_id, now);
  if (!made)
    return made;
  for (auto& [name, text] :
       {std::pair{"ca-key.pem", made->key_pem}, std::pair{"ca.pem", made->certificate_pem}})
    if (auto written = pki::write_secret(dir / name, text); !written)
      return fail(written);
  return made;
}

result<worker_identity> read_worker_identity(const fs::path& dir, pki::wall_time now) {
  auto key = pki::read_secret(dir / "key.pem");
  if (!key)
    return fail(key);
  auto certificate = pki::read_secret(dir / "certificate.pem");
  if (!certificate)
    return fail(certificate);
  auto ca = pki::read_secret(dir / "ca.pem");
  if (!ca)
    return fail(ca);
  auto facts = pki::inspect(*certificate);
  if (!facts)
    return fail(facts);
  // An expired one is as good as none: the node joins again.
  if (facts->not_after <= now)
    return fail(errc::not_found, "the certificate in " + dir.string() + " has expired");
  return worker_identity{facts->who.cluster_id, node_id{facts->who.name}, {*key, *certificate, *ca}};
}

result<link::join_grant> ask_to_join(const link::io_thread& io, const host_port& head,
                                     const std::string& fingerprint, link::join_request request) {
  std::promise<result<link::join_grant>> answered;
  auto answer = answered.get_future();
  link::request_join(io, {head.host, head.port, fingerprint}, std::move(request),
                     [&](result<link::join_grant> grant) { answered.set_value(std::move(grant)); });
  return answer.get();
}

} // namespace

result<head_identity> load_head_identity(const fs::path& state_dir, pki::wall_time now) {
  auto dir = identity_dir(state_dir);
  if (!dir)
    return fail(dir);
  head_identity it;
  auto cluster_id = read_or_make(*dir / "cluster-id", [] { return short_id("cluster-"); });
  if (!cluster_id)
    return fail(cluster_id);
  it.cluster_id = *cluster_id;
  auto id = read_or_make(*dir / "node-id", [] { return short_id("node-"); });
  if (!id)
    return fail(id);
  it.id = node_id{*id};
  auto authority = load_authority(*dir, it.cluster_id, now);
  if (!authority)
    return fail(authority);
  it.authority = std::move(*authority);
  auto fingerprint = pki::fingerprint(it.authority.certificate_pem);
  if (!fingerprint)
    return fail(fingerprint);
  it.ca_fingerprint = *fingerprint;
  if (auto issued = issue_certificates(it, now); !issued)
    return fail(issued);
  auto ca = pki::inspect(it.authority.certificate_pem);
  if (!ca)
    return fail(ca);
  auto control = pki::issue(it.authority, {it.cluster_id, head_role, head_name},
                            {now - pki::clock_skew_max, ca->not_after});
  if (!control)
    return fail(control);
  it.control = std::move(*control);
  auto token = pki::load_or_make_cluster_token(*dir / "cluster-token");
  if (!token)
    return fail(token);
  it.cluster_token = *token;
  auto join_tokens = pki::join_token_store::open(*dir / "join-tokens");
  if (!join_tokens)
    return fail(join_tokens);
  it.join_tokens = std::move(*join_tokens);
  return it;
}

bool has_joined(const fs::path& state_dir) {
  return read_worker_identity(state_dir / "identity", std::chrono::system_clock::now()).has_value();
}

result<worker_identity> load_or_join(const config::node_options& options, const link::io_thread& io,
                                     pki::wall_time now) {
  auto dir = identity_dir(options.state_dir);
  if (!dir)
    return fail(dir);
  auto known = read_worker_identity(*dir, now);
  if (known || known.error().code != errc::not_found)
    return known;
  if (options.join_token.empty())
    return fail(
      errc::unauthenticated,
      "this worker has not joined a cluster yet and no join token was given; make one on the head's machine "
      "with `sluice join-token create`, put it into a file and pass --join-token-file");
  auto token = pki::parse_join_token(options.join_token);
  if (!token)
    return fail(token);
  auto head = parse_address(options.address);
  if (!head)
    return fail(head);
  auto key = read_or_make(*dir / "key.pem", [] { return pki::make_key(); });
  if (!key)
    return fail(key);
  auto request = pki::make_request(*key, "node");
  if (!request)
    return fail(request);
  auto grant = ask_to_join(io, *head, token->ca_fingerprint, {token->secret, "node", *request});
  if (!grant)
    return fail(grant.error().code,
                "cannot join the cluster at " + options.address + ": " + grant.error().message);
  for (auto& [name, text] :
       {std::pair{"ca.pem", grant->ca_pem}, std::pair{"certificate.pem", grant->certificate_pem}})
    if (auto written = pki::write_secret(*dir / name, text); !written)
      return fail(written);
  return worker_identity{
    grant->cluster_id, node_id{grant->name}, {*key, grant->certificate_pem, grant->ca_pem}};
}

result<link::join_grant> grant_join(head_identity& head, const link::join_request& request,
                                    pki::wall_time now) {
  auto key = pki::request_key_fingerprint(request.request_pem);
  if (!key)
    return fail(key);
  if (auto redeemed = head.join_tokens->redeem(request.token, *key, now); !redeemed)
    return fail(redeemed);
  // From the key, so that a join repeated after a lost answer is the same node.
  // So long that nobody finds a key for the name of another node.
  auto name = "node-" + key->substr(0, 16);
  auto certificate = pki::sign_request(head.authority, request.request_pem,
                                       {head.cluster_id, node_role, name}, pki::valid_from(now));
  if (!certificate)
    return fail(certificate);
  return link::join_grant{head.cluster_id, name, *certificate, head.authority.certificate_pem};
}

result<std::string> sign_renewal(const head_identity& head, const node_id& who,
                                 const std::string& request_pem, pki::wall_time now) {
  return pki::sign_request(head.authority, request_pem, {head.cluster_id, node_role, who.value},
                           pki::valid_from(now));
}

result<void> issue_certificates(head_identity& head, pki::wall_time now) {
  auto link = pki::issue(head.authority, {head.cluster_id, head_role, head_name}, pki::valid_from(now));
  if (!link)
    return fail(link);
  auto node = pki::issue(head.authority, {head.cluster_id, node_role, head.id.value}, pki::valid_from(now));
  if (!node)
    return fail(node);
  head.link = std::move(*link);
  head.node = std::move(*node);
  return {};
}

result<worker_identity> adopt_renewal(const fs::path& state_dir, worker_identity known,
                                      const std::string& certificate_pem) {
  auto facts = pki::inspect(certificate_pem);
  if (!facts)
    return fail(facts);
  if (facts->who != pki::subject{known.cluster_id, node_role, known.id.value})
    return fail(errc::invalid_argument, "the head sent a certificate for " + facts->who.role + " '"
                                          + facts->who.name + "', not for node '" + known.id.value + "'");
  if (auto written = pki::write_secret(state_dir / "identity" / "certificate.pem", certificate_pem); !written)
    return fail(written);
  known.link.certificate_pem = certificate_pem;
  return known;
}

incarnation make_incarnation() { return {{random_word(), random_word()}}; }

result<host_port> parse_address(const std::string& address) {
  host_port parsed;
  auto colon = address.rfind(':');
  auto bad = [&] { return fail(errc::invalid_argument, "'" + address + "' is no HOST:PORT"); };
  if (colon == std::string::npos || colon == 0)
    return bad();
  parsed.host = address.substr(0, colon);
  if (parsed.host.front() == '[' && parsed.host.back() == ']')
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  auto* end = address.data() + address.size();
  auto [at, error] = std::from_chars(address.data() + colon + 1, end, parsed.port);
  if (error != std::errc{} || at != end || parsed.port == 0)
    return bad();
  return parsed;
}

} // namespace sluice::daemon
