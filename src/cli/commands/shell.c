#include "cli/boxes.h"
#include "cli/exec.h"

#include <string.h>

struct shell_args {
    const char *shell, *user, *workdir, *detach_keys;
};

static const struct opt shell_opts[] = {
    OPT_STR(0, "detach-keys", "KEYS", struct shell_args, detach_keys,
            "Keys that detach from it (default ctrl-p,ctrl-q)"),
    OPT_STR(0, "shell", "PATH", struct shell_args, shell, "The shell (default /bin/sh)"),
    OPT_STR('u', "user", "USER", struct shell_args, user, "User and group (default: the box's)"),
    OPT_STR('w', "workdir", "DIR", struct shell_args, workdir, "Working directory"),
    { .type = OPT_END },
};

static int shell_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                     struct err *e)
{
    const struct shell_args *a = args;
    char *shell[] = { NULL, NULL };
    struct exec x = { .argv = shell,
                      .user = a->user,
                      .cwd = a->workdir,
                      .detach_keys = a->detach_keys,
                      .tty = isatty(0), /* a script on stdin needs no terminal */
                      .in = true };
    autofree char *path = strdup(a->shell);
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    if (!path)
        return err_os(e, "shell");
    shell[0] = path;
    r = cli_open_box(cli, argv[0], &db, &box, e);
    return r < 0 ? r : cli_exec(cli, take_ptr(db), box, &x, e);
}

static const struct shell_args shell_defaults = { .shell = "/bin/sh" };

const struct command cmd_shell = {
    .name = "shell",
    .synopsis = "[OPTIONS] BOX",
    .summary = "Open a shell in a running box",
    .group = GROUP_INSIDE,
    .audit = "exec_command",
    .arg = ARG_RUNNING,
    .min_args = 1,
    .max_args = 1,
    .opts = shell_opts,
    .args_size = sizeof(struct shell_args),
    .defaults = &shell_defaults,
    .run = shell_run,
};
