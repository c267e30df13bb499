#include "rootfs/overlay_write.h"

#include "rootfs/ext4_internal.h"

#include <ext2fs/ext3_extents.h>
#include <string.h>
#include <time.h>

#define EPOCH_SHIFT 32
#define LINKS_MAX   65000

/* ---- inodes ------------------------------------------------------------ */

static void set_time(uint32_t *s, uint32_t *extra, int64_t time_s, uint32_t time_ns)
{
    int64_t low = (int32_t)(uint64_t)time_s;

    *s = (uint32_t)(uint64_t)time_s;
    *extra = ((uint32_t)((time_s - low) >> EPOCH_SHIFT) & 3u) | time_ns << 2;
}

static void set_owner(struct ext2_inode_large *i, uint32_t uid, uint32_t gid)
{
    i->i_uid = (uint16_t)uid;
    i->i_uid_high = (uint16_t)(uid >> 16);
    i->i_gid = (uint16_t)gid;
    i->i_gid_high = (uint16_t)(gid >> 16);
}

static void describe(struct ext2_inode_large *i, const struct inode *meta)
{
    int64_t now = (int64_t)time(NULL);

    i->i_mode = (uint16_t)((i->i_mode & S_IFMT) | (meta->mode & 07777));
    set_owner(i, meta->uid, meta->gid);
    if (i->i_extra_isize < sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE)
        i->i_extra_isize = sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
    set_time(&i->i_mtime, &i->i_mtime_extra, meta->mtime_s, meta->mtime_ns);
    set_time(&i->i_atime, &i->i_atime_extra, meta->mtime_s, meta->mtime_ns);
    set_time(&i->i_ctime, &i->i_ctime_extra, now, 0);
}

static bool is_ours_to_set(const char *name)
{
    return strncmp(name, "trusted.", 8) != 0 && strcmp(name, "security.selinux") != 0;
}

static int set_xattrs(ext2_filsys fs, ext2_ino_t ino, const struct inode *meta, bool opaque,
                      struct err *e)
{
    struct ext2_xattr_handle *h = NULL;
    errcode_t code;

    if (!meta->xattrs && !opaque)
        return 0;
    code = ext2fs_xattrs_open(fs, ino, &h);
    if (code == 0)
        code = ext2fs_xattrs_read(h);
    if (code == 0 && opaque)
        code = ext2fs_xattr_set(h, OVERLAY_XATTR "opaque", "y", 1);
    for (const struct xattr *x = meta->xattrs; code == 0 && x; x = x->next)
        if (is_ours_to_set(x->name))
            code = ext2fs_xattr_set(h, x->name, x->value, x->size);
    if (h)
        (void)ext2fs_xattrs_close(&h);
    if (code == EXT2_ET_EA_NO_SPACE)
        return err_set(e, ERR_LIMIT, "its extended attributes are too large");
    return code ? overlay_fail(e, code, "extended attributes") : 0;
}

int writer_set_meta(struct writer *w, ext2_ino_t ino, const struct inode *meta, struct err *e)
{
    union raw_inode raw;
    errcode_t code;
    int r = raw_read(w->o->upper, ino, &raw, e);

    if (r < 0)
        return r;
    describe(&raw.large, meta);
    code = ext2fs_write_inode_full(w->o->upper, ino, &raw.small, sizeof(raw));
    if (code)
        return overlay_fail(e, code, "inode");
    return set_xattrs(w->o->upper, ino, meta, false, e);
}

int writer_set_time(struct writer *w, ext2_ino_t ino, int64_t mtime_s, uint32_t mtime_ns,
                    struct err *e)
{
    union raw_inode raw;
    errcode_t code;
    int r = raw_read(w->o->upper, ino, &raw, e);

    if (r < 0)
        return r;
    set_time(&raw.large.i_mtime, &raw.large.i_mtime_extra, mtime_s, mtime_ns);
    code = ext2fs_write_inode_full(w->o->upper, ino, &raw.small, sizeof(raw));
    return code ? overlay_fail(e, code, "inode") : 0;
}

/* ---- freeing ----------------------------------------------------------- */

struct freeing {
    struct writer *w;
    struct err *e;
    int r;
};

