#include "cli/cp.h"
#include "cli/cp_path.h"
#include "util/fd.h"
#include "util/pack.h"

#include <fcntl.h>
#include <string.h>

union path {
    const char *c;
    char *v;
};

/* ---- the other end --------------------------------------------------- */

/* A last component that is a symbolic link is followed. */
static int stat_target(struct cp *cp, struct cp_info *info, struct archive_stat *st,
                       struct err *e)
{
    int r = files_stat(cp->files, info->path, st, e);
    char *target;

    if (r < 0 || !st->target)
        return r;
    target = strdup(st->target);
    config_done(archive_stat, st);
    if (!target)
        return err_os(e, "path");
    free(info->path);
    info->path = target;
    return files_stat(cp->files, info->path, st, e);
}

/* What is not there may still be made; whether it can be turns out when it is unpacked. */
static int box_target(struct cp *cp, struct cp_info *ret, struct err *e)
{
    struct cp_info info = { .path = cp_box_path(cp->to) };
    struct archive_stat st = { 0 };
    const char *odd;
    int r = info.path ? stat_target(cp, &info, &st, e) : err_os(e, "path");

    odd = cp_odd_kind(st.mode);
    if (r == 0 && odd)
        r = err_set(e, ERR_INVALID,
                    "destination \"%s:%.300s\" must be a directory or a regular file: %s",
                    cp->box, cp->to, odd);
    else if (r == 0)
        info.exists = true;
    else if (e->kind == ERR_NOT_FOUND || e->kind == ERR_INVALID)
        r = 0;
    info.is_dir = info.exists && S_ISDIR(st.mode);
    config_done(archive_stat, &st);
    if (r < 0)
        cp_info_done(&info);
    else
        *ret = info;
    return r;
}

/* ---- sending --------------------------------------------------------- */

static int send_tar(void *ctx, const void *data, size_t len, struct err *e)
{
    struct cp *cp = ctx;

    cp->bytes += len;
    return files_send(cp->files, MSG_ARCHIVE_IN, data, len, e);
}

static int ask_put(struct cp *cp, const char *dir, struct err *e)
{
    union path path = { .c = dir };

    return files_ask(
        cp->files,
        &(struct archive_request){ .op = ARCHIVE_PUT, .path = path.v, .keep_owner = cp->archive },
        e);
}

/* Everything is sent: does it have it? */
static int finish_put(struct cp *cp, const char *dir, struct err *e)
{
    struct msg m;
    int r = files_send(cp->files, MSG_ARCHIVE_IN_END, NULL, 0, e);

    if (r == 0)
        r = files_next(cp->files, &m, e);
    if (r > 0)
        r = err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
    return r < 0 ? cp_not_found(cp, dir, e) : 0;
}

static int send_tree(struct cp *cp, const char *path, const char *name, struct err *e)
{
    autofree char *dir = NULL, *base = NULL;
    autofree struct tar_writer *w = calloc(1, sizeof(*w));
    autofree struct pack *pack = calloc(1, sizeof(*pack));
    autofd int fd = -1;
    int r = path_split(path, &dir, &base, e);

    if (r < 0)
        return r;
    if (!w || !pack)
        return err_os(e, "copy");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return path_fail("open", dir, errno, e);
    w->write = send_tar;
    w->ctx = cp;
    pack->w = w;
    r = pack_tree(pack, fd, strcmp(base, "/") == 0 ? "." : base, name, e);
    pack_done(pack);
    return r < 0 ? r : tar_write_end(w, e);
}

static int put_local(struct cp *cp, const struct cp_info *src, const struct cp_info *dst,
                     struct err *e)
{
    autofree char *dir = NULL, *name = NULL;
    int r = cp_plan(src, dst, &dir, &name, e);

    if (r == 0)
        r = ask_put(cp, dir, e);
    if (r == 0)
        r = send_tree(cp, src->path, name, e);
    return r < 0 ? cp_not_found(cp, dir ? dir : "", e) : finish_put(cp, dir, e);
}

/* Nobody at the other end decompresses. */
static int check_plain(const void *data, size_t len, struct err *e)
{
    const char *how = tar_compression(data, len);

    return how ? err_set(e, ERR_UNSUPPORTED,
                         "the archive on stdin is compressed: decompress it with %s", how)
               : 0;
}

/* A tar from stdin, as it is. */
static int put_stream(struct cp *cp, const struct cp_info *dst, struct err *e)
{
    autofree char *buf = malloc(ARCHIVE_DATA_MAX);
    ssize_t n;
    int r;

    if (!buf)
        return err_os(e, "copy");
    if (!dst->is_dir)
        return err_set(e, ERR_INVALID, "destination \"%s:%.300s\" must be a directory", cp->box,
                       cp->to);
    n = fd_read_upto(STDIN_FILENO, buf, ARCHIVE_DATA_MAX, e);
    r = n < 0 ? (int)n : check_plain(buf, (size_t)n, e);
    if (r == 0)
        r = ask_put(cp, dst->path, e);
    while (r == 0 && n > 0) {
        r = send_tar(cp, buf, (size_t)n, e);
        n = r < 0 ? 0 : fd_read_upto(STDIN_FILENO, buf, ARCHIVE_DATA_MAX, e);
        r = n < 0 ? (int)n : r;
    }
    return r < 0 ? cp_not_found(cp, dst->path, e) : finish_put(cp, dst->path, e);
}

int cp_in(struct cp *cp, struct err *e)
{
    struct cp_info src = { 0 }, dst = { 0 };
    autofree char *path = NULL;
    bool stream = strcmp(cp->from, "-") == 0;
    int r = stream ? 0 : cp_local_path(cp->from, &path, e);

    if (r == 0)
        r = box_target(cp, &dst, e);
    if (r == 0 && stream)
        r = put_stream(cp, &dst, e);
    else if (r == 0)
        r = cp_local_source(path, cp->follow, &src, e);
    if (r == 0 && !stream)
        r = put_local(cp, &src, &dst, e);
    cp_info_done(&src);
    cp_info_done(&dst);
    return r;
}
