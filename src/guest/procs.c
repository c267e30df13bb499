#include "guest/procs.h"

#include "guest/cgroup.h"
#include "guest/process.h"
#include "guest/stats.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define ARGS_MAX    ((size_t)4096)
#define FILE_MAX    ((size_t)16384)
#define NS_PER_TICK (NS_PER_S / 100) /* USER_HZ, the same on all our architectures */
#define PAGE_BYTES  UINT64_C(4096)

/* ---- one process ----------------------------------------------------- */

struct stat_fields {
    char state;
    int ppid, tty;
    unsigned long long utime, stime, start, vsize;
    long long nice, threads, rss;
};

/* The command name in field 2 may hold anything, so fields are counted from its last ')'. */
static bool parse_stat(const char *text, struct stat_fields *f, char **ret_comm)
{
    const char *open = strchr(text, '('), *end = strrchr(text, ')');

    if (!open || !end || end < open)
        return false;
    if (sscanf(end,
               ") %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %lld %lld %*d "
               "%llu %llu %lld",
               &f->state, &f->ppid, &f->tty, &f->utime, &f->stime, &f->nice, &f->threads,
               &f->start, &f->vsize, &f->rss) != 10)
        return false;
    *ret_comm = strndup(open + 1, (size_t)(end - open - 1));
    return *ret_comm;
}

static char *tty_name(int number)
{
    unsigned dev = (unsigned)number, major = dev >> 8 & 0xfff;
    unsigned minor = (dev & 0xff) | (dev >> 12 & 0xfff00);

    if (major >= 136 && major <= 143)
        return str_format("pts/%u", (major - 136) * 256 + minor);
    return strdup("?");
}

static bool parse_status(const char *text, struct proc_row *row)
{
    const char *uid = strstr(text, "\nUid:\t"), *gid = strstr(text, "\nGid:\t");
    const char *ns = strstr(text, "\nNSpid:\t");
    unsigned u, g, pid;

    if (!uid || !gid || !ns || sscanf(uid, "\nUid: %*u %u", &u) != 1 ||
        sscanf(gid, "\nGid: %*u %u", &g) != 1 || sscanf(ns, "\nNSpid: %*u %u", &pid) != 1)
        return false;
    row->uid = u;
    row->gid = g;
    row->pid = pid;
    return true;
}

int procs_parse(const char *stat, const char *status, struct proc_row *ret, struct err *e)
{
    struct proc_row row = { 0 };
    struct stat_fields f;

    if (!parse_stat(stat, &f, &row.comm))
        return err_set(e, ERR_CORRUPT, "stat of a process");
    row.state = str_format("%c", f.state);
    row.tty = tty_name(f.tty);
    if (!row.state || !row.tty || !parse_status(status, &row)) {
        config_done(proc_row, &row);
        return err_set(e, ERR_CORRUPT, "status of a process");
    }
    row.ppid = (uint64_t)f.ppid;
    row.cpu_ticks = f.utime + f.stime;
    row.start_ns = f.start * NS_PER_TICK;
    row.vsz_bytes = f.vsize;
    row.rss_bytes = (uint64_t)f.rss * PAGE_BYTES;
    row.nice = f.nice;
    row.threads = (uint64_t)f.threads;
    *ret = row;
    return 0;
}

/* ---- the list, in a child -------------------------------------------- */

struct lister {
    int proc_fd; /* the guest's /proc */
    struct proc_list list;
    struct user_files users;
    uint64_t pids[4096]; /* in our namespace, of list.procs */
};

/* NULs between arguments become spaces; a kernel-style "[name]" when there are none. */
static char *read_args(int proc_fd, pid_t pid, const char *comm)
{
    autofree char *path = str_format("%d/cmdline", (int)pid);
    autofd int fd = path ? openat(proc_fd, path, O_RDONLY | O_CLOEXEC) : -1;
    char text[ARGS_MAX];
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    while (n > 0 && text[n - 1] == '\0')
        n--;
    if (n <= 0)
        return str_format("[%s]", comm);
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0' || text[i] == '\n')
            text[i] = ' ';
    return strndup(text, (size_t)n);
}

