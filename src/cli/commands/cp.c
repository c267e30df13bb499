#include "cli/cp.h"

#include "show/human.h"

#include <string.h>

struct cp_args {
    bool archive, follow, quiet;
};

static const struct opt cp_opts[] = {
    OPT_FLAG('a', "archive", struct cp_args, archive, "Keep owners (uid and gid)"),
    OPT_FLAG('L', "follow-link", struct cp_args, follow, "Follow a symbolic link in SRC"),
    OPT_FLAG('q', "quiet", struct cp_args, quiet, "Say nothing at the end"),
    { .type = OPT_END },
};

/* "BOX:PATH", but not an absolute or an explicitly relative path of this machine. The box is
 * given away, NULL for a path of this machine. */
static int split_arg(const char *arg, char **ret_box, const char **ret_path, struct err *e)
{
    const char *colon = arg[0] == '/' || arg[0] == '.' ? NULL : strchr(arg, ':');

    *ret_path = colon ? colon + 1 : arg;
    *ret_box = NULL;
    if (!colon || colon == arg)
        return 0;
    *ret_box = strndup(arg, (size_t)(colon - arg));
    return *ret_box ? 0 : err_os(e, "copy");
}

static void tell(struct cp *cp, const char *box)
{
    autostr size = STR_INIT(0);

    human_size_short(cp->bytes, &size);
    fprintf(cp->cli->err, "Successfully copied %s to %s%s%s\n", str_c(&size), box ? box : "",
            box ? ":" : "", cp->to);
}

static int copy(struct cp *cp, bool in, struct err *e)
{
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    autoptr(files) files = NULL;
    int r = cli_open_box(cp->cli, cp->box, &db, &box, e);

    if (r == 0 && in && box->spec.read_only && !box_state_is_live(box->state))
        r = err_set(e, ERR_INVALID, "container rootfs is marked read-only");
    if (r == 0)
        r = files_open(cp->cli, db, box, in, &files, e);
    if (r < 0)
        return r;
    cp->files = files;
    r = in ? cp_in(cp, e) : cp_out(cp, e);
    if (r == 0)
        cli_tell(db, box, "copy", NULL, 0);
    return r;
}

static int cp_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                  struct err *e)
{
    const struct cp_args *args = own_args;
    autofree char *from_box = NULL, *to_box = NULL;
    struct cp cp = { .cli = cli, .archive = args->archive, .follow = args->follow };
    int r = split_arg(argv[0], &from_box, &cp.from, e);

    if (r == 0)
        r = split_arg(argv[1], &to_box, &cp.to, e);
    if (r < 0)
        return r;
    if (!*argv[0])
        return err_set(e, ERR_INVALID, "source can not be empty");
    if (!*argv[1])
        return err_set(e, ERR_INVALID, "destination can not be empty");
    if (from_box && to_box)
        return err_set(e, ERR_UNSUPPORTED, "copying between containers is not supported");
    if (!from_box && !to_box)
        return err_set(e, ERR_INVALID, "must specify at least one container source");
    cp.box = from_box ? from_box : to_box;
    r = copy(&cp, to_box != NULL, e);
    if (r == 0 && !args->quiet && isatty(STDOUT_FILENO) && strcmp(cp.to, "-") != 0)
        tell(&cp, to_box);
    return r;
}

const struct command cmd_cp = {
    .name = "cp",
    .synopsis = "[OPTIONS] BOX:SRC DEST|-\n       a3s-box cp [OPTIONS] SRC|- BOX:DEST",
    .summary = "Copy files between a box and this machine",
    .details =
        "SRC may be a file or a directory; DIR/. copies what is in it. \"-\" is a tar from\n"
        "stdin, or to stdout. Works whether the box runs or not.\n",
    .group = GROUP_INSIDE,
    .audit = "box_copy",
    .arg = ARG_FILE,
    .min_args = 2,
    .max_args = 2,
    .opts = cp_opts,
    .args_size = sizeof(struct cp_args),
    .run = cp_run,
};
