#include "monitor/monitor.h"

#include "monitor/metrics.h"
#include "monitor/restart.h"
#include "monitor/web.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

struct monitor {
    const struct monitor_options *o;
    struct loop *loop;
    struct watch signals;
    struct timer timer;
    struct restarts *restarts;
    struct web *web;

    struct box_overview boxes; /* as they were seen last */
    struct vm_uses vms;
    uint64_t polled_ns; /* when (monotonic) */
    bool failing;       /* the last look failed; told once */
    bool quit;
};

uint64_t monitor_stale_ns(uint64_t interval_ns)
{
    return interval_ns * 3 > 30 * NS_PER_S ? interval_ns * 3 : 30 * NS_PER_S;
}

/* ---- looking ----------------------------------------------------------- */

static int look(struct monitor *m, struct err *e)
{
    struct box_overview now = { 0 };
    autoptr(db) db = NULL;
    int r;

    r = db_open(m->o->home, &db, e);
    if (r == 0)
        r = box_overview(db, m->o->home, &now, e);
    if (r < 0)
        return r;
    box_overview_done(&m->boxes);
    m->boxes = now;
    m->polled_ns = time_mono_ns();
    return vm_uses_look(&m->vms, &m->boxes, m->polled_ns, e);
}

static void say(struct monitor *m, const char *what, const char *text)
{
    fprintf(m->o->out, "monitor: %s%s\n", what, text);
    (void)fflush(m->o->out); /* whether anybody reads it is not our business */
}

static void poll(struct monitor *m)
{
    uint64_t delay = m->o->interval_ns, due, now;
    struct err e;

    if (look(m, &e) < 0) {
        if (!m->failing)
            say(m, "cannot look at the boxes: ", e.text);
        m->failing = true;
    } else {
        if (m->failing)
            say(m, "looking again", "");
        m->failing = false;
        now = time_mono_ns();
        due = restarts_look(m->restarts, &m->boxes, now);
        if (due && due > now && due - now < delay)
            delay = due - now;
    }
    loop_timer(m->loop, &m->timer, delay);
}

static void on_timer(struct timer *t)
{
    poll(CONTAINER_OF(t, struct monitor, timer));
}

static void on_started(void *ctx)
{
    struct monitor *m = ctx;

    loop_timer(m->loop, &m->timer, 0); /* there may be more to start than could be at once */
}

/* ---- answering --------------------------------------------------------- */

static void answer_health(struct monitor *m, struct web_answer *ret)
{
    uint64_t age = time_mono_ns() - m->polled_ns;

    if (m->polled_ns && age <= monitor_stale_ns(m->o->interval_ns)) {
        (void)str_adds(ret->body, "ok\n");
        return;
    }
    ret->status = 503;
    (void)str_addf(ret->body, "the boxes were last seen %llu s ago\n",
                   (unsigned long long)(age / NS_PER_S));
}

static void answer_metrics(struct monitor *m, struct web_answer *ret)
{
    struct counters counters = { 0 };
    struct metrics metrics = { .boxes = &m->boxes, .vms = &m->vms, .counters = &counters };
    struct err e;

    if (counters_read(m->o->home, &counters, &e) < 0) {
        ret->status = 503;
        (void)str_addf(ret->body, "%s\n", e.text);
        return;
    }
    metrics.since_poll_ns = time_mono_ns() - m->polled_ns;
    ret->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_print(&metrics, ret->body);
}

static void answer(void *ctx, const struct web_request *q, struct web_answer *ret)
{
    if (strcmp(q->path, "/healthz") == 0)
        answer_health(ctx, ret);
    else if (strcmp(q->path, "/metrics") == 0)
        answer_metrics(ctx, ret);
    else
        ret->status = 404;
}

static int listen_on(struct monitor *m, struct err *e)
{
    struct sockaddr_storage addr;
    char text[WEB_ADDR_TEXT];
    int r;

    if (!m->o->metrics_addr)
        return 0;
    r = web_new(m->loop, m->o->metrics_addr, answer, m, &m->web, &addr, e);
    if (r < 0)
        return err_ctx(e, "--metrics-addr");
    web_addr_text(&addr, text);
    fprintf(m->o->out, "monitor: http://%s/metrics and /healthz\n", text);
    return 0;
}

/* ---- the process ------------------------------------------------------- */

/* sd_notify(3): one datagram to whom systemd names. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    union {
        const struct sockaddr_un *un;
        const struct sockaddr *any;
    } addr = { .un = &un };
    size_t len = path ? strlen(path) : 0;
    autofd int fd = -1;

    if (len < 2 || len >= sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) /* nobody there: nobody wants to know */
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, addr.any,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void on_signal(struct watch *w, uint32_t events UNUSED)
{
    struct monitor *m = CONTAINER_OF(w, struct monitor, signals);
    struct signalfd_siginfo info;

    if (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        m->quit = true;
}

static int watch_signals(struct monitor *m, sigset_t *ret_old, struct err *e)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, ret_old) < 0)
        return err_os(e, "sigprocmask");
    m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signals.fd < 0)
        return err_os(e, "signalfd");
    return loop_add(m->loop, &m->signals, EPOLLIN, e);
}

static int lock_home(const char *home, int *ret_fd, struct err *e)
{
    autofree char *path = str_format("%s/" MONITOR_LOCK, home);
    autofd int fd = -1;
    int r;

    r = fs_mkdirs(home, e);
    if (r < 0)
        return r;
    fd = path ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return err_os(e, "open %s", MONITOR_LOCK);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? err_set(e, ERR_STATE, "Another monitor already watches %s", home)
                   : err_os(e, "lock %s", MONITOR_LOCK);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int watch(struct monitor *m, struct err *e)
{
    const struct restarts_options restarts = {
        .loop = m->loop, .program = m->o->program, .out = m->o->out, .done = on_started, .ctx = m
    };
    int r;

    r = restarts_new(&restarts, &m->restarts, e);
    if (r == 0)
        r = listen_on(m, e);
    if (r < 0)
        return r;
    poll(m);
    say(m, "watching ", m->o->home);
    notify("READY=1");
    while (r >= 0 && !m->quit)
        r = loop_turn(m->loop, -1, e);
    notify("STOPPING=1");
    return r < 0 ? r : 0;
}

int monitor_run(const struct monitor_options *o, struct err *e)
{
    struct monitor m = { .o = o,
                         .signals = { .fd = -1, .what = "signals", .ready = on_signal },
                         .timer = { .fired = on_timer } };
    autofd int lock = -1;
    sigset_t old;
    int r;

    r = lock_home(o->home, &lock, e);
    if (r < 0)
        return r;
    if (setenv("A3S_HOME", o->home, 1) < 0) /* for whom it starts */
        return err_os(e, "environment");
    r = loop_new(&m.loop, e);
    if (r < 0)
        return r;
    r = watch_signals(&m, &old, e);
    if (r == 0)
        r = watch(&m, e);
    restarts_free(m.restarts);
    web_free(m.web);
    loop_timer_cancel(m.loop, &m.timer);
    loop_del(m.loop, &m.signals);
    close_fd(&m.signals.fd);
    loop_free(m.loop);
    box_overview_done(&m.boxes);
    vm_uses_done(&m.vms);
    return r;
}
