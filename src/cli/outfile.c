#include "cli/outfile.h"

#include "util/fd.h"
#include "util/fs.h"
#include "util/id.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MODE 0600 /* docker's; an image may hold secrets */

struct outfile {
    int fd;
    int dirfd;    /* where it will be; -1: it is what it is */
    char *name;   /* in there */
    char tmp[32]; /* its name until then; "" when it has none */
};

static int open_stdout(struct outfile *f, struct err *e)
{
    if (isatty(STDOUT_FILENO))
        return err_set(e, ERR_INVALID,
                       "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    f->fd = fd_dup(STDOUT_FILENO, e);
    return f->fd < 0 ? f->fd : 0;
}

static int split_path(struct outfile *f, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    autofree char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

    f->name = strdup(slash ? slash + 1 : path);
    if (!dir || !f->name)
        return err_os(e, "%s", path);
    if (!f->name[0])
        return err_set(e, ERR_INVALID, "'%s' is a directory", path);
    f->dirfd = fs_open_dir(AT_FDCWD, dir, e);
    return f->dirfd < 0 ? f->dirfd : 0;
}

static int tmp_name(struct outfile *f, struct err *e)
{
    char id[ID_LEN];
    int r = id_random(id, e);

    if (r == 0)
        (void)snprintf(f->tmp, sizeof(f->tmp), ".save-%.16s", id);
    return r;
}

static int open_file(struct outfile *f, const char *path, struct err *e)
{
    struct stat st;
    int r;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (f->fd >= 0 && isatty(f->fd))
            return err_set(e, ERR_INVALID, "'%s' is a terminal", path);
        return f->fd < 0 ? err_os(e, "open %s", path) : 0;
    }
    r = split_path(f, path, e);
    if (r < 0)
        return r;
    f->fd = openat(f->dirfd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, MODE);
    if (f->fd >= 0)
        return 0;
    r = tmp_name(f, e);
    if (r < 0)
        return r;
    f->fd = openat(f->dirfd, f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
    if (f->fd >= 0)
        return 0;
    f->tmp[0] = '\0';
    return err_os(e, "create %s", path);
}

int outfile_open(const char *path, struct outfile **ret, struct err *e)
{
    autoptr(outfile) f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return err_os(e, "save");
    f->fd = f->dirfd = -1;
    r = !path || strcmp(path, "-") == 0 ? open_stdout(f, e) : open_file(f, path, e);
    if (r == 0)
        *ret = take_ptr(f);
    return r;
}

int outfile_fd(const struct outfile *f)
{
    return f->fd;
}

/* A file without a name gets one: its own when that is free, else a temporary one. */
static int give_name(struct outfile *f, struct err *e)
{
    char self[32];
    int r;

    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
    if (linkat(AT_FDCWD, self, f->dirfd, f->name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST)
        return err_os(e, "create %s", f->name);
    r = tmp_name(f, e);
    if (r < 0)
        return r;
    if (linkat(AT_FDCWD, self, f->dirfd, f->tmp, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    f->tmp[0] = '\0';
    return err_os(e, "create %s", f->name);
}

int outfile_finish(struct outfile *f, struct err *e)
{
    int r;

    if (f->dirfd < 0)
        return 0;
    r = f->tmp[0] ? 0 : give_name(f, e);
    if (r < 0 || !f->tmp[0])
        return r;
    if (renameat(f->dirfd, f->tmp, f->dirfd, f->name) < 0)
        return err_os(e, "create %s", f->name);
    f->tmp[0] = '\0';
    return 0;
}

void outfile_free(struct outfile *f)
{
    if (!f)
        return;
    if (f->tmp[0])
        (void)unlinkat(f->dirfd, f->tmp, 0); /* nothing else can be done about it */
    close_fd(&f->fd);
    close_fd(&f->dirfd);
    free(f->name);
    free(f);
}
