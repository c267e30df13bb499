#include "cli/cp.h"
#include "cli/cp_path.h"
#include "util/fd.h"
#include "util/unpack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* As docker's ValidateOutputPath(). */
static int check_output(const char *path, struct err *e)
{
    autofree char *clean = path_clean(path), *dir = NULL, *base = NULL;
    const char *odd;
    struct stat st;
    int r = clean ? path_split(clean, &dir, &base, e) : err_os(e, "path");

    if (r < 0)
        return r;
    if (stat(dir, &st) < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "invalid output path: directory \"%s\" does not exist",
                       dir);
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : path_fail("stat", path, errno, e);
    odd = cp_odd_kind(st.st_mode);
    if (odd)
        return err_set(e, ERR_INVALID,
                       "invalid output path: \"%.300s\" must be a directory or a "
                       "regular file: %s",
                       path, odd);
    return 0;
}

/* The source in the box; with -L what its link leads to. */
static int box_source(struct cp *cp, struct cp_info *ret, struct err *e)
{
    struct cp_info info = { .path = cp_box_path(cp->from) };
    struct archive_stat st = { 0 };
    int r = info.path ? files_stat(cp->files, info.path, &st, e) : err_os(e, "path");

    if (r == 0 && cp->follow && st.target) {
        char *path = NULL;

        r = cp_follow(info.path, st.target, &path, &info.rebase, e);
        if (r == 0) {
            free(info.path);
            info.path = path;
            config_done(archive_stat, &st);
            r = files_stat(cp->files, info.path, &st, e);
        }
    }
    info.exists = r == 0;
    info.is_dir = r == 0 && S_ISDIR(st.mode);
    config_done(archive_stat, &st);
    if (r < 0) {
        r = cp_not_found(cp, cp->from, e);
        cp_info_done(&info);
    } else {
        *ret = info;
    }
    return r;
}

static int ask_get(struct cp *cp, const char *path, const char *name, struct err *e)
{
    union {
        const char *c;
        char *v;
    } p = { .c = path }, n = { .c = name };

    return files_ask(cp->files,
                     &(struct archive_request){ .op = ARCHIVE_GET, .path = p.v, .name = n.v }, e);
}

static int to_stdout(struct cp *cp, const struct cp_info *src, struct err *e)
{
    autofree char *name = src->rebase ? strdup(src->rebase) : path_base(src->path);
    int r = name ? ask_get(cp, src->path, name, e) : err_os(e, "path");

    if (r == 0)
        r = files_copy_out(cp->files, STDOUT_FILENO, e);
    return r < 0 ? cp_not_found(cp, cp->from, e) : 0;
}

static int receive(struct cp *cp, struct unpack *u, struct err *e)
{
    struct msg m;
    int r;

    while ((r = files_next(cp->files, &m, e)) > 0) {
        if (m.type == MSG_ARCHIVE_STAT)
            continue;
        if (m.type != MSG_ARCHIVE_OUT)
            return err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
        cp->bytes += m.len;
        r = unpack_data(u, m.data, m.len, e);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = unpack_end(u, e);
    if (r == 0 && !unpack_any(u))
        r = err_set(e, ERR_CORRUPT, "the box sent nothing");
    return r;
}

/* Whoever is not root cannot give files away: then they are the user's, as with cp -a. */
static int unpack_to(struct cp *cp, const struct cp_info *src, const char *dir, const char *name,
                     struct err *e)
{
    bool whole = strcmp(name, ".") == 0 || strcmp(name, "/") == 0;
    autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct unpack_how how = {
        .root_fd = fd,
        .shown = dir,
        .only = whole ? NULL : name,
        .owner = cp->archive && geteuid() == 0,
        .keep_owner = true,
        .special = cp->archive,
    };
    autoptr(unpack) u = NULL;
    int r;

    if (fd < 0)
        return path_fail("open", dir, errno, e);
    r = unpack_new(&how, &u, e);
    if (r == 0)
        r = ask_get(cp, src->path, name, e);
    return r < 0 ? r : receive(cp, u, e);
}

static int to_local(struct cp *cp, const struct cp_info *src, const char *path, struct err *e)
{
    struct cp_info dst = { 0 };
    autofree char *dir = NULL, *name = NULL;
    int r = cp_local_target(path, &dst, e);

    if (r == 0)
        r = cp_plan(src, &dst, &dir, &name, e);
    if (r == 0)
        r = unpack_to(cp, src, dir, name, e);
    cp_info_done(&dst);
    return r;
}

int cp_out(struct cp *cp, struct err *e)
{
    bool stream = strcmp(cp->to, "-") == 0;
    struct cp_info src = { 0 };
    autofree char *path = NULL;
    int r = stream ? 0 : cp_local_path(cp->to, &path, e);

    if (r == 0 && !stream)
        r = check_output(path, e);
    if (r == 0)
        r = box_source(cp, &src, e);
    if (r == 0)
        r = stream ? to_stdout(cp, &src, e) : to_local(cp, &src, path, e);
    cp_info_done(&src);
    return r;
}
