#include "rootfs/ext4_internal.h"

#include <string.h>

#define ROOT_ENTRIES  4   /* extents or indexes in the inode itself */
#define BLOCK_ENTRIES 340 /* in a block of the extent tree: (4096 - 12) / 12 */
#define FAST_LINK_MAX 59  /* symlink targets up to here lie in the inode */
#define SECTORS       (BLOCK_SIZE / 512)

static uint64_t tree_blocks(uint64_t extents)
{
    uint64_t total = 0, n = extents;

    while (n > ROOT_ENTRIES) {
        n = (n + BLOCK_ENTRIES - 1) / BLOCK_ENTRIES;
        total += n;
    }
    return total;
}

static int plan_symlink(struct ext4_writer *w, struct inode *inode, struct err *e)
{
    uint64_t at;
    int r;

    if (inode->size <= FAST_LINK_MAX)
        return 0;
    r = blocks_take(w->blocks, 1, &at, e);
    if (r < 0)
        return r;
    if (!inode_map(inode, 0, at, 1))
        return err_os(e, "symbolic link");
    return blocks_write(w->blocks, at * BLOCK_SIZE, inode->target, inode->size, e);
}

int ext4_plan_inode(struct ext4_writer *w, struct node *node, struct err *e)
{
    struct inode *inode = node->inode;
    uint64_t n;
    int r = 0;

    if (S_ISLNK(inode->mode))
        r = plan_symlink(w, inode, e);
    if (r < 0)
        return r;
    if (inode->xattrs)
        w->xattrs_n++;
    n = tree_blocks(inode->extents_n);
    return n ? blocks_take(w->blocks, n, &inode->index_first, e) : 0;
}

static void put_header(struct ext3_extent_header *h, uint64_t n, uint32_t max, unsigned depth)
{
    *h = (struct ext3_extent_header){ .eh_magic = EXT3_EXT_MAGIC,
                                      .eh_entries = (uint16_t)n,
                                      .eh_max = (uint16_t)max,
                                      .eh_depth = (uint16_t)depth };
}

static void put_extent(struct ext3_extent *at, const struct extent *x)
{
    *at = (struct ext3_extent){ .ee_block = x->logical,
                                .ee_len = (uint16_t)x->blocks,
                                .ee_start_hi = (uint16_t)(x->physical >> 32),
                                .ee_start = (uint32_t)x->physical };
}

/* Entries [from, from + n) of one level into the node at `h`. At level 0 entry i is extent i; at
 * level l it is the child that begins with extent i * span, the i-th block from `child`. */
struct level {
    const struct inode *inode;
    unsigned depth;
    uint64_t span;
    uint64_t child;
};

static void put_entries(struct ext3_extent_header *h, const struct level *l, uint64_t from,
                        uint64_t n, uint32_t max)
{
    put_header(h, n, max, l->depth);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t block = l->child + from + i;

        if (l->depth == 0)
            put_extent(EXT_FIRST_EXTENT(h) + i, &l->inode->extents[from + i]);
        else
            EXT_FIRST_INDEX(h)
        [i] = (struct ext3_extent_idx){
            .ei_block = l->inode->extents[(from + i) * l->span].logical,
            .ei_leaf = (uint32_t)block,
            .ei_leaf_hi = (uint16_t)(block >> 32),
        };
    }
}

/* Build the tree from its leaves up: level after level in consecutive blocks, the root in the
 * inode. */
static int put_extents(struct ext4_writer *w, const struct inode *inode, void *root,
                       struct err *e)
{
    _Alignas(8) char buf[BLOCK_SIZE];
    struct level l = { .inode = inode, .span = 1 };
    uint64_t n = inode->extents_n, at = inode->index_first;
    int r;

    while (n > ROOT_ENTRIES) {
        uint64_t level_first = at;

        for (uint64_t from = 0; from < n; from += BLOCK_ENTRIES) {
            uint64_t some = n - from < BLOCK_ENTRIES ? n - from : BLOCK_ENTRIES;

            memset(buf, 0, sizeof(buf));
            put_entries((void *)buf, &l, from, some, BLOCK_ENTRIES);
            (void)ext2fs_extent_block_csum_set(w->fs, inode->number, (void *)buf); /* is 0 */
            r = blocks_write(w->blocks, at++ * BLOCK_SIZE, buf, sizeof(buf), e);
            if (r < 0)
                return r;
        }
        n = (n + BLOCK_ENTRIES - 1) / BLOCK_ENTRIES;
        l = (struct level){ .inode = inode,
                            .depth = l.depth + 1,
                            .span = l.depth ? l.span * BLOCK_ENTRIES : BLOCK_ENTRIES,
                            .child = level_first };
    }
    put_entries(root, &l, 0, n, ROOT_ENTRIES);
    return 0;
}

static void mark_blocks(struct ext4_writer *w, const struct inode *inode,
                        struct ext2_inode_large *raw)
{
    uint64_t n = tree_blocks(inode->extents_n);
    uint64_t sectors = n * SECTORS;

