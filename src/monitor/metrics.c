#include "monitor/metrics.h"

#include "util/time.h"
#include "vmm/usage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define P "a3s_box_"

static const char *const counter_names[][2] = {
#define X(name, text, help) [COUNTER_##name] = { P text, help },
    COUNTERS(X)
#undef X
};

/* ---- machines ---------------------------------------------------------- */

void vm_uses_done(struct vm_uses *u)
{
    free(u->v);
    *u = (struct vm_uses){ 0 };
}

static int by_id(const void *a, const void *b)
{
    const struct vm_use *x = a, *y = b;

    return strcmp(x->box_id, y->box_id);
}

static bool look(struct vm_use *now, const struct vm_uses *before)
{
    const struct vm_use *was =
        before->n ? bsearch(now, before->v, before->n, sizeof(*now), by_id) : NULL;
    struct err gone;

    if (proc_usage(now->pid, &now->memory_bytes, &now->cpu_ns, &gone) < 0)
        return false;
    if (was && was->pid == now->pid && now->at_ns > was->at_ns && now->cpu_ns >= was->cpu_ns)
        now->cpu_percent =
            100.0 * (double)(now->cpu_ns - was->cpu_ns) / (double)(now->at_ns - was->at_ns);
    return true;
}

int vm_uses_look(struct vm_uses *u, const struct box_overview *boxes, uint64_t now_ns,
                 struct err *e)
{
    struct vm_uses now = { .v = calloc(boxes->n ? boxes->n : 1, sizeof(*u->v)) };

    if (!now.v)
        return err_os(e, "monitor");
    for (size_t i = 0; i < boxes->n; i++) { /* they are sorted, so are these */
        struct vm_use *use = &now.v[now.n];

        if (boxes->v[i].vm_pid <= 0)
            continue;
        *use = (struct vm_use){ .pid = boxes->v[i].vm_pid, .at_ns = now_ns };
        memcpy(use->box_id, boxes->v[i].id, sizeof(use->box_id));
        now.n += look(use, u);
    }
    vm_uses_done(u);
    *u = now;
    return 0;
}

/* ---- text -------------------------------------------------------------- */

static void head(struct str *out, const char *name, const char *type, const char *help)
{
    (void)str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct str *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    (void)str_addf(out, "%s %" PRIu64 "\n", name, value);
}

static void seconds(struct str *out, uint64_t ns)
{
    (void)str_addf(out, "%" PRIu64 ".%09" PRIu64 "\n", (uint64_t)(ns / NS_PER_S),
                   (uint64_t)(ns % NS_PER_S));
}

static void histogram(struct str *out, enum histogram which, const struct histogram_value *v)
{
    const struct histogram_desc *d = &histograms[which];
    uint64_t n = 0;

    (void)str_addf(out, "# HELP " P "%s %s\n# TYPE " P "%s histogram\n", d->name, d->help,
                   d->name);
    for (unsigned i = 0; i < d->n; i++) {
        n += v->bucket[i];
        (void)str_addf(out, P "%s_bucket{le=\"%s\"} %" PRIu64 "\n", d->name, d->le[i], n);
    }
    n += v->bucket[HISTOGRAM_BUCKETS_MAX];
    (void)str_addf(out, P "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n" P "%s_sum ", d->name, n,
                   d->name);
    seconds(out, v->sum_ns);
    (void)str_addf(out, P "%s_count %" PRIu64 "\n", d->name, n);
}

struct tally {
    const char *label;
    uint64_t n;
};

static void tallies(struct str *out, const char *name, const char *key, const struct tally *t,
                    size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)str_addf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, key, t[i].label, t[i].n);
}

static uint64_t in_state(const struct box_overview *o, uint32_t states)
{
    uint64_t n = 0;

    for (size_t i = 0; i < o->n; i++)
        n += (states & BIT(o->v[i].state)) != 0;
    return n;
}

static uint64_t with_health(const struct box_overview *o, const char *health)
{
    uint64_t n = 0;

    for (size_t i = 0; i < o->n; i++)
        n += o->v[i].vm_pid > 0 && !strcmp(o->v[i].health, health);
    return n;
}

static void print_boxes(const struct box_overview *o, struct str *out)
{
    const uint32_t running = BIT(BOX_RUNNING), paused = BIT(BOX_PAUSED), dead = BIT(BOX_DEAD),
                   created = BIT(BOX_CREATED);
    const struct tally states[] = {
        { "running", in_state(o, running) },
        { "paused", in_state(o, paused) },
        { "dead", in_state(o, dead) },
        { "created", in_state(o, created) },
        { "other", in_state(o, ~(running | paused | dead | created)) },
    };
    const struct tally health[] = { { "healthy", with_health(o, "healthy") },
                                    { "unhealthy", with_health(o, "unhealthy") } };
    const struct tally vms[] = {
        { "created", in_state(o, BIT(BOX_STARTING)) },
        { "ready", in_state(o, running | paused) },
    };

    /* a name of a counter and one of a histogram's part: so their types are not told */
    one(out, P "total", "untyped", "Boxes there are", o->n);
    head(out, P "state", "gauge", "Boxes by state");
    tallies(out, P "state", "status", states, ARRAY_LEN(states));
    head(out, P "health", "gauge", "Running boxes by what their health check says");
    tallies(out, P "health", "status", health, ARRAY_LEN(health));
    head(out, P "vm_count", "untyped",
         "Machines: created are those that boot, ready those that run");
    tallies(out, P "vm_count", "state", vms, ARRAY_LEN(vms));
}

static void print_vms(const struct vm_uses *u, struct str *out)
{
    head(out, P "vm_cpu_percent", "gauge", "CPU time of a machine on the host; 100 is one CPU");
    for (size_t i = 0; i < u->n; i++)
        (void)str_addf(out, P "vm_cpu_percent{box_id=\"%s\"} %.2f\n", u->v[i].box_id,
                       u->v[i].cpu_percent);
    head(out, P "vm_memory_bytes", "gauge", "Resident memory of a machine on the host");
    for (size_t i = 0; i < u->n; i++)
        (void)str_addf(out, P "vm_memory_bytes{box_id=\"%s\"} %" PRIu64 "\n", u->v[i].box_id,
                       u->v[i].memory_bytes);
}

/* Dashboards know them; there is no pool. */
static void print_pool(struct str *out)
{
    one(out, P "warm_pool_size", "gauge", "Machines that wait in the warm pool", 0);
    one(out, P "warm_pool_capacity", "gauge", "Machines the warm pool may hold", 0);
    one(out, P "warm_pool_hits_total", "counter", "Starts served by the warm pool", 0);
    one(out, P "warm_pool_misses_total", "counter", "Starts the warm pool could not serve", 0);
}

void metrics_print(const struct metrics *m, struct str *out)
{
    print_boxes(m->boxes, out);
    print_vms(m->vms, out);
    for (int i = 0; i < COUNTER_N; i++)
        one(out, counter_names[i][0], "counter", counter_names[i][1], m->counters->value[i]);
    for (int i = 0; i < HISTOGRAM_N; i++)
        histogram(out, (enum histogram)i, &m->counters->histogram[i]);
    print_pool(out);
    one(out, P "monitor_up", "gauge", "The monitor runs", 1);
    head(out, P "monitor_seconds_since_last_poll", "gauge",
         "Since the monitor last saw all boxes");
    (void)str_adds(out, P "monitor_seconds_since_last_poll ");
    seconds(out, m->since_poll_ns);
}