static int free_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t logical UNUSED,
                      blk64_t ref UNUSED, int offset UNUSED, void *ctx)
{
    struct freeing *f = ctx;

    if (*block == 0 || *block >= ext2fs_blocks_count(fs->super))
        return 0;
    f->r = journal_free_later(f->w->journal, *block, 1, f->e);
    return f->r < 0 ? BLOCK_ABORT : 0;
}

/* The attributes' block, unless other inodes share it. */
static int free_xattrs(struct writer *w, ext2_ino_t ino, union raw_inode *raw, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    blk64_t block = ext2fs_file_acl_block(fs, &raw->small);
    errcode_t code;

    if (!block || block >= ext2fs_blocks_count(fs->super))
        return 0;
    code = ext2fs_free_ext_attr(fs, ino, &raw->large);
    if (code)
        return overlay_fail(e, code, "extended attributes");
    if (ext2fs_test_block_bitmap2(fs->block_map, block))
        return 0;
    ext2fs_block_alloc_stats2(fs, block, +1); /* until the commit */
    return journal_free_later(w->journal, block, 1, e);
}

/* The last name is gone. */
static int free_inode(struct writer *w, ext2_ino_t ino, union raw_inode *raw, struct err *e)
{
    struct freeing f = { w, e, 0 };
    ext2_filsys fs = w->o->upper;
    errcode_t code = 0;
    int r = free_xattrs(w, ino, raw, e);

    if (r == 0 && ext2fs_inode_has_valid_blocks2(fs, &raw->small))
        code = ext2fs_block_iterate3(fs, ino, BLOCK_FLAG_READ_ONLY, NULL, free_block, &f);
    if (r < 0 || f.r < 0)
        return r < 0 ? r : f.r;
    if (code)
        return overlay_fail(e, code, "free");
    raw->large.i_links_count = 0;
    raw->large.i_dtime = (uint32_t)time(NULL);
    code = ext2fs_write_inode_full(fs, ino, &raw->small, sizeof(*raw));
    if (code)
        return overlay_fail(e, code, "inode");
    ext2fs_inode_alloc_stats2(fs, ino, -1, LINUX_S_ISDIR(raw->small.i_mode));
    return 0;
}

static int put_links(struct writer *w, ext2_ino_t ino, int add, struct err *e)
{
    union raw_inode raw;
    errcode_t code;
    int r = raw_read(w->o->upper, ino, &raw, e);

    if (r < 0)
        return r;
    if (add > 0 && raw.small.i_links_count >= LINKS_MAX)
        return err_os_at(e, EMLINK, "hard link");
    if (add < 0 && raw.small.i_links_count <= 1)
        return free_inode(w, ino, &raw, e);
    raw.small.i_links_count = (uint16_t)(raw.small.i_links_count + add);
    code = ext2fs_write_inode_full(w->o->upper, ino, &raw.small, sizeof(raw));
    return code ? overlay_fail(e, code, "inode") : 0;
}

/* ---- names ------------------------------------------------------------- */

static int add_name(struct writer *w, ext2_ino_t dir, const char *name, ext2_ino_t ino,
                    uint32_t mode, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    errcode_t code = ext2fs_link(fs, dir, name, ino, ext4_file_type(mode));

    if (code == EXT2_ET_DIR_NO_SPACE) {
        code = ext2fs_expand_dir(fs, dir);
        if (code == 0)
            code = ext2fs_link(fs, dir, name, ino, ext4_file_type(mode));
    }
    return code ? overlay_fail(e, code, "directory") : 0;
}

/* What has the name in the upper file system goes. Returns 1 when there was something. */
static int remove_name(struct writer *w, ext2_ino_t dir, const char *name, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    union raw_inode raw;
    ext2_ino_t ino;
    errcode_t code;
    int r = raw_lookup(fs, dir, name, strlen(name), &ino, e);

    if (r <= 0)
        return r;
    r = raw_read(fs, ino, &raw, e);
    if (r < 0)
        return r;
    if (S_ISDIR(raw.small.i_mode))
        return err_set(e, ERR_INTERNAL, "'%s' is a directory", name);
    code = ext2fs_unlink(fs, dir, name, ino, 0);
    if (code)
        return overlay_fail(e, code, "directory");
    r = put_links(w, ino, -1, e);
    return r < 0 ? r : 1;
}

