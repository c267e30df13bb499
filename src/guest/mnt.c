#include "guest/mnt.h"

#include "util/own.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/syscall.h>

_Static_assert(MNT_RDONLY == MOUNT_ATTR_RDONLY && MNT_NOSUID == MOUNT_ATTR_NOSUID &&
                   MNT_NODEV == MOUNT_ATTR_NODEV && MNT_NOEXEC == MOUNT_ATTR_NOEXEC &&
                   MNT_NOATIME == MOUNT_ATTR_NOATIME && MNT_STRICTATIME == MOUNT_ATTR_STRICTATIME,
               "MNT_* are the kernel's numbers");

/* What the file system said, without its "e " prefix; else the errno. */
static int fs_fail(int fs, const char *type, struct err *e)
{
    int os = errno;
    char said[256];
    ssize_t n = read(fs, said, sizeof(said) - 1);

    if (n < 3)
        return err_os_at(e, os, "mount %s", type);
    said[n] = '\0';
    said[strcspn(said, "\n")] = '\0';
    return err_os_at(e, os, "mount %s: %s", type, said + 2);
}

static int set_options(int fs, const char *options)
{
    autofree char *copy = strdup(options ? options : "");
    char *at = copy, *word;

    if (!copy)
        return -1;
    while ((word = strsep(&at, ","))) {
        char *value = strchr(word, '=');
        long r;

        if (!*word)
            continue;
        if (value)
            *value++ = '\0';
        r = syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, word,
                    value, 0);
        if (r < 0)
            return -1;
    }
    return 0;
}

int mnt_new(const char *type, const char *source, const char *options, uint64_t attrs,
            struct err *e)
{
    autofd int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    long mnt;

    if (fs < 0)
        return err_os(e, "file system %s", type);
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source ? source : type, 0) < 0)
        return fs_fail(fs, type, e);
    if (set_options(fs, options) < 0)
        return fs_fail(fs, type, e);
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fs_fail(fs, type, e);
    mnt = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs);
    return mnt < 0 ? fs_fail(fs, type, e) : (int)mnt;
}

int mnt_clone(int dirfd, const char *path, bool recursive, struct err *e)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW |
                     (recursive ? AT_RECURSIVE : 0);
    long fd = syscall(SYS_open_tree, dirfd, path, flags);

    return fd < 0 ? err_os(e, "bind %s", path) : (int)fd;
}

int mnt_attach(int mnt_fd, int dirfd, const char *path, struct err *e)
{
    if (syscall(SYS_move_mount, mnt_fd, "", dirfd, path,
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_os(e, "mount on %s", *path ? path : "it");
    return 0;
}

int mnt_place(const char *type, const char *options, uint64_t attrs, int dirfd, const char *path,
              struct err *e)
{
    autofd int fd = mnt_new(type, NULL, options, attrs, e);

    if (fd < 0)
        return fd;
    return mnt_attach(fd, dirfd, path, e);
}

int mnt_set(int fd, uint64_t attrs, bool recursive, struct err *e)
{
    struct mount_attr attr = { .attr_set = attrs };

    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                sizeof(attr)) < 0)
        return err_os(e, "mount attributes");
    return 0;
}

int mnt_make_private(struct err *e)
{
    struct mount_attr attr = { .propagation = MS_PRIVATE };

    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return err_os(e, "make mounts private");
    return 0;
}

int mnt_freeze_fs(int fd, struct err *e)
{
    autofd int fs = (int)syscall(SYS_fspick, fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

    if (fs < 0)
        return err_os(e, "writable layer");
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        return fs_fail(fs, "read-only", e);
    return 0;
}
