#include "vmm/usage.h"

#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>

static int open_proc(pid_t pid, struct err *e)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return fs_open_dir(AT_FDCWD, path, e);
}

/* The command name in field 2 may hold anything, so fields are counted from its last ')'. */
static int read_stat(int dir, pid_t *ret_parent, uint64_t *ret_cpu_ns, struct err *e)
{
    autostr text = STR_INIT(4096);
    uint64_t user, system;
    const char *p;
    int r, parent;

    r = fs_read_file(dir, "stat", &text, e);
    if (r < 0)
        return r;
    p = strrchr(str_c(&text), ')');
    if (!p || sscanf(p, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ju %ju", &parent, &user,
                     &system) != 3)
        return err_set(e, ERR_CORRUPT, "/proc/PID/stat: unexpected format");
    *ret_parent = parent;
    *ret_cpu_ns = (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    return 0;
}

int proc_usage(pid_t pid, uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns, struct err *e)
{
    autofd int dir = open_proc(pid, e);
    autostr statm = STR_INIT(4096);
    uint64_t pages;
    pid_t parent;
    int r;

    if (dir < 0)
        return dir;
    r = fs_read_file(dir, "statm", &statm, e);
    if (r == 0 && sscanf(str_c(&statm), "%*u %ju", &pages) != 1)
        r = err_set(e, ERR_CORRUPT, "/proc/%d/statm: unexpected format", (int)pid);
    if (r == 0)
        r = read_stat(dir, &parent, ret_cpu_ns, e);
    if (r == 0)
        *ret_resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return r;
}

/* All is read through one descriptor of /proc/PID: it stays the process that was checked. */
int child_usage(pid_t pid, pid_t parent, struct child_usage *ret, struct err *e)
{
    autofd int dir = open_proc(pid, e);
    autostr maps = STR_INIT(16384);
    uint64_t cpu_ns, kib = 0;
    struct err ignored;
    pid_t is_parent;
    const char *p;

    if (dir < 0 || read_stat(dir, &is_parent, &cpu_ns, e) < 0)
        return err_set(e, ERR_NOT_FOUND, "No process %d", (int)pid);
    if (is_parent != parent)
        return err_set(e, ERR_NOT_FOUND, "Process %d is not a child of %d", (int)pid,
                       (int)parent);
    if (fs_read_file(dir, "smaps_rollup", &maps, &ignored) == 0 &&
        (p = strstr(str_c(&maps), "\nPss:")) && sscanf(p, "\nPss: %ju", &kib) != 1)
        kib = 0;
    *ret = (struct child_usage){ cpu_ns, kib * 1024 };
    return 0;
}
