#include "cli/command.h"

#include <string.h>

static int help_run(struct cli *cli, const void *args UNUSED, int argc, char **argv,
                    struct err *e)
{
    const struct command *const *list = cli_commands();
    const struct command *c = NULL;
    char path[80] = "a3s-box";

    if (!argc) {
        cli_help_all(cli->out);
        return 0;
    }
    for (; *argv; argv++) {
        size_t used = strlen(path);

        c = list ? cli_find(list, *argv) : NULL;
        if (!c)
            return err_set(e, ERR_NOT_FOUND, "unknown help topic: %.100s", *argv);
        (void)snprintf(path + used, sizeof(path) - used, " %s", cli_name(list, c));
        list = c->sub;
    }
    cli_help(c, path, cli->out);
    return 0;
}

const struct command cmd_help = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "Print help on a command",
    .group = GROUP_SYSTEM,
    .arg = ARG_COMMAND,
    .flags = CMD_NO_HOME,
    .max_args = ARGS_ANY,
    .run = help_run,
};
