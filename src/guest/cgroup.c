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
#include <sys/sysinfo.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PERIOD_US   UINT64_C(100000)
#define PROCS_MAX   ((size_t)1 << 20)
#define DEPTH_MAX   64

/* What the kernel and PID 1 need beside the container, so that it is the container that meets its
 * limit, never the machine: 1/32 of the machine and so much more. */
#define RESERVE_MIN ((uint64_t)16 << 20)
#define LIMIT_MIN   ((uint64_t)4 << 20) /* where the machine is smaller than that */

static int put(int fd, const char *file, char *own_text, struct err *e)
{
    autofree char *text = own_text;

    return text ? fs_write_kernel(fd, file, text, e) : err_os(e, "%s", file);
}

/* 0, no limit, is the word `none`. A new group has what `was` (zeroes) says. */
static int set_number(int fd, const char *file, uint64_t was, uint64_t value, const char *none,
                      struct err *e)
{
    if (value == was)
        return 0;
    if (!value)
        return fs_write_kernel(fd, file, none, e);
    return put(fd, file, str_format("%llu", (unsigned long long)value), e);
}

static int set_cpu_time(int fd, const struct cgroup_limits *was, const struct cgroup_limits *l,
                        struct err *e)
{
    unsigned long long period = l->cpu_period_us ? l->cpu_period_us : PERIOD_US;

    if (was->cpu_quota_us == l->cpu_quota_us && was->cpu_period_us == l->cpu_period_us)
        return 0;
    if (!l->cpu_quota_us)
        return put(fd, "cpu.max", str_format("max %llu", period), e);
    return put(fd, "cpu.max",
               str_format("%llu %llu", (unsigned long long)l->cpu_quota_us, period), e);
}

/* A group with processes in it cannot have its list emptied again: all there can ever be, then.
 */
static int set_cpuset(int fd, const char *list, struct err *e)
{
    autostr all = STR_INIT(4096);
    int r;

    if (*list)
        return fs_write_kernel(fd, "cpuset.cpus", list, e);
    r = fs_read_file(AT_FDCWD, "/sys/devices/system/cpu/possible", &all, e);
    return r < 0 ? r : fs_write_kernel(fd, "cpuset.cpus", str_c(&all), e);
}

int cgroup_settle(int fd, struct err *e)
{
    autostr list = STR_INIT(4096);
    int r = fs_read_file(fd, "cpuset.cpus", &list, e);

    return r < 0 ? r : fs_write_kernel(fd, "cpuset.cpus", list.len ? str_c(&list) : "\n", e);
}

static int set_cpu(int fd, const struct cgroup_limits *was, const struct cgroup_limits *l,
                   struct err *e)
{
    const char *from = was->cpuset ? was->cpuset : "", *to = l->cpuset ? l->cpuset : "";
    int r = set_number(fd, "cpu.weight", was->cpu_weight, l->cpu_weight, "100", e);

    if (r >= 0 && strcmp(from, to) != 0)
        r = set_cpuset(fd, to, e);
    return r < 0 ? r : set_cpu_time(fd, was, l, e);
}

/* A kernel without swap lacks the file. */
static int set_swap(int fd, int64_t was, int64_t max, struct err *e)
{
    int r;

    if (max == was)
        return 0;
    if (max < 0)
        r = fs_write_kernel(fd, "memory.swap.max", "max", e);
    else
        r = put(fd, "memory.swap.max", str_format("%lld", (long long)max), e);
    if (r < 0 && e->os == ENOENT && max == 0) {
        err_clear(e);
        return 0;
    }
    return r;
}

uint64_t cgroup_memory_max(const struct cgroup_limits *l)
{
    struct sysinfo info;
    uint64_t total, off;

    if (l->memory_max || sysinfo(&info) < 0)
        return l->memory_max;
    total = (uint64_t)info.totalram * info.mem_unit;
    off = RESERVE_MIN + total / 32 + l->memory_taken;
    return total > off + LIMIT_MIN ? total - off : LIMIT_MIN;
}

/* The kernel would kill processes to get below a new limit: what does not go without is refused.
 */
static int make_room(int fd, uint64_t max, struct err *e)
{
    struct err ignored;
    uint64_t used;

    if (cgroup_number(fd, "memory.current", &used) < 0 || used <= max)
        return 0;
    (void)put(fd, "memory.reclaim", str_format("%llu", (unsigned long long)(used - max)),
              &ignored); /* EAGAIN: not as much as that; what counts is what is left */
    if (cgroup_number(fd, "memory.current", &used) < 0 || used <= max)
        return 0;
    return err_set(e, ERR_LIMIT,
                   "its processes use %llu MiB, and %llu MiB would be left for them",
                   (unsigned long long)(used >> 20), (unsigned long long)(max >> 20));
}

int cgroup_update(int fd, const struct cgroup_limits *was, const struct cgroup_limits *l,
                  struct err *e)
{
    uint64_t had = cgroup_memory_max(was), max = cgroup_memory_max(l);
    int r = max < had ? make_room(fd, max, e) : 0;

    if (r < 0 || (r = set_number(fd, "memory.max", had, max, "max", e)) < 0 ||
        (r = set_number(fd, "memory.low", was->memory_low, l->memory_low, "0", e)) < 0 ||
        (r = set_swap(fd, was->memory_swap_max, l->memory_swap_max, e)) < 0 ||
        (r = set_number(fd, "pids.max", was->pids_max, l->pids_max, "max", e)) < 0)
        return r;
    return set_cpu(fd, was, l, e);
}

/* Those of a new group. */
static int set_limits(int fd, const struct cgroup_limits *l, struct err *e)
{
    static const struct cgroup_limits none;
    int r = set_number(fd, "memory.max", 0, cgroup_memory_max(l), "max", e);

    if (r < 0 || (r = set_number(fd, "memory.low", 0, l->memory_low, "0", e)) < 0 ||
        (r = set_swap(fd, 0, l->memory_swap_max, e)) < 0 ||
        (r = set_number(fd, "pids.max", 0, l->pids_max, "max", e)) < 0)
        return r;
    return set_cpu(fd, &none, l, e);
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

int cgroup_number(int fd, const char *file, uint64_t *ret)
{
    autostr text = STR_INIT(64);
    struct err ignored;

    if (fs_read_file(fd, file, &text, &ignored) < 0)
        return -1;
    while (text.len && text.p[text.len - 1] == '\n')
        text.p[--text.len] = '\0';
    return parse_u64(str_c(&text), 0, UINT64_MAX, ret, &ignored);
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
