#include "cli/registry.h"

static int on_event(void *ctx, const json_t *event, struct err *e UNUSED)
{
    struct cli *cli = ctx;
    const char *server = json_string_value(json_object_get(event, "server"));

    if (json_is_true(json_object_get(event, "found")))
        fprintf(cli->out, "Removing login credentials for %s\n", server);
    else
        fprintf(cli->out, "Not logged in to %s\n", server);
    return 0;
}

static int logout_run(struct cli *cli, const void *args UNUSED, int argc, char **argv,
                      struct err *e)
{
    const char *words[] = { "logout", argc ? argv[0] : "docker.io", NULL };
    struct registry_job job = { .args = words, .event = on_event, .ctx = cli };

    return cli_registry(cli, &job, e);
}

const struct command cmd_logout = {
    .name = "logout",
    .synopsis = "[SERVER]",
    .summary = "Log out from a registry (default: docker.io)",
    .group = GROUP_IMAGE,
    .audit = "registry_logout",
    .max_args = 1,
    .run = logout_run,
};
