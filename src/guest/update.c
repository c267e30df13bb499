#include "guest/update.h"

#include "guest/cgroup.h"
#include "guest/process.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CPU_DIR  "/sys/devices/system/cpu"
#define CPUS_MAX 4096 /* above it no machine of ours has any */

struct update_job {
    struct watch w; /* the pipe from the child; owned */
    struct guest *guest;
    struct container_update update; /* owned */
};

void update_tell(struct guest *g, const char *container, const struct err *failure)
{
    struct error_info info = { .container = (char *)(uintptr_t)container };

    if (failure) {
        info.kind = failure->kind;
        info.text = (char *)(uintptr_t)failure->text;
    }
    outlet_config(&g->control, MSG_CONTAINER_UPDATED, error_info, &info);
}

/* ---- in the child ---------------------------------------------------- */

/* 1: it is as wanted; 0: there is no such CPU. */
static int set_online(int sysfs, unsigned cpu, bool online, struct err *e)
{
    autofree char *file = str_format("cpu%u/online", cpu);
    uint64_t is;
    int r;

    if (!file)
        return err_os(e, "CPU %u", cpu);
    if (faccessat(sysfs, file, F_OK, 0) < 0)
        return errno == ENOENT ? 0 : err_os(e, "CPU %u", cpu);
    if (cgroup_number(sysfs, file, &is) == 0 && is == (uint64_t)online)
        return 1;
    r = fs_write_kernel(sysfs, file, online ? "1" : "0", e);
    return r < 0 ? err_ctx(e, "CPU %u", cpu) : 1;
}

int update_cpus(int sysfs, uint64_t vcpus, struct err *e)
{
    unsigned cpu = 1;
    int r = 1;

    for (; cpu < CPUS_MAX && r > 0 && cpu < vcpus; cpu++)
        r = set_online(sysfs, cpu, true, e);
    if (r == 0)
        return err_set(e, ERR_LIMIT, "the machine has %u CPUs", cpu - 1);
    for (; cpu < CPUS_MAX && r > 0; cpu++)
        r = set_online(sysfs, cpu, false, e);
    return r < 0 ? r : 0;
}

static int check_swap(const struct container *c, const struct cgroup_limits *to, struct err *e)
{
    int64_t was = c->config.cgroup.memory_swap_max, max = to->memory_swap_max;

    if (max == was || (max >= 0 && (uint64_t)max <= c->swap_bytes) || (max < 0 && c->swap_bytes))
        return 0;
    return err_set(e, ERR_LIMIT,
                   "it was started with %llu MiB of swap, more only comes with the next start",
                   (unsigned long long)(c->swap_bytes >> 20));
}

static int apply(const struct container *c, const struct container_update *u, struct err *e)
{
    autofd int sysfs = -1;
    int r;

    sysfs = fs_open_dir(AT_FDCWD, CPU_DIR, e);
    if (sysfs < 0)
        return sysfs;
    r = check_swap(c, &u->cgroup, e);
    if (r < 0)
        return r;
    r = cgroup_update(c->cgroup_fd, &c->config.cgroup, &u->cgroup, e);
    if (r < 0 || !u->vcpus)
        return r;
    r = update_cpus(sysfs, u->vcpus, e);
    return r < 0 ? r : cgroup_settle(c->cgroup_fd, e);
}

static void child(const struct container *c, const struct container_update *u, int out)
{
    struct failure f = { .kind = ERR_NONE };
    struct err e;

    if (apply(c, u, &e) < 0) {
        f.kind = (uint32_t)e.kind;
        (void)snprintf(f.text, sizeof(f.text), "%s", e.text);
    }
    _exit(fd_write_all(out, &f, sizeof(f), &e) < 0);
}

/* ---- in PID 1 -------------------------------------------------------- */

static void job_free(struct update_job *job)
{
    loop_del(job->guest->loop, &job->w);
    close_fd(&job->w.fd);
    config_done(container_update, &job->update);
    free(job);
}

/* From now on these are its limits. */
static void adopt(struct update_job *job)
{
    struct container *c = container_find(job->guest, job->update.container);
    struct cgroup_limits *to = c ? &c->config.cgroup : NULL, *from = &job->update.cgroup;
    int64_t oom_score_adj = to ? to->oom_score_adj : 0;

    if (!to)
        return;
    free(to->cpuset);
    *to = *from;
    to->oom_score_adj = oom_score_adj;
    from->cpuset = NULL;
}

static void on_result(struct watch *w, uint32_t events UNUSED)
{
    struct update_job *job = CONTAINER_OF(w, struct update_job, w);
    struct failure f = { .kind = ERR_INTERNAL };
    ssize_t n = read(w->fd, &f, sizeof(f));
    struct err e;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    f.text[sizeof(f.text) - 1] = '\0';
    if (n == sizeof(f) && f.kind == ERR_NONE) {
        adopt(job);
        update_tell(job->guest, job->update.container, NULL);
    } else {
        (void)err_set(&e, n == sizeof(f) ? (enum err_kind)f.kind : ERR_SYSTEM, "%s",
                      n == sizeof(f) ? f.text : "the guest ended without a word");
        update_tell(job->guest, job->update.container, &e);
    }
    job_free(job);
}

static int job_start(struct update_job *job, const struct container *c, struct err *e)
{
    autofd int out = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_os(e, "pipe");
    job->w.fd = fds[0];
    out = fds[1];
    pid = sys_fork(0, -1);
    if (pid < 0)
        return err_os(e, "fork");
    if (pid == 0)
        child(c, &job->update, out);
    return loop_add(job->guest->loop, &job->w, EPOLLIN, e);
}

int update_begin(struct guest *g, struct container_update *own_update, struct err *e)
{
    struct container *c = container_find(g, own_update->container);
    struct update_job *job = c && c->pid ? calloc(1, sizeof(*job)) : NULL;
    int r;

    if (!job) {
        r = c && c->pid ? err_os(e, "update") : err_set(e, ERR_STATE, "no such container");
        config_done(container_update, own_update);
        return r;
    }
    *job = (struct update_job){ .w = { -1, "update", on_result, 0, false },
                                .guest = g,
                                .update = *own_update };
    *own_update = (struct container_update){ 0 };
    r = job_start(job, c, e);
    if (r < 0)
        job_free(job);
    return r;
}