/* ---- directories ------------------------------------------------------- */

static int new_inode(struct writer *w, ext2_ino_t dir, uint32_t mode, ext2_ino_t *ret,
                     struct err *e)
{
    errcode_t code = ext2fs_new_inode(w->o->upper, dir, (int)mode, NULL, ret);

    return code ? overlay_fail(e, code, "new file") : 0;
}

/* `hides`: the image has something of that name, too. */
static int make_dir(struct writer *w, ext2_ino_t dir, const char *name, const struct inode *meta,
                    bool hides, ext2_ino_t *ret, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    struct inode made = *meta;
    errcode_t code;
    int r = new_inode(w, dir, S_IFDIR | 0755, ret, e);

    if (r < 0)
        return r;
    code = ext2fs_mkdir(fs, dir, *ret, NULL);
    if (code)
        return overlay_fail(e, code, "new directory");
    r = writer_set_meta(w, *ret, &made, e);
    if (r == 0 && hides)
        r = set_xattrs(fs, *ret, &(struct inode){ 0 }, true, e);
    if (r == 0)
        r = remove_name(w, dir, name, e); /* a whiteout */
    return r < 0 ? r : add_name(w, dir, name, *ret, S_IFDIR, e);
}

int writer_add_dir(struct writer *w, struct overlay_ref dir, const char *name,
                   const struct inode *meta, ext2_ino_t *ret, struct err *e)
{
    ext2_ino_t below = 0;
    int r = dir.lower ? raw_lookup(w->o->lower, dir.lower, name, strlen(name), &below, e) : 0;

    return r < 0 ? r : make_dir(w, dir.upper, name, meta, r > 0, ret, e);
}

/* All of a lower inode that a copy of it needs, but data. The caller frees it. */
static int read_meta(struct writer *w, ext2_ino_t lower, struct inode **ret, struct err *e)
{
    const struct overlay_ref ref = { .lower = lower };
    autostr target = STR_INIT(OVERLAY_PATH_MAX);
    autoptr(inode) inode = inode_new(0);
    struct overlay_stat st;
    int r = inode ? overlay_stat(w->o, ref, &st, e) : err_os(e, "copy");

    if (r < 0)
        return r;
    inode->mode = st.mode;
    inode->uid = st.uid;
    inode->gid = st.gid;
    inode->rdev_major = st.rdev_major;
    inode->rdev_minor = st.rdev_minor;
    inode->mtime_s = st.mtime_s;
    inode->mtime_ns = st.mtime_ns;
    inode->size = st.size;
    r = overlay_xattrs(w->o, ref, overlay_keep_xattr, inode, e);
    if (r == 0 && S_ISLNK(st.mode)) {
        r = overlay_target(w->o, ref, &target, e);
        inode->target = r == 0 ? str_take(&target) : NULL;
        if (r == 0 && !inode->target)
            r = err_os(e, "copy");
    }
    if (r == 0)
        *ret = take_ptr(inode);
    return r;
}

static int copy_dir_up(struct writer *w, ext2_ino_t dir, const char *name, ext2_ino_t lower,
                       ext2_ino_t *ret, struct err *e)
{
    autoptr(inode) meta = NULL;
    int r = read_meta(w, lower, &meta, e);

    return r < 0 ? r : make_dir(w, dir, name, meta, false, ret, e);
}

int writer_need_dir(struct writer *w, const char *path, ext2_ino_t *ret, struct err *e)
{
    struct overlay_ref at = overlay_root(w->o), next;
    char name[TREE_NAME_MAX + 1];
    int r = 0;

    for (path += strspn(path, "/"); r == 0 && *path; path += strspn(path, "/")) {
        size_t len = strcspn(path, "/");

        if (len > TREE_NAME_MAX)
            return err_os_at(e, ENAMETOOLONG, "path");
        memcpy(name, path, len);
        name[len] = '\0';
        path += len;
        r = overlay_child(w->o, at, name, len, &next, e);
        if (r == 0)
            return err_set(e, ERR_NOT_FOUND, "%s: no such directory", name);
        r = r < 0 ? r : 0;
        if (r == 0 && !next.upper)
            r = copy_dir_up(w, at.upper, name, next.lower, &next.upper, e);
        at = next;
    }
    *ret = at.upper;
    return r;
}

