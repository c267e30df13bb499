#include "cli/attach.h"
#include "cli/boxes.h"

struct attach_args {
    bool no_stdin, sig_proxy;
    const char *detach_keys;
};

static const struct opt attach_opts[] = {
    OPT_STR(0, "detach-keys", "KEYS", struct attach_args, detach_keys,
            "Keys that detach from a terminal (default ctrl-p,ctrl-q)"),
    OPT_FLAG(0, "no-stdin", struct attach_args, no_stdin, "Do not attach stdin"),
    OPT_FLAG(0, "sig-proxy", struct attach_args, sig_proxy,
             "Forward signals to the workload (default true)"),
    { .type = OPT_END },
};

static int attach_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct attach_args *a = args;
    struct attach how = {
        .out = true, .err = true, .sig_proxy = a->sig_proxy, .detach_keys = a->detach_keys
    };
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    if (box->state == BOX_PAUSED)
        return err_set(e, ERR_STATE, "You cannot attach to a paused box, unpause it first");
    if (!box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "You cannot attach to a stopped box, start it first");
    how.in = box->spec.open_stdin && !a->no_stdin;
    if (session_check_tty(how.in, box->spec.tty, e) < 0)
        return -(int)e->kind;
    cli_tell(db, box, "attach", NULL, 0);
    return cli_attach(cli, db, box, &how, e);
}

static const struct attach_args attach_defaults = { .sig_proxy = true };

const struct command cmd_attach = {
    .name = "attach",
    .synopsis = "[OPTIONS] BOX",
    .summary = "Attach to the streams of a running box",
    .details = "Output from before is in `logs`. Exits with the workload's status.\n",
    .group = GROUP_INSIDE,
    .audit = "exec_attach",
    .arg = ARG_RUNNING,
    .min_args = 1,
    .max_args = 1,
    .opts = attach_opts,
    .args_size = sizeof(struct attach_args),
    .defaults = &attach_defaults,
    .run = attach_run,
};
