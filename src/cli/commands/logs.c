#include "cli/boxes.h"
#include "cli/log_view.h"
#include "util/parse.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>

struct logs_args {
    bool follow, timestamps, details;
    const char *tail, *since, *until;
};

static const struct opt logs_opts[] = {
    OPT_FLAG(0, "details", struct logs_args, details,
             "Put the attributes of the log driver first"),
    OPT_FLAG('f', "follow", struct logs_args, follow, "Go on until the box ends"),
    OPT_STR(0, "since", "TIME", struct logs_args, since,
            "Only from then on: 10m (ago), 2026-11-22T13:33:16Z, or seconds since 1970"),
    OPT_STR('n', "tail", "N", struct logs_args, tail, "Only the last N lines (default all)"),
    OPT_FLAG('t', "timestamps", struct logs_args, timestamps, "Put the time before each line"),
    OPT_STR(0, "until", "TIME", struct logs_args, until, "Only up to then"),
    { .type = OPT_END },
};

static int read_range(const struct logs_args *args, struct log_range *ret, struct err *e)
{
    int64_t now = time_real_ns();
    int r = 0;

    *ret = (struct log_range){ .follow = args->follow,
                               .timestamps = args->timestamps,
                               .details = args->details,
                               .tail = -1,
                               .since_ns = INT64_MIN,
                               .until_ns = INT64_MAX };
    if (args->tail && strcmp(args->tail, "all") != 0 &&
        parse_i64(args->tail, 0, INT64_MAX, &ret->tail, e) < 0)
        ret->tail = -1; /* docker: what is no number is "all" */
    if (args->since)
        r = log_moment(args->since, now, &ret->since_ns, e);
    if (r >= 0 && args->until)
        r = log_moment(args->until, now, &ret->until_ns, e);
    return r;
}

static int logs_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    autofd int dir = -1;
    autofd int logs = -1;
    autofd int shim = -1;
    struct log_range range;
    struct err gone;
    int r;

    r = read_range(args, &range, e);
    if (r >= 0)
        r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    if (box->spec.log_driver && !strcmp(box->spec.log_driver, "none"))
        return err_set(e, ERR_STATE, "Logging is disabled for box %s (log-driver=none)",
                       box->name);
    if (box->spec.log_driver && strcmp(box->spec.log_driver, "json-file") != 0)
        return err_set(e, ERR_STATE,
                       "Box %s: configured logging driver does not support reading (%s)",
                       box->name, box->spec.log_driver);
    dir = box_open_dir(cli->home, box, e);
    if (dir < 0)
        return dir;
    logs = openat(dir, "logs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (logs < 0 && errno == ENOENT)
        return 0; /* it has never been started */
    if (logs < 0)
        return err_os(e, "open the logs of box %s", box->name);
    if (proc_open(box->shim_pid, box->shim_start, &shim, &gone) < 0)
        shim = -1; /* it has ended: there is nothing to wait for */
    return log_view(cli, logs, shim, &range, e);
}

const struct command cmd_logs = {
    .name = "logs",
    .synopsis = "[OPTIONS] BOX",
    .summary = "Print what a box has printed",
    .group = GROUP_LOOK,
    .arg = ARG_BOX1,
    .min_args = 1,
    .max_args = 1,
    .opts = logs_opts,
    .args_size = sizeof(struct logs_args),
    .run = logs_run,
};
