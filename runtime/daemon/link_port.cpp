#include "runtime/daemon/link_port.hpp"

#include "runtime/daemon/address.hpp"
#include "transport/pki/secret_file.hpp"

#include <fstream>

namespace sluice::daemon {

namespace {

std::filesystem::path memory_in(const std::filesystem::path& state_dir) { return state_dir / "link-port"; }

} // namespace

link_port_choice choose_link_port(std::uint16_t wanted, bool is_given, std::optional<std::uint16_t> earlier) {
  const bool is_any = is_given && wanted == 0;
  if (earlier && (is_any || !is_given))
    return {*earlier, is_any, earlier};
  return {wanted, false, earlier};
}

failure cannot_listen(const link_port_choice& choice, const failure& why, const std::string& listen) {
  if (why.code == errc::conflict && choice.earlier == choice.port)
    return {why.code,
            why.message
              + "; a head keeps the port of its earlier start, since its workers know no other: end who "
                "has it (`ss -ltnp 'sport = :"
              + std::to_string(choice.port)
              + "'` shows it), or choose another with --link-port and start the workers again with the new "
                "address"};
  return {why.code, why.message + "; " + listen_advice(why.code, listen, "link-port")};
}

std::string moved_warning(const link_port_choice& choice, std::uint16_t port,
                          const std::string& link_address) {
  if (!choice.earlier || *choice.earlier == port)
    return {};
  return "the link port was " + std::to_string(*choice.earlier)
         + " until now; workers that joined there do not find this head: start them again with --address "
         + link_address + " (those of this machine that were started with --address auto come by themselves)";
}

std::optional<std::uint16_t> read_link_port(const std::filesystem::path& state_dir) {
  unsigned port = 0;
  if (std::ifstream in{memory_in(state_dir)}; in >> port && port > 0 && port <= 65535)
    return static_cast<std::uint16_t>(port);
  return std::nullopt;
}

result<void> keep_link_port(const std::filesystem::path& state_dir, std::uint16_t port) {
  if (read_link_port(state_dir) == port)
    return {};
  return pki::write_secret(memory_in(state_dir), std::to_string(port) + "\n");
}

} // namespace sluice::daemon
