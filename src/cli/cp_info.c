#include "cli/cp.h"
#include "cli/cp_path.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_FOLLOWED 10 /* as docker */

void cp_info_done(struct cp_info *info)
{
    free(info->path);
    free(info->rebase);
    *info = (struct cp_info){ 0 };
}

char *cp_box_path(const char *path)
{
    autofree char *whole = str_format("/%s", path), *clean = whole ? path_clean(whole) : NULL;

    return clean ? path_keep_end(clean, path) : NULL;
}

int cp_not_found(const struct cp *cp, const char *path, struct err *e)
{
    if (e->kind != ERR_NOT_FOUND)
        return -(int)e->kind;
    return err_set(e, ERR_NOT_FOUND, "Could not find the file %.300s in container %s", path,
                   cp->box);
}

const char *cp_odd_kind(uint64_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFCHR:
    case S_IFBLK:
        return "got a device";
    case S_IFIFO:
    case S_IFSOCK:
        return "got an irregular file";
    default:
        return NULL;
    }
}

int cp_local_path(const char *path, char **ret, struct err *e)
{
    autofree char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0), *whole = NULL, *clean = NULL;

    if (path[0] != '/' && !cwd)
        return err_os(e, "working directory");
    whole = str_format("%s/%s", cwd ? cwd : "", path);
    clean = whole ? path_clean(whole) : NULL;
    *ret = clean ? path_keep_end(clean, path) : NULL;
    return *ret ? 0 : err_os(e, "path");
}

/* ---- sources --------------------------------------------------------- */

/* The name by which an archive is known whose source was found through a link. */
static int rebase_name(const char *asked, const char *found, char **ret, struct err *e)
{
    autofree char *a = path_base(asked), *b = path_base(found);

    if (!a || !b)
        return err_os(e, "path");
    *ret = strcmp(a, b) == 0 ? NULL : take_ptr(a);
    return 0;
}

int cp_follow(const char *link, const char *target, char **ret_path, char **ret_rebase,
              struct err *e)
{
    autofree char *path = path_keep_end(target, link);
    int r = path ? rebase_name(link, path, ret_rebase, e) : err_os(e, "path");

    if (r == 0)
        *ret_path = take_ptr(path);
    return r;
}

/* Links on the way are resolved, the last element is not. */
static int resolve_parent(const char *path, struct cp_info *info, struct err *e)
{
    const char *slash = strrchr(path, '/');
    autofree char *dir = strndup(path, (size_t)(slash - path) + 1), *real = NULL;
    int r = dir ? path_resolve(dir, &real, e) : err_os(e, "path");

    if (r < 0)
        return r;
    info->path = str_format("%s/%s", real, slash + 1);
    if (!info->path)
        return err_os(e, "path");
    return path_ends_in_slash(path) ? rebase_name(path, info->path, &info->rebase, e) : 0;
}

int cp_local_source(const char *path, bool follow, struct cp_info *ret, struct err *e)
{
    struct cp_info info = { 0 };
    autofree char *real = NULL;
    struct stat st;
    int r;

    if (follow) {
        r = path_resolve(path, &real, e);
        if (r == 0)
            r = cp_follow(path, real, &info.path, &info.rebase, e);
    } else {
        r = resolve_parent(path, &info, e);
    }
    if (r == 0 && lstat(info.path, &st) < 0)
        r = path_fail("lstat", info.path, errno, e);
    if (r < 0) {
        cp_info_done(&info);
        return r;
    }
    info.exists = true;
    info.is_dir = S_ISDIR(st.st_mode);
    *ret = info;
    return 0;
}

/* ---- targets --------------------------------------------------------- */

/* What a symbolic link says, seen from where it is. */
static char *read_target(const char *path)
{
    char text[PATH_MAX];
    ssize_t n = readlink(path, text, sizeof(text) - 1);
    autofree char *dir = NULL, *base = NULL, *joined = NULL;
    struct err e;

    if (n < 0)
        return NULL;
    text[n] = '\0';
    if (text[0] == '/')
        return strdup(text);
    if (path_split(path, &dir, &base, &e) < 0)
        return NULL;
    joined = str_format("%s/%s", dir, text);
    return joined ? path_clean(joined) : NULL;
}

/* Not there: it can be made when its directory is. */
static int check_parent(const char *path, struct err *e)
{
    autofree char *dir = NULL, *base = NULL;
    struct stat st;
    int r = path_split(path, &dir, &base, e);

    if (r < 0)
        return r;
    if (stat(dir, &st) < 0)
        return path_fail("stat", dir, errno, e);
    return S_ISDIR(st.st_mode) ? 0 : err_set(e, ERR_INVALID, "not a directory");
}

int cp_local_target(const char *path, struct cp_info *ret, struct err *e)
{
    struct cp_info info = { .path = strdup(path) };
    struct stat st;
    int r = 0, os = 0;

    for (int links = 0; r == 0 && info.path; links++) {
        char *next;

        os = lstat(info.path, &st) < 0 ? errno : 0;
        if (os || !S_ISLNK(st.st_mode))
            break;
        if (links > LINKS_FOLLOWED)
            r = err_set(e, ERR_INVALID, "too many symlinks in %.300s", path);
        next = read_target(info.path);
        free(info.path);
        info.path = next;
    }
    if (r == 0 && !info.path)
        r = err_os_at(e, ENOMEM, "%.300s", path);
    if (r == 0 && os && os != ENOENT)
        r = path_fail("lstat", info.path, os, e);
    if (r == 0 && os)
        r = check_parent(info.path, e);
    if (r < 0) {
        cp_info_done(&info);
        return r;
    }
    info.exists = os == 0;
    info.is_dir = info.exists && S_ISDIR(st.st_mode);
    *ret = info;
    return 0;
}

/* ---- both ------------------------------------------------------------ */

static int plan(const struct cp_info *src, const struct cp_info *dst, const char *dst_dir,
                const char *dst_base, char **ret_dir, char **ret_name, struct err *e)
{
    autofree char *src_dir = NULL, *src_base = NULL;
    int r = path_split(src->path, &src_dir, &src_base, e);

    if (r < 0)
        return r;
    if (dst->exists && dst->is_dir) {
        *ret_dir = strdup(dst->path);
        *ret_name = strdup(src->rebase ? src->rebase : src_base);
    } else if (dst->exists && src->is_dir) {
        return err_set(e, ERR_INVALID, "cannot copy directory");
    } else if (!dst->exists && !src->is_dir && path_asks_dir(dst->path)) {
        return err_set(e, ERR_INVALID, "no such directory");
    } else {
        *ret_dir = strdup(dst_dir);
        *ret_name = strdup(dst_base);
    }
    return *ret_dir && *ret_name ? 0 : err_os(e, "path");
}

int cp_plan(const struct cp_info *src, const struct cp_info *dst, char **ret_dir, char **ret_name,
            struct err *e)
{
    autofree char *dir = NULL, *base = NULL;
    int r = path_split(dst->path, &dir, &base, e);

    return r < 0 ? r : plan(src, dst, dir, base, ret_dir, ret_name, e);
}
