#include "cli/command.h"

static const struct command *const system_sub[] = {
    &cmd_df,
    &cmd_info,
    &cmd_system_prune,
    NULL,
};

const struct command cmd_system = {
    .name = "system",
    .summary = "Commands on this installation",
    .group = GROUP_DOCKER,
    .sub = system_sub,
};
