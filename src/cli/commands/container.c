#include "cli/command.h"

static const struct command *const container_sub[] = {
    &cmd_attach,
    &cmd_commit,
    &cmd_container_prune,
    &cmd_cp,
    &cmd_create,
    &cmd_diff,
    &cmd_exec,
    &cmd_export,
    &cmd_inspect,
    &cmd_kill,
    &cmd_logs,
    &cmd_pause,
    &cmd_port,
    &cmd_ps,
    &cmd_rename,
    &cmd_restart,
    &cmd_rm,
    &cmd_run,
    &cmd_start,
    &cmd_stats,
    &cmd_stop,
    &cmd_top,
    &cmd_unpause,
    &cmd_wait,
    &cmd_container_update,
    NULL,
};

const struct command cmd_container = {
    .name = "container",
    .summary = "Commands on boxes",
    .group = GROUP_DOCKER,
    .sub = container_sub,
};
