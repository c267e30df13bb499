/* One of the two file systems: inodes, directories, attributes. */
#include "rootfs/overlay_internal.h"

#include <string.h>
#include <sys/stat.h>

#define LIST_MAX   OVERLAY_ENTRIES_MAX
#define EPOCH_BITS 0x3u

int overlay_fail(struct err *e, errcode_t code, const char *what)
{
    /* libext2fs mixes errno values with its own codes, which begin high above them. */
    if (code > 0 && code < 4096)
        return err_os_at(e, (int)code, "disk: %s", what);
    if (code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL)
        return err_os_at(e, ENOSPC, "disk: %s", what);
    if (code == EXT2_ET_NO_MEMORY)
        return err_os_at(e, ENOMEM, "disk: %s", what);
    return err_set(e, ERR_CORRUPT, "disk: %s: %s", what, error_message(code));
}

int raw_read(ext2_filsys fs, ext2_ino_t ino, union raw_inode *ret, struct err *e)
{
    errcode_t code;

    memset(ret, 0, sizeof(*ret));
    code = ext2fs_read_inode_full(fs, ino, &ret->small, sizeof(*ret));
    return code ? overlay_fail(e, code, "inode") : 0;
}

static void device(const union raw_inode *raw, struct overlay_stat *ret)
{
    uint32_t old = raw->small.i_block[0], big = raw->small.i_block[1];

    if (old) {
        ret->rdev_major = (old >> 8) & 0xff;
        ret->rdev_minor = old & 0xff;
    } else {
        ret->rdev_major = (big >> 8) & 0xfff;
        ret->rdev_minor = (big & 0xff) | ((big >> 12) & 0xfff00);
    }
}

void raw_stat(const union raw_inode *raw, struct overlay_stat *ret)
{
    const struct ext2_inode_large *i = &raw->large;

    *ret = (struct overlay_stat){
        .mode = i->i_mode,
        .uid = i->i_uid | (uint32_t)i->i_uid_high << 16,
        .gid = i->i_gid | (uint32_t)i->i_gid_high << 16,
        .links = i->i_links_count,
        .size = EXT2_I_SIZE(&raw->small),
        .mtime_s = (int32_t)i->i_mtime,
    };
    if (i->i_extra_isize >=
        offsetof(struct ext2_inode_large, i_mtime_extra) + 4 - EXT2_GOOD_OLD_INODE_SIZE) {
        ret->mtime_s += (int64_t)(i->i_mtime_extra & EPOCH_BITS) << 32;
        ret->mtime_ns = i->i_mtime_extra >> 2;
    }
    if (ret->mtime_ns > 999999999)
        ret->mtime_ns = 0;
    if (S_ISCHR(ret->mode) || S_ISBLK(ret->mode))
        device(raw, ret);
}

bool stat_is_whiteout(const struct overlay_stat *st)
{
    return S_ISCHR(st->mode) && st->rdev_major == 0 && st->rdev_minor == 0;
}

/* ---- directories ------------------------------------------------------- */

struct listing {
    struct raw_list *list;
    bool full, no_memory;
};

static int take_entry(ext2_ino_t dir UNUSED, int kind, struct ext2_dir_entry *d,
                      int offset UNUSED, int size UNUSED, char *buf UNUSED, void *ctx)
{
    struct listing *l = ctx;
    struct raw_list *list = l->list;
    size_t len = (size_t)ext2fs_dirent_name_len(d);

    if (kind != DIRENT_OTHER_FILE || len == 0 || d->inode == 0 || memchr(d->name, '/', len) ||
        memchr(d->name, '\0', len))
        return 0;
    if (list->n == LIST_MAX) {
        l->full = true;
        return DIRENT_ABORT;
    }
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 32;
        void *more = reallocarray(list->v, cap, sizeof(*list->v));

        l->no_memory = !more;
        if (!more)
            return DIRENT_ABORT;
        list->v = more;
        list->cap = cap;
    }
    list->v[list->n].ino = d->inode;
    list->v[list->n].name = strndup(d->name, len);
    l->no_memory = !list->v[list->n].name;
    if (l->no_memory)
        return DIRENT_ABORT;
    list->n++;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct raw_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

