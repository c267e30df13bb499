#include "cli/box_inspect.h"
#include "cli/boxes.h"
#include "cli/port_list.h"

static int port_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                    struct err *e)
{
    autostr lines = STR_INIT(0);
    autoptr(box) box = NULL;
    autoptr(db) db = NULL;
    json_t *o;
    int r;

    r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    o = box_inspect(box, cli->home);
    r = port_list(json_object_get(json_object_get(o, "NetworkSettings"), "Ports"), argv[1],
                  argv[0], &lines, e);
    json_decref(o);
    if (r >= 0)
        fputs(str_c(&lines), cli->out);
    return r;
}

const struct command cmd_port = {
    .name = "port",
    .synopsis = "BOX [PORT[/PROTOCOL]]",
    .summary = "Show where the ports of a box are published",
    .group = GROUP_LOOK,
    .arg = ARG_BOX1,
    .min_args = 1,
    .max_args = 2,
    .run = port_run,
};
