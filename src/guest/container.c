#include "guest/container.h"

#include "guest/cgroup.h"
#include "guest/devices.h"
#include "guest/disk.h"
#include "guest/files.h"
#include "guest/first.h"
#include "guest/mnt.h"
#include "guest/session.h"
#include "guest/swap.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ID_MAX        64
#define DISK_DEADLINE (30 * NS_PER_S) /* a disk of a loaded host comes within a second */

struct container *container_find(struct guest *g, const char *id)
{
    struct container *c = g->containers;

    while (c && (!id || c->state == CONTAINER_ENDED || strcmp(c->config.id, id) != 0))
        c = c->next;
    return c;
}

struct container *container_by_pid(struct guest *g, pid_t pid)
{
    struct container *c = g->containers;

    while (c && c->pid != pid)
        c = c->next;
    return c;
}

static void container_free(struct container *c)
{
    struct container **at = &c->guest->containers;

    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    loop_del(c->guest->loop, &c->setup);
    loop_timer_cancel(c->guest->loop, &c->deadline);
    close_fd(&c->setup.fd);
    close_fd(&c->pidfd);
    close_fd(&c->mount_ns);
    close_fd(&c->devpts_fd);
    swap_off(c->upper_fd, &c->swap_fd);
    close_fd(&c->upper_fd);
    if (c->cgroup_fd >= 0)
        cgroup_remove(c->cgroup);
    close_fd(&c->cgroup_fd);
    config_done(container_config, &c->config);
    free(c);
}

/* Before there is a process, this is the end; after that its death is. */
static void container_fail(struct container *c, const struct err *why)
{
    struct error_info info = {
        .container = c->config.id, .kind = why->kind, .status = 125, .text = (char *)why->text
    };

    outlet_config(&c->guest->control, MSG_CONTAINER_FAILED, error_info, &info);
    if (c->pid) {
        loop_del(c->guest->loop, &c->setup);
        close_fd(&c->setup.fd);
        (void)sys_pidfd_signal(c->pidfd, SIGKILL); /* its end makes the container go */
        c->failed = true;
        return;
    }
    container_free(c);
}

/* ---- creating -------------------------------------------------------- */

static void on_setup(struct watch *w, uint32_t events UNUSED)
{
    struct container *c = CONTAINER_OF(w, struct container, setup);
    struct container_ref ref = { .container = c->config.id };
    struct err e;
    int r = first_report(w->fd, &c->devpts_fd, &c->upper_fd, &c->swap_fd, &e);

    if (r == 0)
        return;
    loop_del(c->guest->loop, w);
    /* Only now: before, the first process had to open its disks. */
    if (r > 0 && !c->config.security.privileged)
        r = devices_restrict(c->guest->device_filter, c->cgroup_fd, &e);
    if (r < 0) {
        container_fail(c, &e);
        return;
    }
    c->state = CONTAINER_CREATED;
    outlet_config(&c->guest->control, MSG_CONTAINER_CREATED, container_ref, &ref);
}

/* -1 when the process has ended already. */
static int open_mount_ns(pid_t pid)
{
    autofree char *path = str_format("/proc/%d/ns/mnt", (int)pid);

    return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static const char *choose_cgroup(const struct container *c)
{
    for (const struct container *o = c->guest->containers; o; o = o->next)
        if (o->cgroup && strcmp(o->cgroup, CGROUP_FIRST) == 0)
            return c->config.id;
    return CGROUP_FIRST;
}

static int container_spawn(struct container *c, struct err *e)
{
    int pair[2];
    pid_t pid;

    c->swap_bytes = swap_bytes(c->config.cgroup.memory_swap_max);
    c->cgroup = choose_cgroup(c);
    c->cgroup_fd = cgroup_make(c->cgroup, &c->config.cgroup, e);
    if (c->cgroup_fd < 0)
        return c->cgroup_fd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "socketpair");
    c->setup.fd = pair[0];
    pid = sys_fork(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS, c->cgroup_fd);
    if (pid == 0)
        first_main(c, pair[1]);
    (void)close(pair[1]);
    if (pid < 0)
        return err_os(e, "fork");
    c->pid = pid;
    c->state = CONTAINER_SETUP;
    c->pidfd = sys_pidfd_open(pid);
    if (c->pidfd < 0)
        return err_os(e, "pidfd");
    c->mount_ns = open_mount_ns(pid);
    if (c->guest->device_filter < 0) /* while the child is busy with the disks */
        c->guest->device_filter = devices_filter(e);
    if (c->guest->device_filter < 0)
        return -1;
    if (fd_nonblock(c->setup.fd, true, e) < 0)
        return -1;
    return loop_add(c->guest->loop, &c->setup, EPOLLIN, e);
}

static void on_deadline(struct timer *t)
{
    struct container *c = CONTAINER_OF(t, struct container, deadline);
    struct err e;

    (void)err_set(&e, ERR_TIMEOUT, "disk %s did not appear",
                  c->lower[0] ? "of the writable layer" : "of the image");
    container_fail(c, &e);
}

/* Every event may be the one of the SCSI host, which is not there before its modules are. */
static bool find_disk(struct guest *g, uint64_t lun, char *ret, size_t size)
{
    if (disk_find(lun, ret, size))
        return true;
    loop_timer(g->loop, &g->later, 0);
    disk_scan(lun);
    return disk_find(lun, ret, size);
}

static void container_advance(struct container *c)
{
    const struct container_config *config = &c->config;
    struct err e;

    if (!find_disk(c->guest, config->lower_lun - 1, c->lower, sizeof(c->lower)) ||
        (config->upper_lun &&
         !find_disk(c->guest, config->upper_lun - 1, c->upper, sizeof(c->upper))))
        return;
    loop_timer_cancel(c->guest->loop, &c->deadline);
    if (container_spawn(c, &e) < 0)
        container_fail(c, &e);
}

