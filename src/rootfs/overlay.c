#include "rootfs/overlay_internal.h"

#include "rootfs/journal.h"
#include "rootfs/tree.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define UPPER_DIR "upper"

/* QEMU's locks of an image are single bytes in here (its block/file-posix.c). */
#define LOCK_FROM  100
#define LOCK_BYTES 200

/* ---- opening ----------------------------------------------------------- */

/* A machine that is being killed may still write. Its kernel locks go when it is gone. */
static int wait_for_machine(const char *disk, struct err *e)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_FROM, .l_len = LOCK_BYTES
    };
    autofd int fd = open(disk, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) /* a home that cannot be written to: nobody writes */
        return errno == EROFS || errno == EACCES ? 0 : err_os(e, "open the box's disk");
    if (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
        return err_os(e, "lock the box's disk");
    return 0;
}

static int open_fs(const char *path, int flags, ext2_filsys *ret, struct err *e)
{
    errcode_t code = ext2fs_open(path, flags | EXT2_FLAG_64BITS, 0, 0, unix_io_manager, ret);

    if (code)
        return overlay_fail(e, code, "open");
    if ((*ret)->blocksize != 4096)
        return err_set(e, ERR_UNSUPPORTED, "disk: blocks of %u bytes", (*ret)->blocksize);
    return 0;
}

/* Without a copy of the old super block, libext2fs writes it at once and not word by word: killed
 * in between, it would be broken. The cache would give back blocks that were not read again. */
static int open_uncached(struct overlay *o, struct err *e)
{
    errcode_t code;
    int r = open_fs(o->disk, EXT2_FLAG_RW, &o->upper, e);

    if (r < 0)
        return r;
    (void)ext2fs_free_mem(&o->upper->orig_super);
    code = io_channel_set_options(o->upper->io, "cache=off");
    return code ? overlay_fail(e, code, "open") : 0;
}

int overlay_open_writable(struct overlay *o, struct err *e)
{
    errcode_t code;
    int r;

    if (o->upper)
        ext2fs_free(o->upper);
    o->upper = NULL;
    r = open_uncached(o, e);

    if (r == 0 && journal_needed(o->upper)) {
        r = journal_replay(o->upper, e);
        if (r < 0)
            return r;
        ext2fs_free(o->upper);
        o->upper = NULL;
        r = open_uncached(o, e);
        if (r == 0)
            r = journal_done(o->upper, e);
    }
    if (r < 0)
        return r;
    code = ext2fs_read_bitmaps(o->upper);
    return code ? overlay_fail(e, code, "bitmaps") : 0;
}

static int open_upper(struct overlay *o, const char *disk, bool writable, struct err *e)
{
    int r = wait_for_machine(disk, e);

    if (r < 0)
        return r;
    if (writable) {
        r = overlay_open_writable(o, e);
    } else {
        r = open_fs(disk, 0, &o->upper, e);
        if (r == 0 && journal_needed(o->upper))
            r = journal_replay_in_memory(o->upper, e);
    }
    if (r == 0)
        r = raw_lookup(o->upper, EXT2_ROOT_INO, UPPER_DIR, strlen(UPPER_DIR), &o->upper_root, e);
    if (r < 0)
        return r;
    return r > 0 ? 0 : err_set(e, ERR_CORRUPT, "the directory of the box's files is missing");
}

int overlay_open(const char *disk, const char *rootfs, bool writable, struct overlay **ret,
                 struct err *e)
{
    autoptr(overlay) o = calloc(1, sizeof(*o));
    int r;

    if (!o)
        return err_os(e, "files");
    initialize_ext2_error_table();
    o->buf = malloc(OVERLAY_BUF);
    o->disk = strdup(disk);
    if (!o->buf || !o->disk)
        return err_os(e, "files");
    r = open_upper(o, disk, writable, e);
    if (r < 0)
        return err_ctx(e, "the box's writable layer");
    r = open_fs(rootfs, 0, &o->lower, e);
    if (r < 0)
        return err_ctx(e, "the image's root file system");
    *ret = take_ptr(o);
    return 0;
}

