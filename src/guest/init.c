#include "guest/init.h"

#include "guest/container.h"
#include "guest/control.h"
#include "guest/files.h"
#include "guest/relay.h"
#include "guest/session.h"
#include "guest/sys.h"
#include "guest/uevent.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define LATER_DELAY   (2 * NS_PER_S) /* not in the way of a short-lived first process */
#define LAST_WORDS_MS 2000

/* ---- children -------------------------------------------------------- */

static void child_ended(struct guest *g, pid_t pid, int status)
{
    struct container *c = container_by_pid(g, pid);
    struct session *s = c ? NULL : session_by_pid(g, pid);
    struct exit_info info = { 0 };

    if (c) {
        container_exited(c, status);
    } else if (s) {
        exit_info_fill(&info, status, false);
        session_exited(s, &info);
    } else {
        files_thaw(g);
    }
}

static void on_children(struct watch *w, uint32_t events UNUSED)
{
    struct guest *g = CONTAINER_OF(w, struct guest, children);
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    /* Several children may stand behind one signal. */
    while (read(w->fd, &info, sizeof(info)) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(g, pid, status);
}

static int watch_children(struct guest *g, struct err *e)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    g->children.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->children.fd < 0)
        return err_os(e, "signalfd");
    return loop_add(g->loop, &g->children, EPOLLIN, e);
}

/* ---- devices --------------------------------------------------------- */

static void on_uevent(struct watch *w, uint32_t events UNUSED)
{
    struct guest *g = CONTAINER_OF(w, struct guest, uevents);

    if (uevent_drain(w->fd))
        container_devices_changed(g);
}

/* One module per turn: each takes milliseconds. */
static void on_later(struct timer *t)
{
    struct guest *g = CONTAINER_OF(t, struct guest, later);

    if (boot_module_next(&g->later_modules))
        loop_timer(g->loop, t, 0);
}

/* ---- the channel ----------------------------------------------------- */

static void on_hello(struct channel *ch UNUSED, const struct channel_hello *peer UNUSED)
{
}

static int on_open(struct channel *ch, struct stream *s, uint32_t port)
{
    struct guest *g = channel_user(ch);

    switch (port) {
    case PORT_CONTROL:
        return control_open(g, s);
    case PORT_EXEC:
    case PORT_PTY:
        return session_open(g, s);
    case PORT_ATTEST:
    case PORT_SIDECAR:
    case PORT_PORT_FORWARD:
        return RESET_REFUSED;
    case PORT_FILES:
        return files_open(g, s);
    default:
        return relay_open(g, s, port);
    }
}

static void on_failed(struct channel *ch, const struct err *why)
{
    struct guest *g = channel_user(ch);

    log_warn("%s", why->text);
    g->channel_lost = true;
    control_shutdown(g);
}

static int wait_for_port(struct guest *g, struct err *e)
{
    int fd = boot_open_port();

    while (fd < 0 && boot_module_next(&g->boot_modules))
        fd = boot_open_port();
    while (fd < 0) {
        struct pollfd p = { .fd = g->uevents.fd, .events = POLLIN };

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_os(e, "waiting for the port");
        (void)uevent_drain(g->uevents.fd);
        fd = boot_open_port();
    }
    return fd;
}

static int open_channel(struct guest *g, struct err *e)
{
    static const struct channel_ops ops = { on_hello, on_open, on_failed };
    struct channel_hello hello = { .version = CHANNEL_VERSION };
    int r, fd = wait_for_port(g, e);

    if (fd < 0)
        return fd;
    r = channel_new(g->loop, fd, CHANNEL_GUEST, &ops, g, &g->channel, e);
    if (r < 0)
        return r;
    hello.uptime_ns = time_mono_ns();
    r = channel_send_hello(g->channel, &hello, e);
    return r < 0 ? r : channel_flush(g->channel, LAST_WORDS_MS, e);
}

/* ---- all of it ------------------------------------------------------- */

/* The host reads HELLO while we do the rest. */
static int finish_boot(struct guest *g, pid_t aside, struct err *e)
{
    int status;

    while (boot_module_next(&g->boot_modules))
        ;
    if (boot_cgroups(e) < 0)
        return -1;
    if (waitpid(aside, &status, 0) != aside || status != 0)
        return err_set(e, ERR_SYSTEM, "containers cannot be made");
    if (fs_write_kernel(AT_FDCWD, "/proc/self/oom_score_adj", "-1000", e) < 0)
        return -1;
    (void)prctl(PR_SET_DUMPABLE, 0);
    g->own_pidfd = sys_pidfd_open(getpid());
    return g->own_pidfd < 0 ? err_os(e, "pidfd") : watch_children(g, e);
}

static int guest_boot(struct guest *g, struct err *e)
{
    pid_t aside;
    int r;

    g->boot_modules = (struct boot_modules){ .list = BOOT_MODULES_NOW, .bus = -1 };
    g->later_modules = (struct boot_modules){ .list = BOOT_MODULES_LATER, .bus = -1 };
    r = boot_mounts(e);
    if (r < 0)
        return r;
    r = aside = boot_aside(&g->boot_modules, e);
    if (r < 0 || (r = boot_limits(e)) < 0 || (r = loop_new(&g->loop, e)) < 0)
        return r;
    r = g->uevents.fd = uevent_open(e);
    if (r < 0 || (r = open_channel(g, e)) < 0 || (r = finish_boot(g, aside, e)) < 0)
        return r;
    loop_timer(g->loop, &g->later, LATER_DELAY);
    return loop_add(g->loop, &g->uevents, EPOLLIN, e);
}

/* What handlers have put into the channel goes now, not after another wait. */
static void push(struct guest *g)
{
    struct err e;

    if (!g->channel_lost && channel_unsent(g->channel) && channel_flush(g->channel, 0, &e) < 0)
        return; /* the port is full, or `failed` was called: the loop goes on */
}

static int guest_run(struct guest *g, struct err *e)
{
    while (!g->stopped) {
        int r = loop_turn(g->loop, -1, e);

        if (r < 0)
            return r;
        sessions_sweep(g);
        relays_sweep(g);
        push(g);
        if (containers_sweep(g))
            control_container_gone(g);
    }
    if (!g->channel_lost && channel_flush(g->channel, LAST_WORDS_MS, e) < 0)
        log_warn("%s", e->text);
    return 0;
}

int init_main(void)
{
    static struct guest guest = {
        .uevents = { -1, "device events", on_uevent, 0, false },
        .children = { -1, "children", on_children, 0, false },
        .later = { .fired = on_later },
        .own_pidfd = -1,
        .device_filter = -1,
    };
    struct err e;

    log_init("a3s-box-guest-init");
    if (guest_boot(&guest, &e) < 0 || guest_run(&guest, &e) < 0) {
        log_error("%s", e.text);
        return 1;
    }
    (void)reboot(RB_AUTOBOOT);
    return 1;
}