/* ---- files ------------------------------------------------------------- */

static void put_device(struct ext2_inode_large *i, uint32_t major, uint32_t minor)
{
    if (major < 256 && minor < 256) {
        i->i_block[0] = major << 8 | minor;
        i->i_block[1] = 0;
    } else {
        i->i_block[0] = 0;
        i->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
    }
}

static int take_extents(struct writer *w, struct new_file *f, struct err *e)
{
    ext2_extent_handle_t h = NULL;
    struct ext2fs_extent x;
    errcode_t code = ext2fs_extent_open(w->o->upper, f->ino, &h);
    int op = EXT2_EXTENT_ROOT, r = 0;
    size_t cap = 0;

    while (code == 0 && r == 0) {
        code = ext2fs_extent_get(h, op, &x);
        op = EXT2_EXTENT_NEXT;
        if (code || !(x.e_flags & EXT2_EXTENT_FLAGS_LEAF) ||
            (x.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT))
            continue;
        if (f->extents_n == cap) {
            void *more = reallocarray(f->extents, cap = 2 * cap + 16, sizeof(*f->extents));

            r = more ? 0 : err_os(e, "extents");
            f->extents = more ? more : f->extents;
        }
        if (r == 0)
            f->extents[f->extents_n++] = (struct extent){ (uint32_t)x.e_lblk, x.e_len, x.e_pblk };
    }
    if (h)
        ext2fs_extent_free(h);
    if (r < 0)
        return r;
    return code == EXT2_ET_EXTENT_NO_NEXT ? 0 : overlay_fail(e, code, "extents");
}

static int take_blocks(struct writer *w, struct new_file *f, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    uint64_t blocks = (f->size + fs->blocksize - 1) / fs->blocksize;
    errcode_t code;

    if (!blocks)
        return 0;
    if (blocks > ext2fs_free_blocks_count(fs->super))
        return err_os_at(e, ENOSPC, "write");
    code = ext2fs_fallocate(fs, EXT2_FALLOCATE_FORCE_INIT, f->ino, NULL, ~0ULL, 0, blocks);
    return code ? overlay_fail(e, code, "write") : take_extents(w, f, e);
}

static int fill_inode(struct writer *w, struct new_file *f, const struct inode *meta,
                      struct err *e)
{
    const struct ext3_extent_header no_extents = { .eh_magic = EXT3_EXT_MAGIC, .eh_max = 4 };
    union raw_inode raw = { .room = { 0 } };
    ext2_filsys fs = w->o->upper;
    errcode_t code = 0;

    raw.small.i_mode = (uint16_t)meta->mode;
    raw.small.i_links_count = 1;
    if (S_ISREG(meta->mode)) {
        raw.small.i_flags = EXT4_EXTENTS_FL;
        memcpy(raw.small.i_block, &no_extents, sizeof(no_extents));
        code = ext2fs_inode_size_set(fs, &raw.small, (ext2_off64_t)f->size);
    } else if (S_ISCHR(meta->mode) || S_ISBLK(meta->mode)) {
        put_device(&raw.large, meta->rdev_major, meta->rdev_minor);
    }
    describe(&raw.large, meta);
    set_time(&raw.large.i_crtime, &raw.large.i_crtime_extra, (int64_t)time(NULL), 0);
    if (code == 0)
        code = ext2fs_write_inode_full(fs, f->ino, &raw.small, sizeof(raw));
    if (code)
        return overlay_fail(e, code, "inode");
    ext2fs_inode_alloc_stats2(fs, f->ino, +1, 0);
    return 0;
}

static int fill_symlink(struct writer *w, struct new_file *f, ext2_ino_t dir,
                        const struct inode *meta, struct err *e)
{
    errcode_t code = ext2fs_symlink(w->o->upper, dir, f->ino, NULL, meta->target);

    return code ? overlay_fail(e, code, "symbolic link") : writer_set_meta(w, f->ino, meta, e);
}

int writer_new(struct writer *w, ext2_ino_t dir, const struct inode *meta, struct new_file *ret,
               struct err *e)
{
    struct err ignored;
    int r;

