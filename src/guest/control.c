#include "guest/control.h"

#include "guest/cgroup.h"
#include "guest/container.h"
#include "guest/procs.h"
#include "guest/stats.h"
#include "guest/update.h"
#include "util/cur.h"
#include "util/log.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define STOP_DEADLINE (10 * NS_PER_S) /* for processes stuck in the kernel */
#define SEED_MAX      4096

void guest_log(struct guest *g, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    log_warn("%s", line);
    outlet_put(&g->control, MSG_LOG, line, strlen(line));
}

/* ---- clock and entropy ----------------------------------------------- */

static void set_clock(struct guest *g, int64_t ns)
{
    struct timespec ts = { .tv_sec = ns / (int64_t)NS_PER_S, .tv_nsec = ns % (int64_t)NS_PER_S };

    if (ns > 0 && clock_settime(CLOCK_REALTIME, &ts) < 0)
        guest_log(g, "set clock: %s", strerror(errno));
}

/* The host's randomness counts fully. Reseeding makes the kernel use it at once. */
static void add_entropy(struct guest *g, const struct bytes *seed)
{
    size_t len = seed->len < SEED_MAX ? seed->len : SEED_MAX;
    autofree struct rand_pool_info *info = calloc(1, sizeof(*info) + len);
    autofd int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

    if (!info || len == 0)
        return;
    info->entropy_count = (int)len * 8;
    info->buf_size = (int)len;
    memcpy(info->buf, seed->p, len);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        guest_log(g, "add entropy: %s", strerror(errno));
    explicit_bzero(info, sizeof(*info) + len);
}

static void on_vm_config(struct guest *g, struct cur c)
{
    struct vm_setup setup = { 0 };
    struct err e;

    if (config_decode(vm_setup, c, &setup, &e) < 0) {
        guest_log(g, "VM_CONFIG: %s", e.text);
        return;
    }
    g->debug = setup.debug;
    set_clock(g, setup.clock_ns);
    add_entropy(g, &setup.seed);
    if (setup.seed.len)
        explicit_bzero(setup.seed.p, setup.seed.len);
    config_done(vm_setup, &setup);
}

/* ---- containers ------------------------------------------------------ */

static void on_create(struct guest *g, struct cur c)
{
    struct container_config config = { 0 };
    autofree char *id = NULL;
    struct err e;
    int r = config_decode(container_config, c, &config, &e);

    if (r >= 0) {
        id = strdup(config.id ? config.id : "");
        r = container_create(g, &config, &e);
    }
    if (r < 0) {
        struct error_info info = { id, e.kind, 125, e.text };

        outlet_config(&g->control, MSG_CONTAINER_FAILED, error_info, &info);
    }
}

static void on_signal(struct guest *g, struct cur c)
{
    struct container_signal sig = { 0 };
    struct container *to;
    struct err e;

    if (config_decode(container_signal, c, &sig, &e) < 0) {
        guest_log(g, "CONTAINER_SIGNAL: %s", e.text);
        return;
    }
    to = container_find(g, sig.container);
    if (to && container_signal(to, (int)sig.signal, sig.all, &e) < 0 && e.os != ESRCH)
        guest_log(g, "signal %d: %s", (int)sig.signal, e.text);
    config_done(container_signal, &sig);
}

static void on_procs(struct guest *g, struct cur c)
{
    struct container_ref ref = { 0 };
    struct container *of;
    struct err e;

    if (config_decode(container_ref, c, &ref, &e) < 0) {
        guest_log(g, "CONTAINER_PROCS: %s", e.text);
        return;
    }
    of = container_find(g, ref.container);
    if (!of || procs_list(of, &e) < 0) {
        struct proc_list none = { .container = ref.container, .uptime_ns = time_mono_ns() };

        if (of)
            guest_log(g, "processes: %s", e.text);
        outlet_config(&g->control, MSG_CONTAINER_PROC_LIST, proc_list, &none);
    }
    config_done(container_ref, &ref);
}

