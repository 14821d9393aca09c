#pragma once

#include "runtime/cli/command.hpp"

/// One entry per command; each is defined in the file of its name.
namespace sluice::cli {

extern const command start_command;
extern const command stop_command;
extern const command submit_command;
extern const command status_command;
extern const command list_command;
extern const command get_command;
extern const command logs_command;
extern const command scale_command;
extern const command drain_command;
extern const command rollback_command;
extern const command delete_command;
extern const command queue_list_command;
extern const command queue_put_command;
extern const command queue_peek_command;
extern const command queue_dead_letters_command;
extern const command queue_requeue_command;
extern const command queue_purge_command;
extern const command join_token_create_command;
extern const command token_show_command;
extern const command config_show_command;
extern const command version_command;
extern const command completion_command;

} // namespace sluice::cli
