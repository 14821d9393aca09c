#include "runtime/cli/commands.hpp"

#include <array>

namespace sluice::cli {

namespace {

constexpr std::array queue_table{&queue_list_command,         &queue_put_command,     &queue_peek_command,
                                 &queue_dead_letters_command, &queue_requeue_command, &queue_purge_command};
constexpr std::array join_token_table{&join_token_create_command};
constexpr std::array token_table{&token_show_command};
constexpr std::array config_table{&config_show_command};

constexpr command queue_group{.name = "queue",
                              .synopsis = "Put records into queues and look at what waits or failed",
                              .details = {},
                              .examples = "  sluice queue put orders orders.jsonl\n"
                                          "  sluice queue dead-letters orders",
                              .children = queue_table};
constexpr command join_token_group{.name = "join-token",
                                   .synopsis = "Make tokens with which workers join",
                                   .details = {},
                                   .examples = "  sluice join-token create > join-token\n"
                                               "  sluice join-token create --ttl 10m",
                                   .children = join_token_table};
constexpr command token_group{.name = "token",
                              .synopsis = "Show the token with which clients elsewhere connect",
                              .details = {},
                              .examples = "  (umask 077; sluice token show > token)\n"
                                          "  sluice token show -o json",
                              .children = token_table};
constexpr command config_group{.name = "config",
                               .synopsis = "Show settings and where they come from",
                               .details = {},
                               .examples = "  sluice config show --origin\n"
                                           "  sluice config show -o json",
                               .children = config_table};

constexpr std::array table{
  &start_command,    &stop_command,  &submit_command, &status_command,   &list_command,      &get_command,
  &logs_command,     &scale_command, &drain_command,  &rollback_command, &delete_command,    &queue_group,
  &join_token_group, &token_group,   &config_group,   &version_command,  &completion_command};

} // namespace

std::span<const command* const> commands() { return table; }

} // namespace sluice::cli