void overlay_free(struct overlay *o)
{
    if (!o)
        return;
    if (o->upper)
        ext2fs_free(o->upper);
    if (o->lower)
        ext2fs_free(o->lower);
    free(o->buf);
    free(o->disk);
    free(o);
}

/* ---- names ------------------------------------------------------------- */

struct overlay_ref overlay_root(const struct overlay *o)
{
    return (struct overlay_ref){ o->upper_root, EXT2_ROOT_INO };
}

ext2_filsys ref_fs(const struct overlay *o, struct overlay_ref ref, ext2_ino_t *ret_ino)
{
    *ret_ino = ref.upper ? ref.upper : ref.lower;
    return ref.upper ? o->upper : o->lower;
}

int overlay_stat(struct overlay *o, struct overlay_ref ref, struct overlay_stat *ret,
                 struct err *e)
{
    union raw_inode raw;
    ext2_ino_t ino;
    ext2_filsys fs = ref_fs(o, ref, &ino);
    int r = raw_read(fs, ino, &raw, e);

    if (r < 0)
        return r;
    raw_stat(&raw, ret);
    return 0;
}

static int is_dir(ext2_filsys fs, ext2_ino_t ino, struct err *e)
{
    union raw_inode raw;
    int r = raw_read(fs, ino, &raw, e);

    return r < 0 ? r : S_ISDIR(raw.small.i_mode);
}

/* What a name in both, or in one, stands for. */
static int settle(struct overlay *o, struct overlay_ref *ref, struct err *e)
{
    struct overlay_stat st;
    union raw_inode raw;
    int r;

    if (!ref->upper)
        return 0;
    r = raw_read(o->upper, ref->upper, &raw, e);
    if (r < 0)
        return r;
    raw_stat(&raw, &st);
    if (stat_is_whiteout(&st)) {
        *ref = (struct overlay_ref){ 0 };
        return 0;
    }
    if (!S_ISDIR(st.mode)) {
        ref->lower = 0;
        return 0;
    }
    r = raw_opaque(o->upper, ref->upper, e);
    if (r == 0 && ref->lower) {
        r = is_dir(o->lower, ref->lower, e);
        if (r >= 0)
            r = !r;
    }
    if (r > 0)
        ref->lower = 0;
    return r < 0 ? r : 0;
}

int overlay_child(struct overlay *o, struct overlay_ref dir, const char *name, size_t len,
                  struct overlay_ref *ret, struct err *e)
{
    int r = 0;

    *ret = (struct overlay_ref){ 0 };
    if (dir.upper)
        r = raw_lookup(o->upper, dir.upper, name, len, &ret->upper, e);
    if (r >= 0 && dir.lower)
        r = raw_lookup(o->lower, dir.lower, name, len, &ret->lower, e);
    if (r >= 0)
        r = settle(o, ret, e);
    return r < 0 ? r : overlay_exists(*ret);
}

static int list_add(struct overlay *o, struct overlay_list *list, char *name,
                    struct overlay_ref ref, struct err *e)
{
    int r = settle(o, &ref, e);

    if (r < 0 || !overlay_exists(ref)) {
        free(name);
        return r;
    }
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 32;
        void *more = reallocarray(list->v, cap, sizeof(*list->v));

        if (!more) {
            free(name);
            return err_os(e, "directory");
        }
        list->v = more;
        list->cap = cap;
    }
    list->v[list->n++] = (struct overlay_entry){ name, ref };
    return 0;
}

/* Both are sorted: go through them side by side. */
static int merge(struct overlay *o, struct raw_list *upper, struct raw_list *lower,
                 struct overlay_list *ret, struct err *e)
{
    size_t u = 0, l = 0;
    int r = 0;

    while (r == 0 && (u < upper->n || l < lower->n)) {
        int order = u == upper->n   ? 1
                    : l == lower->n ? -1
                                    : strcmp(upper->v[u].name, lower->v[l].name);
        struct raw_entry *from = order <= 0 ? &upper->v[u] : &lower->v[l];
        struct overlay_ref ref = { order <= 0 ? upper->v[u].ino : 0,
                                   order >= 0 ? lower->v[l].ino : 0 };

        r = list_add(o, ret, take_ptr(from->name), ref, e);
        u += order <= 0;
        l += order >= 0;
    }
    return r;
}

