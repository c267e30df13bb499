#include "guest/place.h"

#include "util/fs.h"
#include "util/own.h"
#include "util/str.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 64 /* components made and dangling links followed */

struct place {
    int rootfd;
    bool dir;
    int depth;
};

static int place_open(struct place *p, const char *path, bool dir, struct err *e);

/* `base` is a dangling symlink in the directory `parent`: go on with what it says. */
static int place_link(struct place *p, const char *parent, int parent_fd, const char *base,
                      struct err *e)
{
    bool dir = p->dir;
    char link[PATH_MAX];
    ssize_t n = readlinkat(parent_fd, base, link, sizeof(link) - 1);
    autofree char *next = NULL;

    if (n < 0)
        return err_set(e, ERR_INVALID, "%s/%s is not a %s", parent, base,
                       dir ? "directory" : "file");
    link[n] = '\0';
    next = link[0] == '/' ? strdup(link) : str_format("%s/%s", parent, link);
    if (!next)
        return err_os(e, "path");
    return place_open(p, next, dir, e);
}

static int place_make(struct place *p, const char *path, bool dir, struct err *e)
{
    autofree char *parent = strdup(path);
    autofd int parent_fd = -1, fd = -1;
    char *base;

    if (!parent)
        return err_os(e, "path");
    for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
        parent[n - 1] = '\0';
    base = strrchr(parent, '/');
    if (!base || !base[1])
        return err_set(e, ERR_INVALID, "bad path");
    *base++ = '\0';
    parent_fd = place_open(p, parent, true, e);
    if (parent_fd < 0)
        return parent_fd;
    if (dir ? mkdirat(parent_fd, base, 0755) < 0
            : (fd = openat(parent_fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           0644)) < 0) {
        p->dir = dir;
        return errno == EEXIST ? place_link(p, parent, parent_fd, base, e)
                               : err_os(e, "create %s", path);
    }
    return fs_open_beneath(parent_fd, base, O_PATH | O_NOFOLLOW | (dir ? O_DIRECTORY : 0), 0, e);
}

static int place_open(struct place *p, const char *path, bool dir, struct err *e)
{
    int fd;

    if (p->depth++ > DEPTH_MAX)
        return err_set(e, ERR_INVALID, "too many levels");
    fd = fs_open_in_root(p->rootfd, *path ? path : "/", O_PATH | (dir ? O_DIRECTORY : 0), 0, e);
    if (fd >= 0 || e->os != ENOENT || !*path)
        return fd;
    err_clear(e);
    return place_make(p, path, dir, e);
}

int place_dir(int rootfd, const char *path, struct err *e)
{
    struct place p = { .rootfd = rootfd };
    int fd = path[0] == '/' ? place_open(&p, path, true, e)
                            : err_set(e, ERR_INVALID, "path is not absolute");

    return fd < 0 ? err_ctx(e, "mount point %s", path) : fd;
}

int place_file(int rootfd, const char *path, struct err *e)
{
    struct place p = { .rootfd = rootfd };
    autofd int fd = path[0] == '/' ? place_open(&p, path, false, e)
                                   : err_set(e, ERR_INVALID, "path is not absolute");
    struct stat st;

    if (fd < 0)
        return err_ctx(e, "mount point %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "mount point %s: not a regular file in the image", path);
    return take_fd(&fd);
}
