#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "util/parse.h"
#include "util/time.h"

#define OWN_TIMEOUT INT32_MIN       /* nobody gave one: the box's */
#define FOREVER_NS  (INT64_MAX / 4) /* 73 years; far enough from an overflow */

struct stop_args {
    int timeout_s;
    const char *signal;
};

static const struct opt stop_opts[] = {
    OPT_STR('s', "signal", "SIGNAL", struct stop_args, signal,
            "Signal to send (default: the box's stop signal)"),
    OPT_INT('t', "timeout", "SECONDS", struct stop_args, timeout_s,
            "Wait so long before it is killed; -1: for ever (default: the box's, else 10)",
            .alias = "time", .min = -1, .max = INT32_MAX),
    { .type = OPT_END },
};

struct stop_how {
    int signal; /* 0: the box's */
    uint64_t timeout_ns;
};

static int stop_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                    struct err *e)
{
    const struct stop_how *how = arg;

    return box_stop(db, cli->home, box, how->signal, how->timeout_ns, e);
}

static int stop_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    const struct stop_args *a = args;
    struct stop_how how = { .timeout_ns = UINT64_MAX };

    if (a->signal && parse_signal(a->signal, &how.signal, e) < 0)
        return err_set(e, ERR_INVALID, "Unknown signal: %.100s", a->signal);
    if (a->timeout_s == -1)
        how.timeout_ns = FOREVER_NS;
    else if (a->timeout_s >= 0)
        how.timeout_ns = (uint64_t)a->timeout_s * NS_PER_S;
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = stop_one, .arg = &how, .echo = true }, e);
}

static const struct stop_args stop_defaults = { .timeout_s = OWN_TIMEOUT };

const struct command cmd_stop = {
    .name = "stop",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Stop one or more boxes",
    .group = GROUP_LIFECYCLE,
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = stop_opts,
    .args_size = sizeof(struct stop_args),
    .defaults = &stop_defaults,
    .run = stop_run,
};
