#include "guest/devices.h"

#include "guest/sys.h"
#include "util/own.h"
#include "util/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define ANY UINT32_MAX

static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {
    { "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
    { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
    const char *name, *target;
} links[] = {
    { "ptmx", "pts/ptmx" },          { "fd", "/proc/self/fd" },
    { "stdin", "/proc/self/fd/0" },  { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" },
};

static const char *const dirs[] = { "pts", "shm", "mqueue" };

/* Nodes of the guest's own /dev, for --privileged. The channel's port is not for containers. */
static void copy_nodes(DIR *from, int to)
{
    struct dirent *entry;
    struct stat st;

    while ((entry = readdir(from))) {
        const char *name = entry->d_name;

        if (strncmp(name, "vport", 5) == 0 || strncmp(name, "console", 7) == 0)
            continue;
        if (fstatat(dirfd(from), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            (void)mknodat(to, name, st.st_mode, st.st_rdev); /* EEXIST: made before */
    }
}

static void copy_all(int dev_fd)
{
    static const char *const subdirs[] = { ".", "net", "mapper", "snd", "input", "vfio" };

    for (size_t i = 0; i < ARRAY_LEN(subdirs); i++) {
        autofree char *path = str_format("/dev/%s", subdirs[i]);
        DIR *from = path ? opendir(path) : NULL;
        autofd int to = -1;

        if (!from)
            continue;
        (void)mkdirat(dev_fd, subdirs[i], 0755);
        to = openat(dev_fd, subdirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (to >= 0)
            copy_nodes(from, to);
        (void)closedir(from);
    }
}

int devices_make(int dev_fd, bool all, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
        if (mknodat(dev_fd, nodes[i].name, S_IFCHR | 0666,
                    makedev(nodes[i].major, nodes[i].minor)) < 0)
            return err_os(e, "/dev/%s", nodes[i].name);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (symlinkat(links[i].target, dev_fd, links[i].name) < 0)
            return err_os(e, "/dev/%s", links[i].name);
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (mkdirat(dev_fd, dirs[i], 0755) < 0)
            return err_os(e, "/dev/%s", dirs[i]);
    if (all)
        copy_all(dev_fd);
    return 0;
}

int devices_restrict(int cgroup_fd, struct err *e)
{
    (void)cgroup_fd;
    (void)e;
    return 0;
}
