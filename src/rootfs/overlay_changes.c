#include "rootfs/overlay_changes.h"

#include "rootfs/overlay_internal.h"
#include "rootfs/tree.h"

#include <string.h>

struct changes {
    struct overlay *o;
    struct overlay_tar *tar; /* a layer is made, or NULL: they are reported */
    overlay_change_fn *take;
    void *ctx;
    uint64_t entries_n;
    char path[OVERLAY_PATH_MAX];
};

/* A directory being compared. */
struct frame {
    struct frame *up; /* NULL for the root */
    ext2_ino_t upper;
    ext2_ino_t lower; /* what the image has there, 0: no directory */
    bool hides;       /* the image's content is not seen through it */
    bool told;        /* it has been reported, or need not be */
    unsigned depth;
    size_t len; /* of its path */
};

/* ---- does it differ? --------------------------------------------------- */

struct sum {
    uint64_t fnv;
    uint32_t crc;
};

static int add_sum(void *ctx, const void *data, size_t len, struct err *e UNUSED)
{
    struct sum *s = ctx;
    const uint8_t *p = data;

    s->crc = ext2fs_crc32c_le(s->crc, p, len);
    for (size_t i = 0; i < len; i++)
        s->fnv = (s->fnv ^ p[i]) * UINT64_C(0x100000001b3);
    return 0;
}

static int same_data(struct overlay *o, ext2_ino_t upper, ext2_ino_t lower, struct err *e)
{
    struct sum a = { UINT64_C(0xcbf29ce484222325), ~0u }, b = a;
    int r = overlay_read(o, (struct overlay_ref){ .upper = upper }, add_sum, &a, e);

    if (r == 0)
        r = overlay_read(o, (struct overlay_ref){ .lower = lower }, add_sum, &b, e);
    return r < 0 ? r : a.fnv == b.fnv && a.crc == b.crc;
}

static int same_target(struct overlay *o, ext2_ino_t upper, ext2_ino_t lower, struct err *e)
{
    autostr a = STR_INIT(OVERLAY_PATH_MAX), b = STR_INIT(OVERLAY_PATH_MAX);
    int r = overlay_target(o, (struct overlay_ref){ .upper = upper }, &a, e);

    if (r == 0)
        r = overlay_target(o, (struct overlay_ref){ .lower = lower }, &b, e);
    return r < 0 ? r : strcmp(str_c(&a), str_c(&b)) == 0;
}

struct lookup {
    const struct xattr *list;
    size_t n;
    bool same;
};

static int compare_xattr(void *ctx, const char *name, const void *value, size_t size,
                         struct err *e UNUSED)
{
    struct lookup *l = ctx;
    const struct xattr *x = l->list;

    while (x && strcmp(x->name, name) != 0)
        x = x->next;
    l->n++;
    if (!x || x->size != size || memcmp(x->value, value, size) != 0)
        l->same = false;
    return 0;
}

static int same_xattrs(struct overlay *o, ext2_ino_t upper, ext2_ino_t lower, struct err *e)
{
    autoptr(inode) holder = inode_new(S_IFREG);
    struct lookup l = { .same = true };
    int r;

    if (!holder)
        return err_os(e, "extended attributes");
    r = overlay_xattrs(o, (struct overlay_ref){ .upper = upper }, overlay_keep_xattr, holder, e);
    l.list = holder->xattrs;
    if (r == 0)
        r = overlay_xattrs(o, (struct overlay_ref){ .lower = lower }, compare_xattr, &l, e);
    for (const struct xattr *x = l.list; x; x = x->next)
        l.n--;
    return r < 0 ? r : l.same && l.n == 0;
}

static bool same_stat(const struct overlay_stat *a, const struct overlay_stat *b)
{
    if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
        a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor)
        return false;
    return S_ISDIR(a->mode) ||
           (a->size == b->size && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns);
}

static int same(struct overlay *o, ext2_ino_t upper, ext2_ino_t lower, struct err *e)
{
    struct overlay_stat a, b;
    int r = overlay_stat(o, (struct overlay_ref){ .upper = upper }, &a, e);

    if (r == 0)
        r = overlay_stat(o, (struct overlay_ref){ .lower = lower }, &b, e);
    if (r < 0 || !same_stat(&a, &b))
        return r;
    r = same_xattrs(o, upper, lower, e);
    if (r <= 0)
        return r;
    if (S_ISREG(a.mode))
        return same_data(o, upper, lower, e);
    return S_ISLNK(a.mode) ? same_target(o, upper, lower, e) : 1;
}

/* ---- telling ----------------------------------------------------------- */

static int put_name(struct changes *c, const struct frame *f, const char *name, struct err *e)
{
    size_t len = strlen(name);

    if (f->len + len + 2 > sizeof(c->path))
        return err_set(e, ERR_LIMIT, "a path is longer than %d bytes", OVERLAY_PATH_MAX);
    c->path[f->len] = '/';
    memcpy(c->path + f->len + 1, name, len + 1);
    return 0;
}

/* c->path, of the upper file system. */
static int tell_one(struct changes *c, char kind, ext2_ino_t upper, struct err *e)
{
    return c->tar
               ? overlay_tar_add(c->tar, (struct overlay_ref){ .upper = upper }, c->path + 1, e)
               : c->take(c->ctx, kind, c->path, e);
}

/* The directories above, as far as they have not been told. */
static int tell_parents(struct changes *c, struct frame *f, struct err *e)
{
    char kept;
    int r;

    if (f->told)
        return 0;
    f->told = true;
    r = tell_parents(c, f->up, e);
    kept = c->path[f->len];
    c->path[f->len] = '\0';
    if (r == 0)
        r = tell_one(c, 'C', f->upper, e);
    c->path[f->len] = kept;
    return r;
}