static void on_stats(struct guest *g, struct cur c)
{
    struct container_stats stats = { 0 };
    struct container_ref ref = { 0 };
    struct container *of;
    struct err e;

    if (config_decode(container_ref, c, &ref, &e) < 0) {
        guest_log(g, "CONTAINER_STATS: %s", e.text);
        return;
    }
    of = container_find(g, ref.container);
    if (of && of->pid)
        stats_read(of, &stats);
    else
        stats.container = ref.container;
    outlet_config(&g->control, MSG_CONTAINER_STATS_DATA, container_stats, &stats);
    config_done(container_ref, &ref);
}

static void on_update(struct guest *g, struct cur c)
{
    struct container_update update = { 0 };
    struct err e;
    int r = config_decode(container_update, c, &update, &e);

    if (r >= 0)
        r = update_begin(g, &update, &e);
    if (r < 0)
        update_tell(g, NULL, &e);
}

/* ---- shutdown -------------------------------------------------------- */

static void stop_now(struct guest *g)
{
    if (g->stopped)
        return;
    sync();
    outlet_put(&g->control, MSG_SHUTDOWN_DONE, NULL, 0);
    g->stopped = true;
}

static void on_stop_deadline(struct timer *t)
{
    struct guest *g = CONTAINER_OF(t, struct guest, stop_deadline);

    guest_log(g, "shutdown: processes do not end, going on without them");
    stop_now(g);
}

void control_container_gone(struct guest *g)
{
    if (g->stopping && !g->containers)
        stop_now(g);
}

void control_shutdown(struct guest *g)
{
    struct err e;

    if (g->stopping)
        return;
    g->stopping = true;
    g->stop_deadline.fired = on_stop_deadline;
    loop_timer(g->loop, &g->stop_deadline, STOP_DEADLINE);
    for (struct container *c = g->containers, *next; c; c = next) {
        next = c->next;
        if (!c->pid)
            container_cancel(c);
        else if (cgroup_kill(c->cgroup_fd, &e) < 0)
            guest_log(g, "shutdown: %s", e.text);
    }
    control_container_gone(g);
}

/* ---- the stream ------------------------------------------------------ */

static int on_message(void *user, const struct msg *m, struct err *e UNUSED)
{
    struct guest *g = user;
    struct cur c = cur_of(m->data, m->len);
    uint64_t ns;

    switch (m->type) {
    case MSG_VM_CONFIG:
        on_vm_config(g, c);
        return 0;
    case MSG_CONTAINER_CREATE:
        on_create(g, c);
        return 0;
    case MSG_CONTAINER_SIGNAL:
        on_signal(g, c);
        return 0;
    case MSG_CONTAINER_UPDATE:
        on_update(g, c);
        return 0;
    case MSG_CONTAINER_PROCS:
        on_procs(g, c);
        return 0;
    case MSG_CONTAINER_STATS:
        on_stats(g, c);
        return 0;
    case MSG_CLOCK:
        if (cur_u64be(&c, &ns))
            set_clock(g, (int64_t)ns);
        return 0;
    case MSG_SHUTDOWN:
        control_shutdown(g);
        return 0;
    case MSG_PING:
        outlet_put(&g->control, MSG_PONG, NULL, 0);
        return 0;
    default:
        guest_log(g, "unknown message %u on the control port", m->type);
        return 0;
    }
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct guest *g = stream_user(s);
    struct err e;

    if (msg_read(&g->control_reader, data, len, on_message, g, &e) < 0) {
        g->control.stream = NULL;
        log_error("control: %s", e.text);
        stream_reset(s, RESET_ERROR);
        return;
    }
    stream_consumed(s, len);
}

static void on_fin(struct stream *s UNUSED)
{
}

static void on_writable(struct stream *s)
{
    struct guest *g = stream_user(s);

    outlet_flush(&g->control);
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    struct guest *g = stream_user(s);

    g->control.stream = NULL;
    outlet_flush(&g->control);
    msg_reader_done(&g->control_reader);
}

int control_open(struct guest *g, struct stream *s)
{
    static const struct stream_ops ops = { on_data, on_fin, on_writable, on_closed };

    if (g->control.stream)
        return RESET_LIMIT;
    g->control = (struct outlet){ .stream = s };
    stream_accept(s, &ops, g);
    return 0;
}