static int read_row(struct lister *l, pid_t pid, struct proc_row *row, struct err *e)
{
    autofree char *stat = str_format("%d/stat", (int)pid);
    autofree char *status = str_format("%d/status", (int)pid);
    autostr stat_text = STR_INIT(FILE_MAX), status_text = STR_INIT(FILE_MAX);
    char name[64];
    int r;

    if (!stat || !status)
        return err_os(e, "process");
    if ((r = fs_read_file(l->proc_fd, stat, &stat_text, e)) < 0 ||
        (r = fs_read_file(l->proc_fd, status, &status_text, e)) < 0 ||
        (r = procs_parse(str_c(&stat_text), str_c(&status_text), row, e)) < 0)
        return r;
    row->args = read_args(l->proc_fd, pid, row->comm);
    user_name(&l->users, (uint32_t)row->uid, name, sizeof(name));
    row->user = name[0] ? strdup(name) : NULL;
    return 0;
}

static void add_process(void *user, pid_t pid)
{
    struct lister *l = user;
    struct proc_row row = { 0 }, *to;
    struct err ignored;

    if (l->list.procs.n >= ARRAY_LEN(l->pids) || read_row(l, pid, &row, &ignored) < 0)
        return; /* it has ended meanwhile */
    to = tlv_list_add(&l->list.procs, sizeof(row));
    if (!to)
        return;
    *to = row;
    l->pids[l->list.procs.n - 1] = (uint64_t)pid;
}

/* Parents as the container sees them: 0 for one outside. */
static void map_parents(struct lister *l)
{
    struct tlv_list *procs = &l->list.procs;

    for (size_t i = 0; i < procs->n; i++) {
        struct proc_row *row = TLV_AT(procs, struct proc_row, i);
        uint64_t parent = 0;

        for (size_t k = 0; k < procs->n; k++)
            if (l->pids[k] == row->ppid)
                parent = TLV_AT(procs, struct proc_row, k)->pid;
        row->ppid = parent;
    }
}

static int list_child(const struct container *c, int out, struct err *e)
{
    uint64_t limit = stats_memory_limit(c);
    static struct lister l;
    autostr passwd = STR_INIT(USER_FILE_MAX), raw = STR_INIT(MSG_MAX);
    int r = l.proc_fd = fs_open_dir(AT_FDCWD, "/proc", e);

    if (r < 0)
        return r;
    if (setns(c->pidfd, CLONE_NEWNS) < 0)
        return err_os(e, "join the container");
    if ((r = process_read_file("/etc/passwd", USER_FILE_MAX, &passwd, e)) < 0)
        return r;
    l.users = (struct user_files){ .passwd = str_c(&passwd), .passwd_len = passwd.len };
    l.list.container = c->config.id;
    l.list.uptime_ns = time_mono_ns();
    l.list.memory_limit = limit;
    if ((r = cgroup_each(c->cgroup_fd, add_process, &l, e)) < 0)
        return r;
    map_parents(&l);
    r = config_encode(proc_list, &l.list, &raw, e);
    return r < 0 ? r : fd_write_all(out, str_c(&raw), raw.len, e);
}

/* ---- collecting it --------------------------------------------------- */

struct procs_job {
    struct watch w;
    struct guest *guest;
    struct str raw;
};

static void on_list(struct watch *w, uint32_t events UNUSED)
{
    struct procs_job *job = CONTAINER_OF(w, struct procs_job, w);
    ssize_t n = read(w->fd, job->guest->buf, BUF_BYTES);

    if (n > 0 && str_add(&job->raw, job->guest->buf, (size_t)n))
        return;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_del(job->guest->loop, w);
    outlet_put(&job->guest->control, MSG_CONTAINER_PROC_LIST, str_c(&job->raw), job->raw.len);
    close_fd(&w->fd);
    str_done(&job->raw);
    free(job);
}

static int job_new(struct guest *g, int *own_fd, struct err *e)
{
    struct procs_job *job = calloc(1, sizeof(*job));
    int r;

    if (!job)
        return err_os(e, "list of processes");
    *job = (struct procs_job){ .w = { take_fd(own_fd), "list of processes", on_list, 0, false },
                               .guest = g,
                               .raw = STR_INIT(MSG_MAX) };
    r = loop_add(g->loop, &job->w, EPOLLIN, e);
    if (r < 0) {
        close_fd(&job->w.fd);
        free(job);
    }
    return r;
}

int procs_list(struct container *c, struct err *e)
{
    autofd int in = -1, out = -1;
    int fds[2];
    pid_t pid;

    if (!c->pid)
        return err_set(e, ERR_STATE, "container %s has no process", c->config.id);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    in = fds[0];
    out = fds[1];
    pid = sys_fork(0, -1);
    if (pid < 0)
        return err_os(e, "fork");
    if (pid == 0) {
        close_fd(&in);
        if (list_child(c, out, e) < 0)
            log_error("processes of %s: %s", c->config.id, e->text);
        _exit(0);
    }
    return job_new(c->guest, &in, e);
}
