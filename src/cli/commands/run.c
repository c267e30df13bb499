#include "box/lifecycle.h"
#include "cli/attach.h"
#include "cli/boxes.h"
#include "cli/new_box.h"

#include <strings.h>

struct run_args {
    struct box_flags box;
    bool detach, sig_proxy;
    const char *detach_keys;
};

static const struct opt run_opts[] = {
    OPT_FLAG('d', "detach", struct run_args, detach, "Print the id and leave it running"),
    OPT_STR(0, "detach-keys", "KEYS", struct run_args, detach_keys,
            "Keys that detach from a terminal (default ctrl-p,ctrl-q)"),
    OPT_FLAG(0, "sig-proxy", struct run_args, sig_proxy,
             "Forward signals to the workload (default true)"),
    OPT_TABLE(box_flag_rows, struct run_args, box),
    { .type = OPT_END },
};

/* Which of our streams: all that make sense, or what -a says. */
static int streams(const struct run_args *a, struct attach *how, struct err *e)
{
    const struct str_list *list = &a->box.attach;

    *how = (struct attach){ .sig_proxy = a->sig_proxy, .detach_keys = a->detach_keys };
    if (!list->n) {
        how->in = a->box.interactive && !a->box.no_stdin;
        how->out = how->err = true;
        return 0;
    }
    if (a->detach)
        return err_set(e, ERR_INVALID, "Conflicting options: -a and -d");
    for (size_t i = 0; i < list->n; i++) {
        if (!strcasecmp(list->v[i], "stdin"))
            how->in = true;
        else if (!strcasecmp(list->v[i], "stdout"))
            how->out = true;
        else if (!strcasecmp(list->v[i], "stderr"))
            how->err = true;
        else
            return err_set(e, ERR_INVALID,
                           "invalid argument \"%.40s\" for \"-a, --attach\" flag: valid streams "
                           "are STDIN, STDOUT and STDERR",
                           list->v[i]);
    }
    return 0;
}

/* --rm holds for a box that did not start, too; usually the shim has seen to it. */
static void remove_failed(struct cli *cli, struct db *db, struct box *box)
{
    struct err ignored;

    if (!box->spec.auto_remove || box_reload(db, box, &ignored) < 0 ||
        box_state_is_live(box->state))
        return;
    if (box_remove(db, cli->home, box, &ignored) < 0)
        err_clear(&ignored); /* the first error is the one to report */
}

static int run_detached(struct cli *cli, struct db *db, struct box *box, struct err *e)
{
    int status = 125, r;

    r = cli_start_box(cli, db, box, &status, e);
    cli_audit(cli, "box_start", box->name, r < 0 ? e : NULL);
    cli->status = status;
    fprintf(cli->out, "%s\n", box->id); /* docker prints it in either case */
    return r;
}

static int run_run(struct cli *cli, const void *args, int argc UNUSED, char **argv, struct err *e)
{
    const struct run_args *a = args;
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    struct attach how;
    int r;

    r = streams(a, &how, e);
    if (r < 0)
        return r;
    if (!a->detach && session_check_tty(how.in, a->box.tty, e) < 0) {
        cli->status = 1;
        return -(int)e->kind;
    }
    r = cli_new_box(cli, &a->box, argv, &db, &box, e);
    if (r < 0)
        return r;
    r = a->detach ? run_detached(cli, db, box, e) : cli_start_attached(cli, db, box, &how, e);
    if (r < 0)
        remove_failed(cli, db, box);
    return r;
}

static const struct run_args run_defaults = { .box = BOX_FLAGS_DEFAULTS, .sig_proxy = true };

const struct command cmd_run = {
    .name = "run",
    .synopsis = "[OPTIONS] IMAGE [--] [COMMAND] [ARG...]",
    .summary = "Run a command in a new box",
    .details = "Exits with the command's status; 125 when the box could not be made, 126 when\n"
               "the command cannot be executed, 127 when it is not found, 128+N when signal N\n"
               "ended it.\n",
    .group = GROUP_LIFECYCLE,
    .audit = "box_start",
    .arg = ARG_IMAGE1,
    .flags = CMD_STOP_AT_ARG,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .usage_status = 125,
    .fail_status = 125,
    .opts = run_opts,
    .args_size = sizeof(struct run_args),
    .defaults = &run_defaults,
    .run = run_run,
};
