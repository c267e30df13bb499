#include "db/db.h"
#include "oci/fsck_internal.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* 1: something needs it; 0: nothing does. */
typedef int known_fn(struct fsck *f, int dirfd, const char *name, struct err *e);

static int query(struct fsck *f, const char *sql, const char *key, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(f->db, &st, e, sql, "s", key);
    return r < 0 ? r : stmt_step(&st, e);
}

static int blob(struct fsck *f, int dirfd UNUSED, const char *name, struct err *e)
{
    return query(f, "SELECT 1 FROM image_blobs WHERE digest = 'sha256:' || ? LIMIT 1", name, e);
}

static int rootfs(struct fsck *f, int dirfd UNUSED, const char *name, struct err *e)
{
    return query(f, "SELECT 1 FROM image_content WHERE chain_id || '.ext4' = ? LIMIT 1", name, e);
}

/* Whoever works with it holds it locked. */
static int in_work(struct fsck *f UNUSED, int dirfd, const char *name, struct err *e UNUSED)
{
    autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int images(struct fsck *f UNUSED, int dirfd UNUSED, const char *name, struct err *e UNUSED)
{
    static const char *const ours[] = { "blobs", "lock", "partial", "tmp" };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return 1;
    return 0;
}

static int unknown(struct fsck *f, int fd, const char *path, const char *name, const char *what,
                   struct err *e)
{
    int r;

    fsck_found(f, "%s %s/%s", what, path, name);
    if (!f->repair)
        return 0;
    r = fs_remove_tree(fd, name, e);
    if (r == 0)
        f->findings--;
    return r;
}

static int walk(struct fsck *f, const char *path, const char *what, known_fn *known,
                struct err *e)
{
    autofree char *full = str_format("%s/%s", f->home, path);
    autofd int fd = full ? open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct dirent *d;
    DIR *dir;
    int r = 0;

    if (fd < 0)
        return full && errno == ENOENT ? 0 : err_os(e, "open %s", path);
    dir = fdopendir(fd);
    if (!dir)
        return err_os(e, "%s", path);
    (void)take_fd(&fd); /* dir owns it now */
    while (r >= 0 && (d = readdir(dir))) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        r = known(f, dirfd(dir), d->d_name, e);
        if (r == 0)
            r = unknown(f, dirfd(dir), path, d->d_name, what, e);
    }
    (void)closedir(dir);
    return r < 0 ? r : 0;
}

int fsck_files(struct fsck *f, struct err *e)
{
    int r;

    r = walk(f, FSCK_BLOBS, "unreferenced", blob, e);
    if (r == 0)
        r = walk(f, "rootfs", "unreferenced", rootfs, e);
    if (r == 0)
        r = walk(f, "images", "unreferenced", images, e);
    if (r == 0)
        r = walk(f, "images/tmp", "leftover", in_work, e);
    return r < 0 ? r : walk(f, "images/partial", "leftover", in_work, e);
}
