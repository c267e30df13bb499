#include "util/fs.h"

#include "util/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int fs_mkdirs(const char *path, struct err *e)
{
    autofree char *copy = strdup(path);

    if (!copy)
        return err_os(e, "mkdir %s", path);
    for (char *p = copy + 1;; p++) {
        char was = *p;

        if (was != '/' && was != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return err_os(e, "mkdir %s", copy);
        if (was == '\0')
            return 0;
        *p = '/';
    }
}

int fs_open_dir(int dirfd, const char *path, struct err *e)
{
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_os(e, "open directory %s", path) : fd;
}

static int open_how(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve,
                    struct err *e)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };
    long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

    return fd < 0 ? err_os(e, "open %s", path) : (int)fd;
}

int fs_open_beneath(int dirfd, const char *path, uint64_t flags, mode_t mode, struct err *e)
{
    return open_how(dirfd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, e);
}

int fs_open_no_links(int dirfd, const char *path, uint64_t flags, mode_t mode, struct err *e)
{
    return open_how(dirfd, path, flags, mode,
                    RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS, e);
}

int fs_open_in_root(int rootfd, const char *path, uint64_t flags, mode_t mode, struct err *e)
{
    return open_how(rootfd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, e);
}

int fs_read_file(int dirfd, const char *path, struct str *ret, struct err *e)
{
    autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return err_os(e, "open %s", path);
    r = fd_read_all(fd, ret, e);
    return r < 0 ? err_ctx(e, "%s", path) : 0;
}

int fs_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                  struct err *e)
{
    autofree char *tmp = str_format("%s.tmp.%d", path, (int)getpid());
    autofd int fd = -1;
    int r = 0;

    if (!tmp)
        return err_os(e, "write %s", path);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_os(e, "create %s", tmp);
    r = fd_write_all(fd, data, len, e);
    if (r == 0 && fsync(fd) < 0)
        r = err_os(e, "fsync %s", tmp);
    if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
        r = err_os(e, "rename %s", tmp);
    if (r < 0)
        (void)unlinkat(dirfd, tmp, 0); /* the first error is the one to report */
    return r;
}

int fs_write_kernel(int dirfd, const char *path, const char *text, struct err *e)
{
    autofd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return err_os(e, "open %s", path);
    if (write(fd, text, strlen(text)) < 0)
        return err_os(e, "write '%s' to %s", text, path);
    return 0;
}

/* Trees we delete are ours or an unpacked image: deep ones must not exhaust the stack. */
#define TREE_DEPTH_MAX 4096

static int remove_dir(int parent, const char *name, dev_t dev, int depth, struct err *e);

static int remove_entry(int dirfd, const char *name, dev_t dev, int depth, struct err *e)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_os(e, "remove %s", name);
    return remove_dir(dirfd, name, dev, depth, e);
}

static int remove_dir(int parent, const char *name, dev_t dev, int depth, struct err *e)
{
    autofd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct dirent *d;
    struct stat st;
    DIR *dir;
    int r = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT ? 0 : err_os(e, "remove %s", name);
    if (st.st_dev != dev)
        return err_set(e, ERR_STATE, "remove %s: something is mounted there", name);
    if (depth > TREE_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "remove %s: too deep", name);
    dir = fdopendir(fd);
    if (!dir)
        return err_os(e, "read directory %s", name);
    (void)take_fd(&fd); /* dir owns it now */
    while (r == 0 && (d = readdir(dir)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            r = remove_entry(dirfd(dir), d->d_name, dev, depth + 1, e);
    (void)closedir(dir);
    if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        r = err_os(e, "remove %s", name);
    return r;
}

int fs_remove_tree(int dirfd, const char *name, struct err *e)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_os(e, "remove %s", name);
    return remove_entry(dirfd, name, st.st_dev, 0, e);
}
