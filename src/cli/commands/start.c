#include "box/lifecycle.h"
#include "cli/attach.h"
#include "cli/boxes.h"

struct start_args {
    bool attach, interactive, sig_proxy, by_policy;
    const char *detach_keys;
};

static const struct opt start_opts[] = {
    OPT_FLAG('a', "attach", struct start_args, attach,
             "Attach stdout and stderr, forward signals"),
    OPT_FLAG(0, "by-policy", struct start_args, by_policy,
             "It is not the user who wants it (monitor)", .hidden = true),
    OPT_STR(0, "detach-keys", "KEYS", struct start_args, detach_keys,
            "Keys that detach from a terminal (default ctrl-p,ctrl-q)"),
    OPT_FLAG('i', "interactive", struct start_args, interactive, "Attach stdin"),
    OPT_FLAG(0, "sig-proxy", struct start_args, sig_proxy,
             "Forward signals to the workload (default true)"),
    { .type = OPT_END },
};

static int start_one(struct cli *cli, struct db *db, struct box *box, const void *arg UNUSED,
                     struct err *e)
{
    if (box->state == BOX_RESTARTING)
        return box_restart_now(cli->home, box, e);
    if (box_state_is_live(box->state)) /* docker: nothing to do */
        return box->state != BOX_PAUSED
                   ? 0
                   : err_set(e, ERR_STATE, "cannot start a paused box, try unpause instead");
    return cli_start_box(cli, db, box, NULL, e);
}

/* For `monitor`: counted as a restart, and refused when somebody has stopped it meanwhile. */
static int start_again(struct cli *cli, struct db *db, struct box *box, const void *arg UNUSED,
                       struct err *e)
{
    autofree char *shim = cli_helper_path(cli, "a3s-box-shim");
    const struct box_start how = { .shim_path = shim, .attach_fd = -1, .restart = true };
    int status;

    if (!shim)
        return err_set(e, ERR_LIMIT, "Out of memory");
    return box_state_is_live(box->state) ? 0 : box_start(db, cli->home, box, &how, &status, e);
}

static int start_attached(struct cli *cli, const struct start_args *a, const char *name,
                          struct err *e)
{
    struct attach how = { .in = a->interactive,
                          .out = true,
                          .err = true,
                          .sig_proxy = a->sig_proxy,
                          .detach_keys = a->detach_keys };
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    r = cli_open_box(cli, name, &db, &box, e);
    if (r < 0)
        return r;
    how.in = how.in && box->spec.open_stdin;
    if (session_check_tty(how.in, box->spec.tty, e) < 0)
        return -(int)e->kind;
    r = box_state_is_live(box->state) ? cli_attach(cli, db, box, &how, e)
                                      : cli_start_attached(cli, db, box, &how, e);
    cli->status = 0; /* docker: a failing start is 1, not 125 */
    return r;
}

static int start_run(struct cli *cli, const void *args, int argc, char **argv, struct err *e)
{
    const struct start_args *a = args;

    if (a->by_policy)
        return cli_each_box(cli, argv, &(struct box_verb){ .run = start_again }, e);
    if (!a->attach && !a->interactive)
        return cli_each_box(cli, argv, &(struct box_verb){ .run = start_one, .echo = true }, e);
    if (argc > 1)
        return err_set(e, ERR_INVALID, "you cannot start and attach multiple boxes at once");
    return start_attached(cli, a, argv[0], e);
}

static const struct start_args start_defaults = { .sig_proxy = true };

const struct command cmd_start = {
    .name = "start",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Start one or more stopped boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_start",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = start_opts,
    .args_size = sizeof(struct start_args),
    .defaults = &start_defaults,
    .run = start_run,
};
