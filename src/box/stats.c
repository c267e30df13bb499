#include "box/stats.h"

#include "util/spawn.h"
#include "util/time.h"
#include "vmm/usage.h"

int box_stats_ask(const char *home, const struct box *box, int *ret_fd, struct err *e)
{
    return ctl_send(home, box, &(struct ctl_request){ .op = CTL_STATS }, ret_fd, e);
}

static int give_up(struct tick *t UNUSED, struct err *e)
{
    return err_set(e, ERR_TIMEOUT, "No answer");
}

int box_stats_get(const struct box *box, int own_fd, uint64_t deadline_ns,
                  struct container_stats *ret, struct err *e)
{
    struct tick tick = { .at_ns = deadline_ns, .fn = give_up };
    struct ctl_reply reply = { 0 };
    int r;

    r = ctl_receive(box, own_fd, &tick, &reply, e);
    if (r < 0)
        return r;
    *ret = reply.stats;
    ret->container = NULL;
    config_done(ctl_reply, &reply);
    return 0;
}

void box_stats_host(const struct box *box, struct box_host_stats *ret)
{
    struct child_usage usage;
    struct err ignored;
    uint64_t start;

    *ret = (struct box_host_stats){ .now_ns = 0 };
    if (box->vm_pid <= 0 || proc_start_time(box->shim_pid, &start, &ignored) < 0 ||
        start != box->shim_start || child_usage(box->vm_pid, box->shim_pid, &usage, &ignored) < 0)
        return;
    *ret = (struct box_host_stats){ time_mono_ns(), usage.cpu_ns, usage.pss_bytes };
}
