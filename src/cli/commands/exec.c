#include "cli/exec.h"
#include "cli/boxes.h"
#include "cli/flags_box.h"
#include "cli/session.h"

struct exec_args {
    bool detach, interactive, tty, privileged;
    const char *user, *workdir, *detach_keys;
    struct str_list env, env_file;
    uint64_t timeout_ns;
};

static const struct opt exec_opts[] = {
    OPT_FLAG('d', "detach", struct exec_args, detach, "Start it and return"),
    OPT_STR(0, "detach-keys", "KEYS", struct exec_args, detach_keys,
            "Keys that detach from a terminal (default ctrl-p,ctrl-q)"),
    OPT_LIST('e', "env", "K=V", struct exec_args, env, "Set a variable, or pass one on"),
    OPT_LIST(0, "env-file", "FILE", struct exec_args, env_file, "Read variables from a file"),
    OPT_FLAG('i', "interactive", struct exec_args, interactive, "Attach stdin"),
    OPT_FLAG(0, "privileged", struct exec_args, privileged, "All capabilities, no seccomp"),
    OPT_DURATION(0, "timeout", "TIME", struct exec_args, timeout_ns,
                 "Kill it after so long; its status is 137"),
    OPT_FLAG('t', "tty", struct exec_args, tty, "Give it a terminal"),
    OPT_STR('u', "user", "USER", struct exec_args, user, "User and group (default: the box's)"),
    OPT_STR('w', "workdir", "DIR", struct exec_args, workdir, "Working directory"),
    { .type = OPT_END },
};

static int exec_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    const struct exec_args *a = args;
    struct strv env = { 0 };
    struct exec x = { .argv = argv + 1,
                      .env = &env,
                      .user = a->user,
                      .cwd = a->workdir,
                      .detach_keys = a->detach_keys,
                      .timeout_ns = a->timeout_ns,
                      .tty = a->tty,
                      .in = a->interactive && !a->detach,
                      .detach = a->detach,
                      .privileged = a->privileged };
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    r = session_check_tty(x.in, x.tty, e);
    if (r == 0)
        r = flags_env(&a->env_file, &a->env, &env, e);
    if (r == 0)
        r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r == 0)
        r = cli_exec(cli, take_ptr(db), box, &x, e);
    strv_done(&env);
    return r;
}

const struct command cmd_exec = {
    .name = "exec",
    .synopsis = "[OPTIONS] BOX [--] COMMAND [ARG...]",
    .summary = "Run a command in a running box",
    .details = "Exits with the command's status; 126 when it cannot be executed, 127 when it is\n"
               "not found. Signals sent to this program are passed on to the command.\n",
    .group = GROUP_INSIDE,
    .audit = "exec_command",
    .arg = ARG_RUNNING,
    .flags = CMD_STOP_AT_ARG,
    .min_args = 2,
    .max_args = ARGS_ANY,
    .usage_status = 125,
    .opts = exec_opts,
    .args_size = sizeof(struct exec_args),
    .run = exec_run,
};
