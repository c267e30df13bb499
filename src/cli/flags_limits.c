/* --cpus, --memory and the limits within them: of a new box, and of container-update. */
#include "cli/flags_internal.h"

#include "box/policy.h"
#include "box/update.h"
#include "util/parse.h"
#include "util/time.h"

#include <string.h>

#define MEMORY_DEFAULT (UINT64_C(512) << 20)
#define DISK_DEFAULT   (UINT64_C(10) << 30)
#define CPUS_DEFAULT   2
#define CPU_PERIOD_US  100000

/* "2", "1.5", ".5": billionths of a CPU. */
static int parse_cpus(const char *text, uint64_t *ret_nano, struct err *e)
{
    const char *dot = strchr(text, '.');
    autofree char *whole = strndup(text, dot ? (size_t)(dot - text) : strlen(text));
    uint64_t n = 0, frac = 0, scale = NS_PER_S;
    struct err why;

    if (!whole)
        return flags_no_memory(e);
    if ((*whole || !dot) && parse_u64(whole, 0, 255, &n, &why) < 0)
        return err_set(e, ERR_INVALID, "%s", why.text);
    for (const char *p = dot ? dot + 1 : ""; *p; p++) {
        if (*p < '0' || *p > '9' || scale == 1)
            return err_set(e, ERR_INVALID, "'%.32s' is not a number of CPUs", text);
        scale /= 10;
        frac += (uint64_t)(*p - '0') * scale;
    }
    n = n * NS_PER_S + frac;
    if (n < NS_PER_S / 100 || n > 255 * NS_PER_S)
        return err_set(e, ERR_INVALID, "range of CPUs is from 0.01 to 255.00");
    *ret_nano = n;
    return 0;
}

/* A bare number is what both kinds of users mean by it: MiB when it is small, else bytes. */
static int parse_memory(const char *text, uint64_t *ret, struct err *e)
{
    uint64_t n;
    struct err ignored;

    if (parse_u64(text, 0, (1U << 20) - 1, &n, &ignored) == 0) {
        *ret = n << 20;
        return 0;
    }
    return parse_size(text, 1, 0, INT64_MAX, ret, e);
}

static int fill_machine(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    uint64_t nano = CPUS_DEFAULT * NS_PER_S;

    s->memory_bytes = MEMORY_DEFAULT;
    s->disk_bytes = f->storage_size ? f->storage_size : DISK_DEFAULT;
    if (f->cpus && parse_cpus(f->cpus, &nano, e) < 0)
        return flags_bad("cpus", f->cpus, e);
    s->cpus = (nano + NS_PER_S - 1) / NS_PER_S;
    if (nano % NS_PER_S && (f->cpu_quota || f->cpu_period))
        return err_set(e, ERR_INVALID, "Conflicting options: --cpus %s and --cpu-%s", f->cpus,
                       f->cpu_quota ? "quota" : "period");
    if (nano % NS_PER_S) {
        s->limits.cpu_period_us = CPU_PERIOD_US;
        s->limits.cpu_quota_us = nano / (NS_PER_S / CPU_PERIOD_US);
    }
    if (f->memory && parse_memory(f->memory, &s->memory_bytes, e) < 0)
        return flags_bad("memory", f->memory, e);
    return flags_copy(&s->accel, f->accel ? f->accel : "auto", e);
}

