#include "guest/files_serve.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_FOLLOWED 40 /* the kernel's limit */

/* Must be a directory: it ends in "/" or "/.". Returns the length without that. */
static size_t strip(const char *path, bool *ret_dir)
{
    size_t n = strlen(path);

    *ret_dir = false;
    for (;;) {
        if (n > 1 && path[n - 1] == '/')
            n--;
        else if (n > 1 && path[n - 1] == '.' && path[n - 2] == '/')
            n--;
        else
            break;
        *ret_dir = true;
    }
    return n;
}

const char *files_base(const char *path, char *buf, size_t size)
{
    size_t n = strlen(path), start;

    while (n > 1 && path[n - 1] == '/')
        n--;
    for (start = n; start && path[start - 1] != '/';)
        start--;
    if (n == 0 || start == n)
        return "/";
    (void)snprintf(buf, size, "%.*s", (int)(n - start), path + start);
    return buf;
}

/* Errors as the protocol has them. */
static int lookup_failed(const char *path, struct err *e)
{
    int os = e->os;

    if (os == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "%s: no such file or directory", path);
    if (os == ENOTDIR)
        return err_set(e, ERR_INVALID, "lstat %s: not a directory", path);
    return err_os_at(e, os, "lstat %s", path);
}

static int open_whole(int root, const char *shown, const char *path, struct files_at *ret,
                      struct err *e)
{
    int fd = fs_open_in_root(root, path, O_PATH | O_DIRECTORY, 0, e);

    if (fd < 0)
        return lookup_failed(shown, e);
    ret->fd = fd;
    memcpy(ret->entry, ".", 2);
    return 0;
}

int files_resolve(int root, const char *path, struct files_at *ret, struct err *e)
{
    autofree char *copy = str_format("/%s", path);
    autofd int fd = -1;
    struct stat st;
    bool is_dir;
    char *base;

    if (!copy)
        return err_os(e, "path");
    copy[strip(copy, &is_dir)] = '\0';
    base = strrchr(copy, '/') + 1;
    if (is_dir || !*base || strcmp(base, "..") == 0)
        return open_whole(root, path, copy, ret, e);
    if (strlen(base) > NAME_MAX)
        return err_set(e, ERR_INVALID, "lstat %.200s: file name too long", path);
    memcpy(ret->entry, base, strlen(base) + 1);
    *base = '\0';
    fd = fs_open_in_root(root, copy, O_PATH | O_DIRECTORY, 0, e);
    if (fd < 0)
        return lookup_failed(path, e);
    if (fstatat(fd, ret->entry, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        (void)err_os(e, "lstat");
        return lookup_failed(path, e);
    }
    ret->fd = take_fd(&fd);
    return 0;
}

/* ---- where a link leads ---------------------------------------------- */

/* `out` is a path without symbolic links. Is `out`/`name` one? */
static ssize_t read_link(int root, const char *path, char *ret, size_t size)
{
    struct err ignored;
    autofd int fd = fs_open_in_root(root, path, O_PATH | O_NOFOLLOW, 0, &ignored);
    ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", ret, size - 1);

    if (n >= 0)
        ret[n] = '\0';
    return n;
}

static void up(struct str *out)
{
    char *slash = out->len ? strrchr(out->p, '/') : NULL;

    out->len = slash ? (size_t)(slash - out->p) : 0;
    if (out->p)
        out->p[out->len] = '\0';
}

/* One component onto `out`; when it is a link, its text comes before the rest. */
static int advance(int root, struct str *out, const char *name, size_t len, char **rest,
                   struct err *e)
{
    size_t before = out->len;
    char text[PATH_MAX];
    char *next;

    if (!str_addc(out, '/') || !str_add(out, name, len))
        return err_set(e, ERR_LIMIT, "the path is too long");
    if (read_link(root, out->p, text, sizeof(text)) < 0)
        return 0;
    next = str_format("%s/%s", text, *rest);
    if (!next)
        return err_os(e, "path");
    free(*rest);
    *rest = next;
    out->len = text[0] == '/' ? 0 : before;
    out->p[out->len] = '\0';
    return 1;
}

int files_target(int root, const char *path, char **ret, struct err *e)
{
    autostr out = STR_INIT(ARCHIVE_PATH_MAX);
    autofree char *rest = strdup(path);
    unsigned links = 0;

    if (!rest)
        return err_os(e, "path");
    for (;;) {
        size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");
        autofree char *name = strndup(rest + skip, n);
        int r = 0;

        if (!name)
            return err_os(e, "path");
        memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
        if (n == 0)
            break;
        if (strcmp(name, "..") == 0)
            up(&out);
        else if (strcmp(name, ".") != 0)
            r = advance(root, &out, name, n, &rest, e);
        if (r < 0)
            return r;
        links += (unsigned)r;
        if (links > LINKS_FOLLOWED)
            return err_set(e, ERR_INVALID, "%.200s: too many levels of symbolic links", path);
    }
    if (!out.len && !str_addc(&out, '/'))
        return err_os_at(e, ENOMEM, "path");
    *ret = str_take(&out);
    return *ret ? 0 : err_os_at(e, ENOMEM, "path");
}
