#include "guest/cgroup.h"

#include "util/fs.h"
#include "util/log.h"
#include "util/own.h"
#include "util/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PERIOD_US   UINT64_C(100000)
#define PROCS_MAX   ((size_t)1 << 20)
#define DEPTH_MAX   64

/* A limit of 0 was not asked for. */
static int set_number(int fd, const char *file, uint64_t value, struct err *e)
{
    autofree char *text = str_format("%llu", (unsigned long long)value);

    if (!value)
        return 0;
    if (!text)
        return err_os(e, "%s", file);
    return fs_write_kernel(fd, file, text, e);
}

static int set_cpu(int fd, const struct cgroup_limits *l, struct err *e)
{
    uint64_t period = l->cpu_period_us ? l->cpu_period_us : PERIOD_US;
    autofree char *max =
        str_format("%llu %llu", (unsigned long long)l->cpu_quota_us, (unsigned long long)period);
    int r = set_number(fd, "cpu.weight", l->cpu_weight, e);

    if (r >= 0 && l->cpuset && *l->cpuset)
        r = fs_write_kernel(fd, "cpuset.cpus", l->cpuset, e);
    if (r < 0 || !l->cpu_quota_us)
        return r;
    return max ? fs_write_kernel(fd, "cpu.max", max, e) : err_os(e, "cpu.max");
}

/* A guest has no swap of its own: its kernel may lack the file. */
static int set_swap(int fd, int64_t max, struct err *e)
{
    int r;

    if (max == 0)
        return 0;
    r = max < 0 ? fs_write_kernel(fd, "memory.swap.max", "max", e)
                : set_number(fd, "memory.swap.max", (uint64_t)max, e);
    if (r < 0 && e->os == ENOENT) {
        err_clear(e);
        return 0;
    }
    return r;
}

static int set_limits(int fd, const struct cgroup_limits *l, struct err *e)
{
    int r;

    if ((r = set_number(fd, "memory.max", l->memory_max, e)) < 0 ||
        (r = set_number(fd, "memory.low", l->memory_low, e)) < 0 ||
        (r = set_swap(fd, l->memory_swap_max, e)) < 0 ||
        (r = set_number(fd, "pids.max", l->pids_max, e)) < 0)
        return r;
    return set_cpu(fd, l, e);
}

void cgroup_prepare(void)
{
    if (mkdir(CGROUP_ROOT "/" CGROUP_FIRST, 0755) < 0)
        log_warn("cgroup: %s", strerror(errno)); /* whoever wants it will fail */
}

int cgroup_make(const char *name, const struct cgroup_limits *limits, struct err *e)
{
    autofree char *path = str_format(CGROUP_ROOT "/%s", name);
    autofd int fd = -1;
    int r;

    if (!path)
        return err_os(e, "cgroup");
    if (mkdir(path, 0755) < 0 && (errno != EEXIST || strcmp(name, CGROUP_FIRST) != 0))
        return err_os(e, "cgroup %s", name);
    fd = fs_open_dir(AT_FDCWD, path, e);
    r = fd < 0 ? fd : set_limits(fd, limits, e);
    if (r < 0) {
        (void)rmdir(path);
        return err_ctx(e, "cgroup");
    }
    return take_fd(&fd);
}

/* Groups that the container made below its own go first. The files of a cgroup cannot be removed
 * and need not be. */
static void remove_group(int dirfd, const char *name, int depth)
{
    struct err ignored;
    int fd = depth < DEPTH_MAX ? fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, &ignored)
                               : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            remove_group(fd, entry->d_name, depth + 1);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        log_warn("cgroup %s: %s", name, strerror(errno));
    if (dir)
        (void)closedir(dir);
}

void cgroup_remove(const char *name)
{
    struct err ignored;
    autofd int root = fs_open_dir(AT_FDCWD, CGROUP_ROOT, &ignored);

    if (root >= 0)
        remove_group(root, name, 0);
}

int cgroup_kill(int fd, struct err *e)
{
    return fs_write_kernel(fd, "cgroup.kill", "1", e);
}

bool cgroup_oom_killed(int fd)
{
    autostr text = STR_INIT(4096);
    struct err ignored;
    const char *at;

    if (fs_read_file(fd, "memory.events", &text, &ignored) < 0)
        return false;
    at = strstr(str_c(&text), "oom_kill ");
    return at && at[9] != '0';
}

int cgroup_each(int fd, void (*each)(void *user, pid_t pid), void *user, struct err *e)
{
    autostr text = STR_INIT(PROCS_MAX);
    char *at, *line;
    int r = fs_read_file(fd, "cgroup.procs", &text, e);

    if (r < 0)
        return r;
    at = text.p;
    while (at && (line = strsep(&at, "\n"))) {
        struct err ignored;
        uint64_t pid;

        if (*line && parse_u64(line, 1, INT32_MAX, &pid, &ignored) >= 0)
            each(user, (pid_t)pid);
    }
    return 0;
}

static void signal_one(void *user, pid_t pid)
{
    (void)kill(pid, *(int *)user); /* gone in between: fine */
}

int cgroup_signal(int fd, int sig, struct err *e)
{
    return cgroup_each(fd, signal_one, &sig, e);
}