int raw_list(ext2_filsys fs, ext2_ino_t dir, struct raw_list *ret, struct err *e)
{
    struct listing l = { .list = ret };
    errcode_t code;
    int r = 0;

    *ret = (struct raw_list){ 0 };
    code = ext2fs_dir_iterate2(fs, dir, 0, NULL, take_entry, &l);
    if (l.no_memory)
        r = err_os_at(e, ENOMEM, "directory");
    else if (l.full)
        r = err_set(e, ERR_LIMIT, "a directory has more than %u entries", LIST_MAX);
    else if (code)
        r = overlay_fail(e, code, "directory");
    for (size_t i = 1; r == 0 && i < ret->n; i++)
        if (strcmp(ret->v[i - 1].name, ret->v[i].name) > 0) {
            qsort(ret->v, ret->n, sizeof(*ret->v), compare_entries);
            break;
        }
    if (r < 0)
        raw_list_done(ret);
    return r;
}

void raw_list_done(struct raw_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i].name);
    free(list->v);
    *list = (struct raw_list){ 0 };
}

int raw_lookup(ext2_filsys fs, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t *ret,
               struct err *e)
{
    errcode_t code = ext2fs_lookup(fs, dir, name, (int)len, NULL, ret);

    if (code == 0)
        return 1;
    *ret = 0;
    return code == EXT2_ET_FILE_NOT_FOUND ? 0 : overlay_fail(e, code, "directory");
}

/* ---- attributes -------------------------------------------------------- */

struct xattr_walk {
    overlay_xattr_fn *take;
    void *ctx;
    struct err *e;
    int r;
};

static int take_xattr(char *name, char *value, size_t size, void *ctx)
{
    struct xattr_walk *w = ctx;

    w->r = w->take(w->ctx, name, value, size, w->e);
    return w->r < 0 ? XATTR_ABORT : 0;
}

static bool may_have_xattrs(const union raw_inode *raw)
{
    size_t at = EXT2_GOOD_OLD_INODE_SIZE + raw->large.i_extra_isize;
    uint32_t magic;

    if (raw->small.i_file_acl || raw->small.osd2.linux2.l_i_file_acl_high)
        return true;
    if (at + sizeof(magic) > sizeof(*raw))
        return false;
    memcpy(&magic, raw->room + at, sizeof(magic));
    return magic == EXT2_EXT_ATTR_MAGIC;
}

int raw_xattrs(ext2_filsys fs, ext2_ino_t ino, overlay_xattr_fn *take, void *ctx, struct err *e)
{
    struct xattr_walk w = { .take = take, .ctx = ctx, .e = e };
    struct ext2_xattr_handle *h = NULL;
    union raw_inode raw;
    errcode_t code;
    int r = raw_read(fs, ino, &raw, e);

    if (r < 0 || !may_have_xattrs(&raw))
        return r;
    code = ext2fs_xattrs_open(fs, ino, &h);
    if (code == 0)
        code = ext2fs_xattrs_read(h);
    if (code == 0)
        code = ext2fs_xattrs_iterate(h, take_xattr, &w);
    if (h)
        (void)ext2fs_xattrs_close(&h);
    if (w.r < 0)
        return w.r;
    return code ? overlay_fail(e, code, "extended attributes") : 0;
}

struct overlay_marks {
    bool opaque;
};

static int take_mark(void *ctx, const char *name, const void *value, size_t size, struct err *e)
{
    struct overlay_marks *marks = ctx;

    if (strncmp(name, OVERLAY_XATTR, strlen(OVERLAY_XATTR)) != 0)
        return 0;
    name += strlen(OVERLAY_XATTR);
    if (strcmp(name, "opaque") == 0 && size == 1 && *(const char *)value == 'y')
        marks->opaque = true;
    if (strcmp(name, "redirect") == 0 || strcmp(name, "metacopy") == 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "the box's kernel has used overlayfs' %s, which cannot be read here; "
                       "start the box and try again",
                       name);
    return 0;
}

int raw_opaque(ext2_filsys fs, ext2_ino_t ino, struct err *e)
{
    struct overlay_marks marks = { 0 };
    int r = raw_xattrs(fs, ino, take_mark, &marks, e);

    return r < 0 ? r : marks.opaque;
}