    if (n)
        ext2fs_block_alloc_stats_range(w->fs, inode->index_first, (blk_t)n, +1);
    for (uint32_t i = 0; i < inode->extents_n; i++) {
        ext2fs_block_alloc_stats_range(w->fs, inode->extents[i].physical,
                                       inode->extents[i].blocks, +1);
        sectors += (uint64_t)inode->extents[i].blocks * SECTORS;
    }
    raw->i_blocks = (uint32_t)sectors;
    raw->osd2.linux2.l_i_blocks_hi = (uint16_t)(sectors >> 32);
}

static void put_device(const struct inode *inode, struct ext2_inode_large *raw)
{
    uint32_t major = inode->rdev_major, minor = inode->rdev_minor;

    if (major < 256 && minor < 256)
        raw->i_block[0] = major << 8 | minor;
    else
        raw->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static uint16_t link_count(const struct node *node)
{
    uint32_t n = 2;

    if (!node_is_dir(node))
        return (uint16_t)node->inode->names;
    for (struct node *c = node->first; c; c = c->next)
        n += node_is_dir(c);
    return n > TREE_LINKS_MAX ? 1 : (uint16_t)n; /* dir_nlink: 1 means "many" */
}

static void put_times(const struct inode *inode, struct ext2_inode_large *raw)
{
    uint32_t epoch =
        (uint32_t)((inode->mtime_s - (int32_t)inode->mtime_s) >> 32) & EXT4_EPOCH_MASK;
    uint32_t extra = inode->mtime_ns << EXT4_EPOCH_BITS | epoch;

    raw->i_atime = raw->i_ctime = raw->i_mtime = raw->i_crtime = (uint32_t)inode->mtime_s;
    raw->i_atime_extra = raw->i_ctime_extra = extra;
    raw->i_mtime_extra = raw->i_crtime_extra = extra;
}

static void put_basics(const struct node *node, struct ext2_inode_large *raw)
{
    const struct inode *inode = node->inode;

    raw->i_mode = (uint16_t)inode->mode;
    raw->i_uid = (uint16_t)inode->uid;
    raw->i_gid = (uint16_t)inode->gid;
    raw->osd2.linux2.l_i_uid_high = (uint16_t)(inode->uid >> 16);
    raw->osd2.linux2.l_i_gid_high = (uint16_t)(inode->gid >> 16);
    raw->i_size = (uint32_t)inode->size;
    raw->i_size_high = (uint32_t)(inode->size >> 32);
    raw->i_links_count = link_count(node);
    raw->i_extra_isize = sizeof(*raw) - EXT2_GOOD_OLD_INODE_SIZE;
    put_times(inode, raw);
}

static int put_content(struct ext4_writer *w, const struct inode *inode,
                       struct ext2_inode_large *raw, struct err *e)
{
    mark_blocks(w, inode, raw);
    if (S_ISLNK(inode->mode) && !inode->extents_n) {
        memcpy(raw->i_block, inode->target, inode->size);
        return 0;
    }
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
        put_device(inode, raw);
        return 0;
    }
    if (S_ISFIFO(inode->mode))
        return 0;
    raw->i_flags |= EXT4_EXTENTS_FL | (inode->indexed ? EXT2_INDEX_FL : 0);
    return put_extents(w, inode, raw->i_block, e);
}

int ext4_write_inode(struct ext4_writer *w, struct node *node, struct err *e)
{
    union {
        struct ext2_inode_large large;
        char bytes[256];
    } raw = { .bytes = { 0 } };
    struct inode *inode = node->inode;
    errcode_t code;
    int r;

    if (inode->written)
        return 0;
    inode->written = true;
    put_basics(node, &raw.large);
    r = put_content(w, inode, &raw.large, e);
    if (r < 0)
        return r;
    if (inode->number != EXT2_ROOT_INO) /* was marked with the reserved ones */
        ext2fs_inode_alloc_stats2(w->fs, inode->number, +1, node_is_dir(node));
    code = ext2fs_write_inode_full(w->fs, inode->number, (void *)&raw, sizeof(raw));
    return code ? ext4_fail(e, code, "write inode") : 0;
}

int ext4_write_xattrs(struct ext4_writer *w, struct node *node, struct err *e)
{
    struct inode *inode = node->inode;
    struct ext2_xattr_handle *h = NULL;
    errcode_t code;

    if (!inode->xattrs)
        return 0;
    code = ext2fs_xattrs_open(w->fs, inode->number, &h);
    for (const struct xattr *x = inode->xattrs; !code && x; x = x->next)
        code = ext2fs_xattr_set(h, x->name, x->value, x->size); /* writes the inode too */
    if (h)
        (void)ext2fs_xattrs_close(&h); /* frees; everything is written */
    if (code) {
        (void)ext4_fail(e, code, "extended attributes");
        return err_ctx(e, "'%s'", node->name);
    }
    inode_clear_xattrs(inode); /* done, should there be another name */
    return 0;
}
