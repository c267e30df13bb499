#include "guest/files_serve.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define OPAQUE      "trusted.overlay.opaque"
#define WHITEOUT    ".wh."
#define WHITEOUT_OP ".wh..wh..opq"

/* A directory of the writable layer, and what the image has in its place. */
struct level {
    struct level *up; /* NULL: the root */
    const char *path; /* absolute; "" for the root */
    const char *name; /* in `up` */
    int upper, lower; /* lower: -1 when the image has no directory here */
    bool is_new;      /* the image has nothing here */
    bool told;        /* this directory is reported */
    bool opaque;
};

struct changes {
    struct files *f;
    bool layer;
};

/* ---- telling --------------------------------------------------------- */

static int tell(struct changes *c, char kind, const struct level *at, const char *name,
                struct err *e)
{
    autostr text = STR_INIT(ARCHIVE_PATH_MAX + 1);

    if (!str_addf(&text, "%c%s/%s", kind, at->path, name))
        return err_set(e, ERR_LIMIT, "%.200s/%.200s: the path is too long", at->path, name);
    return files_send(c->f, MSG_ARCHIVE_CHANGE, text.p, text.len, e);
}

/* A member's name: no slash at its beginning. */
static char *member_name(const struct level *at, const char *prefix, const char *name)
{
    const char *dir = *at->path ? at->path + 1 : "";

    return str_format("%s%s%s%s", dir, *dir ? "/" : "", prefix, name);
}

static int put_empty(struct changes *c, const struct level *at, const char *prefix,
                     const char *name, struct err *e)
{
    autofree char *whole = member_name(at, prefix, name);
    struct tar_member m = { .type = TAR_FILE, .name = whole, .mode = 0600 };

    return whole ? tar_write_member(&c->f->out, &m, e) : err_os(e, "layer");
}

/* `name` of the directory `at`: added or changed. */
static int report(struct changes *c, struct level *at, const char *name, bool is_new,
                  struct err *e)
{
    autofree char *whole = NULL;

    if (!c->layer)
        return tell(c, is_new ? 'A' : 'C', at, name, e);
    whole = member_name(at, "", name);
    return whole ? pack_one(&c->f->pack, at->upper, name, whole, e) : err_os(e, "layer");
}

/* A directory comes before what is in it, once something in it has changed. */
static int report_level(struct changes *c, struct level *at, struct err *e)
{
    int r;

    if (!at->up || at->told)
        return 0;
    r = report_level(c, at->up, e);
    if (r == 0)
        r = report(c, at->up, at->name, at->is_new, e);
    if (r == 0 && c->layer && at->opaque && !at->up->opaque)
        r = put_empty(c, at, "", WHITEOUT_OP, e);
    at->told = true;
    return r;
}

static int report_entry(struct changes *c, struct level *at, const char *name, bool is_new,
                        struct err *e)
{
    int r = report_level(c, at, e);

    return r < 0 ? r : report(c, at, name, is_new, e);
}

static int report_gone(struct changes *c, struct level *at, const char *name, struct err *e)
{
    int r = report_level(c, at, e);

    if (r < 0)
        return r;
    return c->layer ? put_empty(c, at, WHITEOUT, name, e) : tell(c, 'D', at, name, e);
}

/* ---- comparing ------------------------------------------------------- */

static bool same_link(int upper, int lower, const char *name)
{
    char a[4096], b[4096];
    ssize_t n = readlinkat(upper, name, a, sizeof(a)), m = readlinkat(lower, name, b, sizeof(b));

    return n >= 0 && n == m && memcmp(a, b, (size_t)n) == 0;
}

static int read_xattrs(int dirfd, const char *name, struct str *ret, struct err *e)
{
    autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return fd < 0 ? 0 : pack_xattrs(fd, ret, e);
}

/* In the order in which the file systems have them, which a copy may change: then it is reported
 * though nothing was changed. */