    *ret = (struct new_file){ .mode = meta->mode, .size = meta->size };
    r = new_inode(w, dir, meta->mode, &ret->ino, e);
    if (r < 0) {
        ret->ino = 0;
        return r;
    }
    if (S_ISLNK(meta->mode)) {
        r = fill_symlink(w, ret, dir, meta, e);
        if (r < 0)
            ret->ino = 0; /* e2fsck would find it; nothing is committed after that */
        return r;
    }
    r = fill_inode(w, ret, meta, e);
    if (r < 0) {
        ret->ino = 0;
        return r;
    }
    r = set_xattrs(w->o->upper, ret->ino, meta, false, e);
    if (r == 0 && S_ISREG(meta->mode))
        r = take_blocks(w, ret, e);
    if (r < 0)
        w->torn = writer_drop(w, ret, &ignored) < 0; /* the first error is the one to report */
    return r;
}

/* Where a block of the file lies, and how many after it lie there, too. */
static uint64_t find_block(const struct new_file *f, uint64_t logical, uint64_t *ret_n)
{
    for (size_t i = 0; i < f->extents_n; i++) {
        const struct extent *x = &f->extents[i];

        if (logical >= x->logical && logical < (uint64_t)x->logical + x->blocks) {
            *ret_n = (uint64_t)x->logical + x->blocks - logical;
            return x->physical + (logical - x->logical);
        }
    }
    *ret_n = 0;
    return 0;
}

/* writer.buf, whose last byte is at f->at. */
static int flush_data(struct writer *w, struct new_file *f, struct err *e)
{
    const size_t size = w->o->upper->blocksize;
    uint64_t logical = (f->at - f->buf_len) / size, left = (f->buf_len + size - 1) / size, n;
    const char *at = w->buf;
    int r = 0;

    memset(w->buf + f->buf_len, 0, left * size - f->buf_len);
    while (r == 0 && left) {
        uint64_t physical = find_block(f, logical, &n);

        if (!physical)
            return err_set(e, ERR_INTERNAL, "a file's block is missing");
        n = n < left ? n : left;
        r = journal_data(w->journal, physical, (int)n, at, e);
        at += n * size;
        logical += n;
        left -= n;
    }
    f->buf_len = 0;
    return r;
}

int writer_data(struct writer *w, struct new_file *f, const void *data, size_t len, struct err *e)
{
    const char *from = data;
    int r = 0;

    if (len > f->size - f->at)
        return err_set(e, ERR_CORRUPT, "its data goes beyond its size");
    while (r == 0 && len) {
        size_t n = OVERLAY_BUF - f->buf_len;

        n = n < len ? n : len;
        memcpy(w->buf + f->buf_len, from, n);
        f->buf_len += n;
        f->at += n;
        from += n;
        len -= n;
        if (f->buf_len == OVERLAY_BUF)
            r = flush_data(w, f, e);
    }
    return r;
}

static int pad(struct writer *w, struct new_file *f, struct err *e)
{
    static const char zeros[4096];
    int r = 0;

    while (r == 0 && f->at < f->size) {
        uint64_t left = f->size - f->at;

        r = writer_data(w, f, zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros), e);
    }
    return r < 0 || !f->buf_len ? r : flush_data(w, f, e);
}

int writer_name(struct writer *w, struct new_file *f, ext2_ino_t dir, const char *name,
                struct err *e)
{
    int r = S_ISREG(f->mode) ? pad(w, f, e) : 0;

    if (r == 0)
        r = remove_name(w, dir, name, e);
    if (r >= 0)
        r = add_name(w, dir, name, f->ino, f->mode, e);
    if (r < 0)
        return r;
    free(f->extents);
    *f = (struct new_file){ 0 };
    return 0;
}

int writer_drop(struct writer *w, struct new_file *f, struct err *e)
{
    int r = f->ino ? put_links(w, f->ino, -1, e) : 0;

    free(f->extents);
    *f = (struct new_file){ 0 };
    return r;
}