void container_devices_changed(struct guest *g)
{
    struct container *next;

    for (struct container *c = g->containers; c; c = next) {
        next = c->next;
        if (c->state == CONTAINER_WAITING)
            container_advance(c);
    }
}

static int check_config(struct guest *g, const struct container_config *config, struct err *e)
{
    size_t len = config->id ? strlen(config->id) : 0;

    if (len == 0 || len > ID_MAX || config->id[0] == '.' || strchr(config->id, '/'))
        return err_set(e, ERR_INVALID, "bad container id");
    if (container_find(g, config->id))
        return err_set(e, ERR_EXISTS, "container %s is there already", config->id);
    if (!config->lower_lun)
        return err_set(e, ERR_INVALID, "container %s: no root file system", config->id);
    if (g->stopping)
        return err_set(e, ERR_STATE, "the machine is shutting down");
    return 0;
}

int container_create(struct guest *g, struct container_config *own_config, struct err *e)
{
    struct container *c = NULL;
    int r = check_config(g, own_config, e);

    if (r >= 0)
        c = calloc(1, sizeof(*c));
    if (!c) {
        r = r < 0 ? r : err_os(e, "container");
        config_done(container_config, own_config);
        return r;
    }
    *c = (struct container){ .guest = g,
                             .next = g->containers,
                             .config = *own_config,
                             .pidfd = -1,
                             .mount_ns = -1,
                             .cgroup_fd = -1,
                             .upper_fd = -1,
                             .devpts_fd = -1,
                             .swap_fd = -1,
                             .setup = { -1, "container setup", on_setup, 0, false },
                             .deadline = { .fired = on_deadline } };
    *own_config = (struct container_config){ 0 };
    g->containers = c;
    loop_timer(g->loop, &c->deadline, DISK_DEADLINE);
    container_advance(c);
    return 0;
}

/* ---- running --------------------------------------------------------- */

int container_start(struct container *c, const struct bytes *request, const int stdio[3],
                    struct err *e)
{
    autofd int memfd = memfd_create("request", MFD_CLOEXEC), report = -1, status = -1;
    int pipefd[2], r;

    if (memfd < 0)
        return err_os(e, "memfd");
    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    report = pipefd[0];
    status = pipefd[1];
    r = fd_write_all(memfd, request->p, request->len, e);
    if (r >= 0)
        r = first_order(c->setup.fd, (const int[]){ memfd, stdio[0], stdio[1], stdio[2], status },
                        e);
    if (r < 0)
        return r;
    close_fd(&c->setup.fd);
    c->state = CONTAINER_RUNNING;
    return take_fd(&report);
}

pid_t container_fork(const struct container *c, struct err *e)
{
    pid_t pid;

    if (setns(c->pidfd, CLONE_NEWPID) < 0)
        return err_os(e, "join the container");
    pid = sys_fork(0, c->cgroup_fd);
    if (pid == 0)
        return 0;
    if (pid < 0)
        (void)err_os(e, "fork");
    if (setns(c->guest->own_pidfd, CLONE_NEWPID) < 0)
        _exit(1); /* PID 1 cannot go on making children in a container */
    return pid;
}

int container_join(const struct container *c, struct err *e)
{
    if (setns(c->pidfd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
        return err_os(e, "join the container");
    return 0;
}

int container_signal(struct container *c, int sig, bool all, struct err *e)
{
    if (!c->pid)
        return err_set(e, ERR_STATE, "container %s has no process", c->config.id);
    if (sig < 1 || sig > 64)
        return err_set(e, ERR_INVALID, "no signal %d", sig);
    if (all && sig == SIGKILL)
        return cgroup_kill(c->cgroup_fd, e);
    if (all)
        return cgroup_signal(c->cgroup_fd, sig, e);
    return sys_pidfd_signal(c->pidfd, sig) < 0 ? err_os(e, "signal") : 0;
}

void container_cancel(struct container *c)
{
    container_free(c);
}

/* The end of the process is news for the client; what the machine has to do about it can wait
 * until it was told. */
void container_exited(struct container *c, int wait_status)
{
    struct guest *g = c->guest;
    struct exit_info info = { 0 };

    if (c->state == CONTAINER_SETUP && !c->failed)
        on_setup(&c->setup, 0); /* its last words */
    exit_info_fill(&info, wait_status, c->cgroup_fd >= 0 && cgroup_oom_killed(c->cgroup_fd));
    if (c->main)
        session_exited(c->main, &info);
    sessions_forget(g, c);
    files_forget(g, c);
    c->exit = info;
    c->state = CONTAINER_ENDED;
    c->pid = 0;
}

static void container_clean(struct container *c)
{
    struct guest *g = c->guest;
    struct err e;

    swap_off(c->upper_fd, &c->swap_fd);
    if (c->upper_fd >= 0 && mnt_freeze_fs(c->upper_fd, &e) < 0) {
        guest_log(g, "container %s: %s", c->config.id, e.text);
        (void)syncfs(c->upper_fd);
    }
    c->exit.container = c->config.id;
    if (!c->failed)
        outlet_config(&g->control, MSG_CONTAINER_EXITED, exit_info, &c->exit);
    container_free(c);
}

bool containers_sweep(struct guest *g)
{
    bool any = false;

    for (struct container *c = g->containers, *next; c; c = next) {
        next = c->next;
        if (c->state != CONTAINER_ENDED)
            continue;
        container_clean(c);
        any = true;
    }
    return any;
}