int overlay_list(struct overlay *o, struct overlay_ref dir, struct overlay_list *ret,
                 struct err *e)
{
    struct raw_list upper = { 0 }, lower = { 0 };
    int r = 0;

    *ret = (struct overlay_list){ 0 };
    if (dir.upper)
        r = raw_list(o->upper, dir.upper, &upper, e);
    if (r == 0 && dir.lower)
        r = raw_list(o->lower, dir.lower, &lower, e);
    if (r == 0)
        r = merge(o, &upper, &lower, ret, e);
    raw_list_done(&upper);
    raw_list_done(&lower);
    if (r < 0)
        overlay_list_done(ret);
    return r;
}

void overlay_list_done(struct overlay_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i].name);
    free(list->v);
    *list = (struct overlay_list){ 0 };
}

/* ---- content ----------------------------------------------------------- */

static bool is_hidden(const char *name)
{
    return strncmp(name, "trusted.", 8) == 0 || strcmp(name, "security.selinux") == 0 ||
           strcmp(name, "system.data") == 0;
}

struct visible {
    overlay_xattr_fn *take;
    void *ctx;
};

static int take_visible(void *ctx, const char *name, const void *value, size_t size,
                        struct err *e)
{
    struct visible *v = ctx;

    return is_hidden(name) ? 0 : v->take(v->ctx, name, value, size, e);
}

int overlay_xattrs(struct overlay *o, struct overlay_ref ref, overlay_xattr_fn *take, void *ctx,
                   struct err *e)
{
    struct visible v = { take, ctx };
    ext2_ino_t ino;
    ext2_filsys fs = ref_fs(o, ref, &ino);

    return raw_xattrs(fs, ino, take_visible, &v, e);
}

int overlay_keep_xattr(void *inode, const char *name, const void *value, size_t size,
                       struct err *e)
{
    struct inode *to = inode;
    struct xattr *x = calloc(1, sizeof(*x));

    if (!x)
        return err_os(e, "extended attributes");
    x->next = to->xattrs;
    to->xattrs = x;
    x->name = strdup(name);
    x->value = malloc(size ? size : 1);
    x->size = size;
    if (!x->name || !x->value)
        return err_os(e, "extended attributes");
    memcpy(x->value, value, size);
    return 0;
}

struct data_walk {
    struct overlay *o;
    ext2_filsys fs;
    uint64_t at, size; /* bytes */
    overlay_data_fn *take;
    void *ctx;
};

static int give(struct data_walk *w, const void *data, uint64_t len, struct err *e)
{
    uint64_t left = w->size - w->at;

    len = len < left ? len : left;
    w->at += len;
    return len ? w->take(w->ctx, data, (size_t)len, e) : 0;
}

static int give_zeros(struct data_walk *w, uint64_t to, struct err *e)
{
    int r = 0;

    if (w->at < to)
        memset(w->o->buf, 0, OVERLAY_BUF);
    while (r == 0 && w->at < to)
        r = give(w, w->o->buf, to - w->at < OVERLAY_BUF ? to - w->at : OVERLAY_BUF, e);
    return r;
}

static int give_blocks(struct data_walk *w, uint64_t block, uint64_t n, struct err *e)
{
    const uint64_t step = OVERLAY_BUF / w->fs->blocksize;
    errcode_t code;
    int r = 0;

    while (r == 0 && n && w->at < w->size) {
        uint64_t count = n < step ? n : step;

        code = io_channel_read_blk64(w->fs->io, block, (int)count, w->o->buf);
        if (code)
            return overlay_fail(e, code, "read");
        r = give(w, w->o->buf, count * w->fs->blocksize, e);
        block += count;
        n -= count;
    }
    return r;
}