static int tell(struct changes *c, struct frame *f, char kind, ext2_ino_t upper, struct err *e)
{
    int r = tell_parents(c, f, e);

    return r < 0 ? r : tell_one(c, kind, upper, e);
}

static int tell_gone(struct changes *c, struct frame *f, const char *name, struct err *e)
{
    autofree char *mark = str_format(".wh.%s", name);
    int r = mark ? tell_parents(c, f, e) : err_os(e, "changes");

    if (r == 0)
        r = put_name(c, f, c->tar ? mark : name, e);
    if (r < 0)
        return r;
    return c->tar ? overlay_tar_mark(c->tar, c->path + 1, e) : c->take(c->ctx, 'D', c->path, e);
}

static int tell_opaque(struct changes *c, struct frame *f, struct err *e)
{
    int r = put_name(c, f, ".wh..wh..opq", e);

    return r < 0 ? r : overlay_tar_mark(c->tar, c->path + 1, e);
}

/* ---- the walk ---------------------------------------------------------- */

static int change_dir(struct changes *c, struct frame *f, struct err *e);

/* c->path is the directory's, `lower` what the image has in its place, directory or not. */
static int enter(struct changes *c, struct frame *up, ext2_ino_t upper, ext2_ino_t lower,
                 struct err *e)
{
    struct frame f = { .up = up, .upper = upper, .depth = up->depth + 1 };
    struct overlay_stat st = { 0 };
    int opaque = raw_opaque(c->o->upper, upper, e), r = 0;

    f.len = strlen(c->path);
    if (opaque >= 0 && lower)
        r = overlay_stat(c->o, (struct overlay_ref){ .lower = lower }, &st, e);
    if (opaque < 0 || r < 0)
        return opaque < 0 ? opaque : r;
    if (f.depth == OVERLAY_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "more than %d directories in each other", OVERLAY_DEPTH_MAX);
    f.lower = S_ISDIR(st.mode) ? lower : 0;
    f.hides = f.lower && (opaque || up->hides);
    if (!f.lower || (c->tar && f.hides)) {
        r = tell(c, up, lower ? 'C' : 'A', upper, e);
        f.told = true;
    } else {
        r = same(c->o, upper, lower, e);
        if (r == 0) {
            r = tell(c, up, 'C', upper, e);
            f.told = true;
        }
    }
    if (r >= 0 && c->tar && f.hides) {
        r = tell_opaque(c, &f, e);
        f.lower = 0; /* whatever there is, is new */
        f.hides = false;
    }
    return r < 0 ? r : change_dir(c, &f, e);
}

static int change_entry(struct changes *c, struct frame *f, const struct raw_entry *entry,
                        struct err *e)
{
    struct overlay_stat st;
    ext2_ino_t lower = 0;
    int r = 0;

    if (++c->entries_n > OVERLAY_ENTRIES_MAX)
        return err_set(e, ERR_LIMIT, "more than %u files", OVERLAY_ENTRIES_MAX);
    if (f->lower)
        r = raw_lookup(c->o->lower, f->lower, entry->name, strlen(entry->name), &lower, e);
    if (r >= 0)
        r = overlay_stat(c->o, (struct overlay_ref){ .upper = entry->ino }, &st, e);
    if (r >= 0)
        r = put_name(c, f, entry->name, e);
    if (r < 0)
        return r;
    if (stat_is_whiteout(&st))
        return lower ? tell_gone(c, f, entry->name, e) : 0;
    if (S_ISDIR(st.mode))
        return enter(c, f, entry->ino, lower, e);
    if (lower) {
        r = same(c->o, entry->ino, lower, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return tell(c, f, lower ? 'C' : 'A', entry->ino, e);
}

static int compare_names(const void *key, const void *row)
{
    return strcmp(key, ((const struct raw_entry *)row)->name);
}

/* What the image has in a directory that hides it, and the box has not. */
static int change_hidden(struct changes *c, struct frame *f, const struct raw_list *upper,
                         struct err *e)
{
    struct raw_list lower;
    int r = raw_list(c->o->lower, f->lower, &lower, e);

    for (size_t i = 0; r == 0 && i < lower.n; i++)
        if (!upper->n ||
            !bsearch(lower.v[i].name, upper->v, upper->n, sizeof(*upper->v), compare_names))
            r = tell_gone(c, f, lower.v[i].name, e);
    raw_list_done(&lower);
    return r;
}

static int change_dir(struct changes *c, struct frame *f, struct err *e)
{
    struct raw_list upper;
    int r = raw_list(c->o->upper, f->upper, &upper, e);

    if (r == 0 && f->hides)
        r = change_hidden(c, f, &upper, e);
    for (size_t i = 0; r == 0 && i < upper.n; i++)
        r = change_entry(c, f, &upper.v[i], e);
    raw_list_done(&upper);
    return r;
}

static int changes(struct changes *c, struct err *e)
{
    struct frame root = { .upper = c->o->upper_root, .lower = EXT2_ROOT_INO, .told = true };

    return change_dir(c, &root, e);
}

int overlay_changes(struct overlay *o, overlay_change_fn *take, void *ctx, struct err *e)
{
    autofree struct changes *c = calloc(1, sizeof(*c));

    if (!c)
        return err_os(e, "changes");
    c->o = o;
    c->take = take;
    c->ctx = ctx;
    return changes(c, e);
}

int overlay_layer(struct overlay *o, struct overlay_tar *t, struct err *e)
{
    autofree struct changes *c = calloc(1, sizeof(*c));

    if (!c)
        return err_os(e, "changes");
    c->o = o;
    c->tar = t;
    return changes(c, e);
}
