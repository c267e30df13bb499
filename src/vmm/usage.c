#include "vmm/usage.h"

#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>

static int read_proc(pid_t pid, const char *name, struct str *ret, struct err *e)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return fs_read_file(AT_FDCWD, path, ret, e);
}

int proc_usage(pid_t pid, uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns, struct err *e)
{
    autostr stat = STR_INIT(4096), statm = STR_INIT(4096);
    uint64_t user, system, pages;
    const char *p;
    int r;

    r = read_proc(pid, "stat", &stat, e);
    if (r == 0)
        r = read_proc(pid, "statm", &statm, e);
    if (r < 0)
        return r;
    p = strrchr(str_c(&stat), ')'); /* the command name may hold anything */
    if (!p ||
        sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ju %ju", &user, &system) != 2 ||
        sscanf(str_c(&statm), "%*u %ju", &pages) != 1)
        return err_set(e, ERR_CORRUPT, "/proc/%d: unexpected format", (int)pid);
    *ret_resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_cpu_ns = (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    return 0;
}