int writer_link(struct writer *w, ext2_ino_t ino, ext2_ino_t dir, const char *name, struct err *e)
{
    union raw_inode raw;
    int r = raw_read(w->o->upper, ino, &raw, e);

    if (r == 0)
        r = put_links(w, ino, +1, e); /* first: the old name may be of the same inode */
    if (r == 0)
        r = remove_name(w, dir, name, e);
    return r < 0 ? r : add_name(w, dir, name, ino, raw.small.i_mode, e);
}

/* ---- copies of the image's files --------------------------------------- */

struct copying {
    struct writer *w;
    struct new_file *f;
};

static int copy_data(void *ctx, const void *data, size_t len, struct err *e)
{
    struct copying *c = ctx;

    return writer_data(c->w, c->f, data, len, e);
}

int writer_need_file(struct writer *w, const struct overlay_place *place, ext2_ino_t *ret,
                     struct err *e)
{
    autofree char *parent = strdup(place->path);
    autoptr(inode) meta = NULL;
    struct new_file f = { 0 };
    struct copying c = { w, &f };
    ext2_ino_t dir;
    int r;

    *ret = place->self.upper;
    if (*ret)
        return 0;
    if (!parent)
        return err_os(e, "copy");
    parent[place->name - place->path] = '\0';
    r = writer_need_dir(w, parent, &dir, e);
    if (r == 0)
        r = read_meta(w, place->self.lower, &meta, e);
    if (r == 0)
        r = writer_new(w, dir, meta, &f, e);
    if (r == 0 && S_ISREG(meta->mode))
        r = overlay_read(w->o, place->self, copy_data, &c, e);
    *ret = f.ino;
    return r < 0 ? r : writer_name(w, &f, dir, place->name, e);
}

/* ---- beginning and end ------------------------------------------------- */

/* Files that were removed or cut while they were open: the kernel keeps them in a list until they
 * are closed. */
static int finish_orphans(struct writer *w, struct err *e)
{
    ext2_filsys fs = w->o->upper;
    ext2_ino_t ino = fs->super->s_last_orphan, next;
    int r = 0;

    for (uint32_t n = 0; r == 0 && ino; n++, ino = next) {
        union raw_inode raw;
        errcode_t code = 0;

        if (n > fs->super->s_inodes_count || ino < EXT2_FIRST_INODE(fs->super) ||
            ino > fs->super->s_inodes_count)
            return err_set(e, ERR_CORRUPT, "disk: its list of removed files");
        r = raw_read(fs, ino, &raw, e);
        next = raw.small.i_dtime;
        if (r == 0 && raw.small.i_links_count == 0) {
            r = free_inode(w, ino, &raw, e);
        } else if (r == 0) {
            raw.small.i_dtime = 0;
            if (S_ISREG(raw.small.i_mode))
                code = ext2fs_punch(fs, ino, &raw.small, NULL,
                                    (EXT2_I_SIZE(&raw.small) + fs->blocksize - 1) / fs->blocksize,
                                    ~0ULL);
            if (code == 0)
                code = ext2fs_write_inode(fs, ino, &raw.small);
            r = code ? overlay_fail(e, code, "cut file") : 0;
        }
    }
    if (r < 0 || !fs->super->s_last_orphan)
        return r;
    fs->super->s_last_orphan = 0;
    ext2fs_mark_super_dirty(fs);
    return journal_commit(w->journal, e); /* what was cut is free only now */
}

int writer_open(struct writer *w, struct overlay *o, struct err *e)
{
    int r;

    *w = (struct writer){ .o = o, .buf = malloc(OVERLAY_BUF) };
    r = w->buf ? journal_begin(o->upper, &w->journal, e) : err_os(e, "write");
    return r < 0 ? r : finish_orphans(w, e);
}

int writer_done(struct writer *w, bool keep, struct err *e)
{
    struct err ignored = { 0 };
    int r = 0;

    if (w->journal && keep && !w->torn)
        r = journal_end(w->journal, e);
    keep = w->journal && keep && !w->torn && r == 0;
    journal_writer_free(w->journal);
    free(w->buf);
    *w = (struct writer){ .o = w->o };
    if (keep)
        return 0;
    if (r == 0)
        return overlay_open_writable(w->o, e);
    if (overlay_open_writable(w->o, &ignored) < 0)
        err_clear(&ignored); /* the first error is the one to report */
    return r;
}