static int fill_cpu_limits(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    struct cgroup_limits *l = &s->limits;

    if (f->cpu_shares < 0 || f->cpu_shares == 1 || f->cpu_shares > 262144)
        return err_set(e, ERR_INVALID, "--cpu-shares %lld is not between 2 and 262144",
                       (long long)f->cpu_shares);
    if (f->cpu_shares)
        l->cpu_weight = 1 + ((uint64_t)f->cpu_shares - 2) * 9999 / 262142;
    s->cpu_shares = (uint64_t)f->cpu_shares;
    if (f->cpu_period && (f->cpu_period < 1000 || f->cpu_period > 1000000))
        return err_set(e, ERR_INVALID,
                       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
                       "(i.e. 1000000)");
    if (f->cpu_quota > 0 && f->cpu_quota < 1000)
        return err_set(e, ERR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    if (f->cpu_period)
        l->cpu_period_us = (uint64_t)f->cpu_period;
    if (f->cpu_quota > 0)
        l->cpu_quota_us = (uint64_t)f->cpu_quota;
    return flags_copy(&l->cpuset, f->cpuset_cpus, e);
}

/* Memory and swap together. */
static int parse_swap(const char *text, uint64_t memory_bytes, struct cgroup_limits *l,
                      struct err *e)
{
    uint64_t total = 0;

    l->memory_swap_max = -1;
    if (!strcmp(text, "-1"))
        return 0;
    if (parse_size(text, 1, 0, INT64_MAX, &total, e) < 0)
        return flags_bad("memory-swap", text, e);
    if (total && total < memory_bytes)
        return err_set(e, ERR_INVALID,
                       "Minimum memoryswap limit should be larger than memory limit, see usage");
    l->memory_swap_max = total ? (int64_t)(total - memory_bytes) : 0;
    return 0;
}

static int fill_memory_limits(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    struct cgroup_limits *l = &s->limits;

    l->pids_max = f->pids_limit > 0 ? (uint64_t)f->pids_limit : 0;
    l->oom_score_adj = f->oom_score_adj;
    if (f->memory_reservation &&
        parse_size(f->memory_reservation, 1, 0, s->memory_bytes, &l->memory_low, e) < 0)
        return flags_bad("memory-reservation", f->memory_reservation, e);
    return f->memory_swap ? parse_swap(f->memory_swap, s->memory_bytes, l, e) : 0;
}

int flags_limits(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    int r;

    r = fill_machine(f, s, e);
    if (r == 0)
        r = fill_cpu_limits(f, s, e);
    return r == 0 ? fill_memory_limits(f, s, e) : r;
}

/* ---- container-update -------------------------------------------------- */

static void take_cpus(const struct box_flags *f, const struct box_spec *s, struct box_update *u)
{
    u->limits.cpu_quota_us = s->limits.cpu_quota_us;
    u->limits.cpu_period_us = s->limits.cpu_period_us;
    u->limits.cpu_weight = s->limits.cpu_weight;
    u->cpu_shares = s->cpu_shares;
    if (f->cpus) { /* a fraction is a quota, a whole number is none */
        u->set |= UPDATE_CPUS | UPDATE_CPU_QUOTA | UPDATE_CPU_PERIOD;
        u->cpus = s->cpus;
    }
    if (f->cpu_quota)
        u->set |= UPDATE_CPU_QUOTA;
    if (f->cpu_period)
        u->set |= UPDATE_CPU_PERIOD;
    if (f->cpu_shares)
        u->set |= UPDATE_CPU_WEIGHT;
}

static int take_memory(const struct box_flags *f, const struct box_spec *now,
                       const struct box_spec *s, struct box_update *u, struct err *e)
{
    uint64_t memory = f->memory ? s->memory_bytes : now->memory_bytes;

    if (f->memory) {
        u->set |= UPDATE_MEMORY;
        u->memory_bytes = memory;
    }
    if (f->memory_reservation) {
        if (parse_size(f->memory_reservation, 1, 0, memory, &u->limits.memory_low, e) < 0)
            return flags_bad("memory-reservation", f->memory_reservation, e);
        u->set |= UPDATE_MEMORY_LOW;
    }
    if (f->memory_swap) {
        u->set |= UPDATE_SWAP;
        return parse_swap(f->memory_swap, memory, &u->limits, e);
    }
    return 0;
}

static int take_all(const struct box_flags *f, const struct box_spec *now, struct box_spec *s,
                    struct box_update *u, struct err *e)
{
    int r;

    r = fill_machine(f, s, e);
    if (r == 0)
        r = fill_cpu_limits(f, s, e);
    if (r < 0)
        return r;
    take_cpus(f, s, u);
    if (f->cpuset_cpus) {
        u->set |= UPDATE_CPUSET;
        r = flags_copy(&u->limits.cpuset, f->cpuset_cpus, e);
    }
    if (f->pids_limit != FLAG_NOT_GIVEN) {
        u->set |= UPDATE_PIDS;
        u->limits.pids_max = f->pids_limit > 0 ? (uint64_t)f->pids_limit : 0;
    }
    if (r == 0 && f->restart) {
        u->set |= UPDATE_RESTART;
        r = restart_policy_parse(f->restart, &u->restart_policy, &u->restart_max, e);
    }
    return r == 0 ? take_memory(f, now, s, u, e) : r;
}

int flags_update(const struct box_flags *f, const struct box_spec *now, struct box_update *ret,
                 struct err *e)
{
    struct box_update u = { 0 };
    struct box_spec scratch = { 0 };
    int r;

    r = take_all(f, now, &scratch, &u, e);
    box_spec_done(&scratch);
    if (r < 0)
        box_update_done(&u);
    else
        *ret = u;
    return r;
}
