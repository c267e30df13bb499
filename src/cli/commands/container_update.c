#include "box/update.h"
#include "cli/boxes.h"
#include "cli/flags_box.h"

#define F struct box_flags

static const struct opt update_rows[] = {
    OPT_I64(0, "cpu-period", "US", F, cpu_period, "Period of the CPU quota in microseconds"),
    OPT_I64(0, "cpu-quota", "US", F, cpu_quota,
            "CPU time per period in microseconds; -1: no limit"),
    OPT_I64('c', "cpu-shares", "N", F, cpu_shares, "Relative CPU weight, 2 to 262144"),
    OPT_STR(0, "cpus", "N", F, cpus, "Virtual CPUs; 1.5 is two of them and a quota"),
    OPT_STR(0, "cpuset-cpus", "LIST", F, cpuset_cpus, "Virtual CPUs to use (0-1,3); empty: all"),
    OPT_STR('m', "memory", "SIZE", F, memory,
            "Memory of the machine; a bare number below 1048576 is in MiB"),
    OPT_STR(0, "memory-reservation", "SIZE", F, memory_reservation,
            "Memory the workload keeps under pressure"),
    OPT_STR(0, "memory-swap", "SIZE", F, memory_swap, "Memory and swap together; -1: unlimited"),
    OPT_I64(0, "pids-limit", "N", F, pids_limit, "Most processes at a time; -1: unlimited"),
    OPT_STR(0, "restart", "POLICY", F, restart,
            "When it ends: no, on-failure[:N], always, unless-stopped"),
    { .type = OPT_END },
};

static int update_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                      struct err *e)
{
    struct box_update update = { 0 };
    int r;

    r = flags_update(arg, &box->spec, &update, e);
    if (r == 0)
        r = box_update(db, cli->home, box, &update, e);
    box_update_done(&update);
    return r;
}

static bool nothing_given(const struct box_flags *f)
{
    return !f->cpu_period && !f->cpu_quota && !f->cpu_shares && !f->cpus && !f->cpuset_cpus &&
           !f->memory && !f->memory_reservation && !f->memory_swap && !f->restart &&
           f->pids_limit == FLAG_NOT_GIVEN;
}

static int update_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                      struct err *e)
{
    if (nothing_given(args))
        return err_set(e, ERR_USAGE, "No updates specified: give at least one option");
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = update_one, .arg = args, .echo = true }, e);
}

static const struct box_flags update_defaults = { .pids_limit = FLAG_NOT_GIVEN };

const struct command cmd_container_update = {
    .name = "container-update",
    .sub_name = "update",
    .synopsis = "OPTIONS BOX [BOX...]",
    .summary = "Change the limits of one or more boxes, also while they run",
    .group = GROUP_LIFECYCLE,
    .audit = "box_update",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = update_rows,
    .args_size = sizeof(struct box_flags),
    .defaults = &update_defaults,
    .run = update_run,
};
