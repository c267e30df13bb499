#include "oci/partial.h"

#include "util/fs.h"
#include "util/time.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define KEEP_NS                                                                                  \
    (INT64_C(24) * 3600 * (int64_t)NS_PER_S) /* a day: for somebody who tries again              \
                                              */
#define REF       "ref-"
#define HEX_LEN   64
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static char *partial_dir(const char *home, struct err *e)
{
    autofree char *path = str_format("%s/images/partial", home);
    int r;

    r = path ? fs_mkdirs(path, e) : err_os(e, "downloads");
    return r < 0 ? NULL : take_ptr(path);
}

/* Whether the descriptor is still what the name stands for: a sweep may have been between. */
static bool is_current(int fd, const char *path, struct stat *ret)
{
    struct stat named;

    return fstat(fd, ret) == 0 && stat(path, &named) == 0 && named.st_ino == ret->st_ino &&
           named.st_dev == ret->st_dev;
}

static int lock(int fd, int how)
{
    int r;

    do
        r = flock(fd, how);
    while (r < 0 && errno == EINTR);
    return r;
}

int partial_open(const char *home, const char *digest, struct partial *ret, struct err *e)
{
    autofree char *dir = partial_dir(home, e);
    autofree char *path = dir ? str_format("%s/%s", dir, digest + strlen("sha256:")) : NULL;
    struct stat st;

    if (!dir)
        return -(int)e->kind;
    if (!path)
        return err_os(e, "downloads");
    for (;;) {
        autofd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
            return err_os(e, "open %s", path);
        if (lock(fd, LOCK_EX | LOCK_NB) < 0)
            return errno == EWOULDBLOCK ? 1 : err_os(e, "lock %s", path);
        if (!is_current(fd, path, &st))
            continue;
        *ret = (struct partial){ .path = take_ptr(path),
                                 .fd = take_fd(&fd),
                                 .have = (uint64_t)st.st_size };
        return 0;
    }
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0)
        (void)lock(p->fd, LOCK_UN);
    close_fd(&p->fd);
    free(p->path);
    p->path = NULL;
}

void partial_remove(struct partial *p)
{
    if (p->path)
        (void)unlink(p->path); /* else it is swept some day */
    partial_close(p);
}

/* The name is for a lock only: two references with the same one would just wait for each other.
 */
static char *ref_path(const char *home, const char *reference)
{
    uint64_t h = FNV_START;

    for (const char *p = reference; *p; p++)
        h = (h ^ (unsigned char)*p) * FNV_PRIME;
    return str_format("%s/images/partial/" REF "%016jx", home, (uintmax_t)h);
}

int partial_ref_lock(const char *home, const char *reference, void (*waiting)(void *ctx),
                     void *ctx, struct err *e)
{
    autofree char *dir = partial_dir(home, e);
    autofree char *path = ref_path(home, reference);
    struct stat st;

    if (!dir)
        return -(int)e->kind;
    if (!path)
        return err_os(e, "downloads");
    for (;;) {
        autofd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
            return err_os(e, "open %s", path);
        r = lock(fd, LOCK_EX | LOCK_NB);
        if (r < 0 && errno == EWOULDBLOCK) {
            if (waiting)
                waiting(ctx);
            r = lock(fd, LOCK_EX);
        }
        if (r < 0)
            return err_os(e, "lock %s", path);
        if (is_current(fd, path, &st))
            return take_fd(&fd);
    }
}

void partial_ref_unlock(const char *home, const char *reference, int fd)
{
    autofree char *path = fd >= 0 ? ref_path(home, reference) : NULL;

    if (path)
        (void)unlink(path); /* else it is swept by the next pull */
    if (fd >= 0)
        (void)lock(fd, LOCK_UN); /* even when a child that is just starting has it as well */
    close_fd(&fd);
}

static bool in_store(const char *home, const char *name)
{
    autofree char *path = str_format("%s/images/blobs/sha256/%s", home, name);

    return path && access(path, F_OK) == 0;
}

static bool is_waste(const char *home, const char *name, const struct stat *st,
                     enum partial_sweep which)
{
    int64_t written = st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec;

    if (which == PARTIAL_SWEEP_ALL || strncmp(name, REF, strlen(REF)) == 0)
        return true;
    return st->st_size == 0 || time_real_ns() - written > KEEP_NS ||
           (strlen(name) == HEX_LEN && in_store(home, name));
}

int partial_sweep(const char *home, enum partial_sweep which, uint64_t *ret_bytes, struct err *e)
{
    autofree char *path = partial_dir(home, e);
    uint64_t bytes = 0;
    struct dirent *d;
    DIR *dir;

    if (!path)
        return -(int)e->kind;
    dir = opendir(path);
    if (!dir)
        return err_os(e, "%s", path);
    while ((d = readdir(dir))) {
        autofree char *file = NULL;
        autofd int fd = -1;
        struct stat st;

        if (d->d_name[0] == '.')
            continue;
        fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        file = str_format("%s/%s", path, d->d_name);
        if (fd < 0 || !file || lock(fd, LOCK_EX | LOCK_NB) < 0 || !is_current(fd, file, &st) ||
            !is_waste(home, d->d_name, &st, which))
            continue;
        if (unlinkat(dirfd(dir), d->d_name, 0) == 0 && st.st_nlink == 1)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    (void)closedir(dir);
    if (ret_bytes)
        *ret_bytes = bytes;
    return 0;
}
