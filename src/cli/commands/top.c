#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "cli/proc_table.h"
#include "show/table.h"

#define MIN_WIDTH 20 /* docker's, for this command only */

static int print_table(struct cli *cli, const struct proc_list *procs, char **args, struct err *e)
{
    autostr text = STR_INIT(0), aligned = STR_INIT(0);
    int r;

    r = proc_table(procs, args, &text, e);
    if (r < 0)
        return r;
    show_align(str_c(&text), MIN_WIDTH, &aligned);
    if (text.failed || aligned.failed)
        return err_set(e, ERR_LIMIT, "Output is too big");
    (void)fwrite(str_c(&aligned), 1, aligned.len, cli->out); /* main checks the stream */
    return 0;
}

static int top_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                   struct err *e)
{
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    struct proc_list procs = { 0 };
    int r;

    r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    if (box->state != BOX_RUNNING && box->state != BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    r = box_procs(cli->home, box, &procs, e);
    if (r >= 0)
        r = print_table(cli, &procs, argv + 1, e);
    config_done(proc_list, &procs);
    return r;
}

const struct command cmd_top = {
    .name = "top",
    .synopsis = "BOX [PS_OPTIONS]",
    .summary = "List the processes of a box",
    .details = "Options of ps: -ef (default), aux, -o LIST, -eo LIST\n",
    .group = GROUP_LOOK,
    .arg = ARG_RUNNING,
    .flags = CMD_STOP_AT_ARG,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .run = top_run,
};