static bool same_xattrs(int upper, int lower, const char *name, const struct stat *st)
{
    autostr a = STR_INIT(TAR_EXTRA_MAX), b = STR_INIT(TAR_EXTRA_MAX);
    struct err e;

    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return true;
    if (read_xattrs(upper, name, &a, &e) < 0 || read_xattrs(lower, name, &b, &e) < 0)
        return false;
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool is_same(int upper, int lower, const char *name, const struct stat *u,
                    const struct stat *l)
{
    if (u->st_mode != l->st_mode || u->st_uid != l->st_uid || u->st_gid != l->st_gid)
        return false;
    if ((S_ISCHR(u->st_mode) || S_ISBLK(u->st_mode)) && u->st_rdev != l->st_rdev)
        return false;
    if (S_ISLNK(u->st_mode) && !same_link(upper, lower, name))
        return false;
    if (!S_ISDIR(u->st_mode) &&
        (u->st_size != l->st_size || u->st_mtim.tv_sec != l->st_mtim.tv_sec ||
         u->st_mtim.tv_nsec != l->st_mtim.tv_nsec))
        return false;
    return same_xattrs(upper, lower, name, u);
}

static bool is_opaque(int dirfd)
{
    char value[4];

    return fgetxattr(dirfd, OPAQUE, value, sizeof(value)) == 1 && value[0] == 'y';
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* ---- walking --------------------------------------------------------- */

static int walk_names(struct changes *c, struct level *at, const struct pack_names *names,
                      struct err *e);

static bool has_name(const struct pack_names *names, const char *name)
{
    size_t low = 0, high = names->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(names->v[mid], name);

        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* A directory that hides what the image has in it: that is gone but for what is there again. */
static int walk_hidden(struct changes *c, struct level *at, const struct pack_names *names,
                       struct err *e)
{
    struct pack_names old = { 0 };
    int r = 0;

    if (c->layer || at->lower < 0)
        return 0; /* the layer's whiteout says it */
    r = pack_list(at->lower, ".", &old, e);
    for (size_t i = 0; r == 0 && i < old.n; i++)
        if (!has_name(names, old.v[i]))
            r = report_gone(c, at, old.v[i], e);
    pack_names_done(&old);
    return r;
}

static int walk_level(struct changes *c, struct level *at, struct err *e)
{
    struct pack_names names = { 0 };
    int r = pack_list(at->upper, ".", &names, e);

    if (r == 0 && at->opaque)
        r = walk_hidden(c, at, &names, e);
    if (r == 0)
        r = walk_names(c, at, &names, e);
    pack_names_done(&names);
    return r;
}

/* A directory of the upper layer. `changed`: by itself, whatever is in it. */
static int walk_dir(struct changes *c, struct level *up, const char *name, bool is_new,
                    bool changed, struct err *e)
{
    autofree char *path = str_format("%s/%s", up->path, name);
    autofd int upper = openat(up->upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    autofd int lower = -1;
    struct level at = { .up = up, .path = path, .name = name, .is_new = is_new };
    int r;

    if (!path || (upper < 0 && errno != ENOENT && errno != ENOTDIR))
        return err_os(e, "%s/%s", up->path, name);
    if (upper < 0)
        return 0; /* it has gone meanwhile */
    if (up->lower >= 0)
        lower = openat(up->lower, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    at.upper = upper;
    at.lower = lower;
    at.opaque = lower >= 0 && (up->opaque || is_opaque(upper)); /* and all that is in it */
    r = changed || at.opaque ? report_level(c, &at, e) : 0;
    return r < 0 ? r : walk_level(c, &at, e);
}

static int walk_entry(struct changes *c, struct level *at, const char *name, struct err *e)
{
    struct stat u, l = { 0 };
    bool in_image, same;

    if (fstatat(at->upper, name, &u, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_os(e, "%s/%s", at->path, name);
    in_image = at->lower >= 0 && fstatat(at->lower, name, &l, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_whiteout(&u))
        return in_image ? report_gone(c, at, name, e) : 0;
    same = in_image && is_same(at->upper, at->lower, name, &u, &l);
    if (S_ISDIR(u.st_mode))
        return walk_dir(c, at, name, !in_image, !same, e);
    /* what an opaque directory hides has to be said again in the layer */
    return same && !(c->layer && at->opaque) ? 0 : report_entry(c, at, name, !in_image, e);
}

static int walk_names(struct changes *c, struct level *at, const struct pack_names *names,
                      struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < names->n; i++)
        r = walk_entry(c, at, names->v[i], e);
    return r;
}

int files_changes(struct files *f, bool layer, struct err *e)
{
    struct changes c = { .f = f, .layer = layer };
    struct level root = { .path = "", .name = "", .upper = f->upper, .lower = f->lower };

    if (f->upper < 0)
        return err_set(e, ERR_UNSUPPORTED, "the box has no writable layer");
    return walk_level(&c, &root, e);
}

/* ---- the base layer -------------------------------------------------- */

static bool is_there(int layer, const char *path)
{
    struct err ignored;
    autofd int fd =
        layer < 0 ? -1 : fs_open_no_links(layer, path, O_PATH | O_NOFOLLOW, 0, &ignored);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && !is_whiteout(&st);
}

bool files_only_base(const struct files *f, const char *path)
{
    return *path && is_there(f->base, path) && !is_there(f->lower, path) &&
           !is_there(f->upper, path);
}
