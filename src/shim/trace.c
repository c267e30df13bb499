/* What /metrics counts of machines, and the spans of a start and of an end (docs/monitor.md). */
#include "db/counters.h"
#include "shim/shim.h"
#include "util/spawn.h"

#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void on_sent(struct watch *w, uint32_t events);

void trace_init(struct shim *sh, bool again)
{
    struct tracing *t = &sh->tracing;

    t->sender = (struct watch){ .fd = -1, .what = "trace", .ready = on_sent };
    if (again) /* whoever started the first run has nothing to do with this one */
        (void)unsetenv("TRACEPARENT");
    trace_begin(&t->trace);
    t->at[STAGE_BEGIN] = time_mono_ns();
}

void trace_stage(struct shim *sh, enum stage stage)
{
    sh->tracing.at[stage] = time_mono_ns();
    if (stage == STAGE_VM_STARTED)
        counter_add(sh->home, COUNTER_VM_CREATED);
    else if (stage == STAGE_VM_GONE)
        counter_add(sh->home, COUNTER_VM_DESTROYED);
}

/* From one stage to another, when both have come. */
static int add(struct shim *sh, const char *name, int parent, enum stage from, enum stage to)
{
    struct tracing *t = &sh->tracing;

    if (!t->at[from] || t->at[to] < t->at[from])
        return -1;
    return trace_add(&t->trace, name, parent, t->at[from], t->at[to]);
}

static void name_box(struct shim *sh, int span)
{
    struct trace *t = &sh->tracing.trace;

    trace_text(t, span, "box_id", sh->box->id);
    trace_text(t, span, "box_name", sh->box->name);
    trace_text(t, span, "image", sh->box->spec.image ? sh->box->spec.image : "");
}

/* a3s-box-otlp, beside us. It leaves a process behind and ends at once. */
static pid_t send(struct shim *sh, int *ret_pidfd)
{
    char program[4096];
    ssize_t n;
    char *slash;

    if (!sh->tracing.trace.n)
        return 0;
    n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n < 0)
        return 0;
    program[n] = '\0';
    slash = strrchr(program, '/');
    if (!slash || (size_t)(slash - program) + sizeof("/a3s-box-otlp") > sizeof(program))
        return 0;
    (void)snprintf(slash, sizeof(program) - (size_t)(slash - program), "/a3s-box-otlp");
    return trace_send(&sh->tracing.trace, sh->home, program, ret_pidfd);
}

static void on_sent(struct watch *w, uint32_t events UNUSED)
{
    struct tracing *t = CONTAINER_OF(w, struct tracing, sender);
    struct shim *sh = CONTAINER_OF(t, struct shim, tracing);
    struct err ignored;
    int status;

    loop_del(sh->loop, w);
    close_fd(&w->fd);
    if (spawn_wait(t->pid, &status, &ignored) < 0)
        err_clear(&ignored); /* it was no child: nothing to clean up */
}

static void send_begin(struct shim *sh)
{
    struct tracing *t = &sh->tracing;
    struct err ignored;

    t->pid = send(sh, &t->sender.fd);
    if (t->pid > 0 && loop_add(sh->loop, &t->sender, EPOLLIN, &ignored) < 0)
        close_fd(&t->sender.fd); /* a zombie until we end */
}

static int add_boot(struct shim *sh)
{
    int boot = add(sh, "vm_boot", -1, STAGE_BEGIN, STAGE_STARTED), wait;

    (void)add(sh, "prepare_layout", boot, STAGE_BEGIN, STAGE_VM);
    (void)add(sh, "vm_start", boot, STAGE_VM, STAGE_VM_STARTED);
    wait = add(sh, "wait_for_ready", boot, STAGE_VM_STARTED, STAGE_STARTED);
    (void)add(sh, "guest_boot", wait, STAGE_VM_STARTED, STAGE_HELLO);
    (void)add(sh, "container_create", wait, STAGE_HELLO, STAGE_CONTAINER);
    (void)add(sh, "workload_start", wait, STAGE_CONTAINER, STAGE_STARTED);
    name_box(sh, boot);
    trace_text(&sh->tracing.trace, boot, "tier",
               sh->box->tier && *sh->box->tier ? sh->box->tier : "cold");
    return boot;
}

void trace_started(struct shim *sh)
{
    struct tracing *t = &sh->tracing;

    trace_stage(sh, STAGE_STARTED);
    histogram_add(sh->home, HISTOGRAM_BOOT, t->at[STAGE_STARTED] - t->at[STAGE_BEGIN]);
    if (sh->restart.again)
        counter_add(sh->home, COUNTER_RESTARTS);
    if (!t->trace.on)
        return;
    (void)add_boot(sh);
    send_begin(sh);
}

void trace_ended(struct shim *sh)
{
    struct tracing *t = &sh->tracing;
    bool asked = t->at[STAGE_STOP] != 0, failed = !t->at[STAGE_STARTED];
    enum stage from = asked ? STAGE_STOP : STAGE_ENDED;
    struct err ignored;
    int span, status;
    pid_t pid;

    if (!t->trace.on || !sh->box)
        return;
    if (failed) {
        t->at[STAGE_STARTED] = t->at[STAGE_ENDED];
        span = add_boot(sh);
        trace_failed(&t->trace, span, sh->outcome.err.text);
    } else {
        span = add(sh, "destroy_with_options", -1, from, STAGE_RECORDED);
        if (asked)
            (void)add(sh, "workload_stop", span, STAGE_STOP, STAGE_ENDED);
        (void)add(sh, "vm_stop", span, STAGE_ENDED, STAGE_VM_GONE);
        (void)add(sh, "record", span, STAGE_VM_GONE, STAGE_RECORDED);
        name_box(sh, span);
        trace_number(&t->trace, span, "exit_code", sh->outcome.status);
        trace_flag(&t->trace, span, "oom_killed", sh->outcome.oom_killed);
        if (sh->outcome.err.kind)
            trace_failed(&t->trace, span, sh->outcome.err.text);
    }
    /* Only the beginning of a small program is waited for, and nobody waits for us any more. */
    pid = send(sh, NULL);
    if (pid > 0 && spawn_wait(pid, &status, &ignored) < 0)
        err_clear(&ignored);
    t->trace.on = false;
}

void trace_free(struct shim *sh)
{
    loop_del(sh->loop, &sh->tracing.sender);
    close_fd(&sh->tracing.sender.fd);
    trace_done(&sh->tracing.trace);
}
