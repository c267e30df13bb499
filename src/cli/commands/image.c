#include "cli/command.h"

static const struct command *const image_sub[] = {
    &cmd_history, &cmd_import, &cmd_image_inspect, &cmd_load, &cmd_images, &cmd_image_prune,
    &cmd_pull,    &cmd_push,   &cmd_rmi,           &cmd_save, &cmd_tag,    NULL,
};

const struct command cmd_image = {
    .name = "image",
    .summary = "Commands on images",
    .group = GROUP_DOCKER,
    .sub = image_sub,
};