static int give_extent(struct data_walk *w, const struct ext2fs_extent *x, struct err *e)
{
    uint64_t from = x->e_lblk * w->fs->blocksize, end;
    int r;

    if (from < w->at || x->e_pblk + x->e_len > ext2fs_blocks_count(w->fs->super))
        return err_set(e, ERR_CORRUPT, "disk: a file's extents overlap or leave it");
    end = from + (uint64_t)x->e_len * w->fs->blocksize;
    r = give_zeros(w, from < w->size ? from : w->size, e);
    if (r == 0 && (x->e_flags & EXT2_EXTENT_FLAGS_UNINIT))
        r = give_zeros(w, end < w->size ? end : w->size, e);
    else if (r == 0)
        r = give_blocks(w, x->e_pblk, x->e_len, e);
    return r;
}

static int give_extents(struct data_walk *w, ext2_ino_t ino, struct err *e)
{
    ext2_extent_handle_t h = NULL;
    struct ext2fs_extent x;
    errcode_t code = ext2fs_extent_open(w->fs, ino, &h);
    int op = EXT2_EXTENT_ROOT, r = 0;

    while (code == 0 && r == 0 && w->at < w->size) {
        code = ext2fs_extent_get(h, op, &x);
        op = EXT2_EXTENT_NEXT;
        if (code == 0 && (x.e_flags & EXT2_EXTENT_FLAGS_LEAF))
            if (!(x.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT))
                r = give_extent(w, &x, e);
    }
    if (h)
        ext2fs_extent_free(h);
    if (r < 0)
        return r;
    if (code && code != EXT2_ET_EXTENT_NO_NEXT && code != EXT2_ET_NO_CURRENT_NODE)
        return overlay_fail(e, code, "extents");
    return give_zeros(w, w->size, e);
}

int overlay_read(struct overlay *o, struct overlay_ref ref, overlay_data_fn *take, void *ctx,
                 struct err *e)
{
    struct data_walk w = { .o = o, .take = take, .ctx = ctx };
    union raw_inode raw;
    ext2_ino_t ino;
    int r;

    w.fs = ref_fs(o, ref, &ino);
    r = raw_read(w.fs, ino, &raw, e);
    if (r < 0)
        return r;
    w.size = EXT2_I_SIZE(&raw.small);
    if (!S_ISREG(raw.small.i_mode))
        return err_set(e, ERR_INVALID, "not a regular file");
    if (w.size && !(raw.small.i_flags & EXT4_EXTENTS_FL))
        return err_set(e, ERR_UNSUPPORTED, "disk: a file without extents");
    r = ref.upper ? raw_opaque(w.fs, ino, e) : 0; /* for its refusals */
    return r < 0 ? r : w.size ? give_extents(&w, ino, e) : 0;
}

int overlay_target(struct overlay *o, struct overlay_ref ref, struct str *ret, struct err *e)
{
    union raw_inode raw;
    ext2_ino_t ino;
    ext2_filsys fs = ref_fs(o, ref, &ino);
    size_t size;
    blk64_t block = 0;
    errcode_t code = 0;
    int r = raw_read(fs, ino, &raw, e);

    if (r < 0)
        return r;
    size = (size_t)EXT2_I_SIZE(&raw.small);
    if (!S_ISLNK(raw.small.i_mode) || size == 0 || size >= OVERLAY_PATH_MAX)
        return err_set(e, ERR_CORRUPT, "disk: a symbolic link of %zu bytes", size);
    str_clear(ret);
    if (ext2fs_is_fast_symlink(&raw.small) && size < sizeof(raw.small.i_block)) {
        (void)str_add(ret, raw.small.i_block, size);
    } else {
        code = ext2fs_bmap2(fs, ino, &raw.small, NULL, 0, 0, NULL, &block);
        if (code == 0 && (block == 0 || block >= ext2fs_blocks_count(fs->super)))
            return err_set(e, ERR_CORRUPT, "disk: a symbolic link without a block");
        if (code == 0)
            code = io_channel_read_blk64(fs->io, block, 1, o->buf);
        if (code)
            return overlay_fail(e, code, "symbolic link");
        (void)str_add(ret, o->buf, size);
    }
    if (ret->failed || strlen(str_c(ret)) != size)
        return err_set(e, ERR_CORRUPT, "disk: a symbolic link's target");
    return 0;
}
