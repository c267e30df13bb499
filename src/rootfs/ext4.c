#include "rootfs/ext4_internal.h"

#include <assert.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "inodes are written as they lie in memory");

#define INODE_SIZE    256
#define FIRST_INODE   11 /* 1..10 are reserved; 2 is the root */
#define INODES_IN_BLK (BLOCK_SIZE / INODE_SIZE)

int ext4_fail(struct err *e, errcode_t code, const char *what)
{
    /* libext2fs mixes errno values with its own codes, which begin high above them. */
    if (code > 0 && code < 4096)
        return err_os_at(e, (int)code, "ext4: %s", what);
    return err_set(e, ERR_SYSTEM, "ext4: %s: %s", what, error_message(code));
}

/* Number a directory's entries, then go down: what is listed together lies together. */
static int plan(struct ext4_writer *w, struct node *dir, struct err *e)
{
    int r;

    r = ext4_plan_dir(w, dir, e);
    for (struct node *n = dir->first; r == 0 && n; n = n->next) {
        if (n->inode->number)
            continue; /* a further name */
        n->inode->number = ++w->inodes_n;
        if (!node_is_dir(n))
            r = ext4_plan_inode(w, n, e);
    }
    for (struct node *n = dir->first; r == 0 && n; n = n->next)
        if (node_is_dir(n))
            r = plan(w, n, e);
    return r;
}

/* The number of block groups that hold data, tables and attribute blocks. */
static int count_groups(const struct ext4_writer *w, uint32_t *ret, struct err *e)
{
    for (uint64_t g = 1; g <= EXT4_GROUPS_MAX; g++) {
        uint64_t per_group = (w->inodes_n + g - 1) / g;
        uint64_t table = (per_group + INODES_IN_BLK - 1) / INODES_IN_BLK;
        uint64_t need = w->blocks->next + g * (2 + table) + w->xattrs_n + 1;

        if (per_group <= EXT4_GROUP_BLOCKS - INODES_IN_BLK && need <= g * EXT4_GROUP_BLOCKS) {
            *ret = (uint32_t)g;
            return 0;
        }
    }
    return err_set(e, ERR_LIMIT, "the image would be larger than %u GiB", EXT4_GROUPS_MAX / 8);
}

static void describe(const struct ext4_writer *w, uint32_t groups, struct ext2_super_block *ret)
{
    *ret = (struct ext2_super_block){
        .s_rev_level = EXT2_DYNAMIC_REV,
        .s_log_block_size = 2,
        .s_log_cluster_size = 2,
        .s_blocks_per_group = EXT4_GROUP_BLOCKS,
        .s_inode_size = INODE_SIZE,
        .s_inodes_count = w->inodes_n,
        .s_desc_size = EXT2_MIN_DESC_SIZE_64BIT,
        .s_log_groups_per_flex = 4,
        .s_feature_compat = EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_DIR_INDEX |
                            EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
        .s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
                              EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG,
        .s_feature_ro_compat =
            EXT2_FEATURE_RO_COMPAT_LARGE_FILE | EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
            EXT4_FEATURE_RO_COMPAT_DIR_NLINK | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
            EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
    };
    ext2fs_blocks_count_set(ret, (blk64_t)groups * EXT4_GROUP_BLOCKS);
}

static void fill_super(const struct ext4_writer *w)
{
    struct ext2_super_block *s = w->fs->super;
    uint32_t now = (uint32_t)w->params->time_s;

    w->fs->now = (time_t)now;
    memcpy(s->s_uuid, w->params->uuid, sizeof(s->s_uuid));
    memcpy(s->s_hash_seed, w->params->uuid, sizeof(s->s_hash_seed));
    s->s_checksum_type = EXT2_CRC32C_CHKSUM; /* ext2fs_initialize() does not copy it */
    s->s_def_hash_version = EXT2_HASH_HALF_MD4;
    s->s_flags |= EXT2_FLAGS_UNSIGNED_HASH; /* the same on x86_64 and arm64 */
    s->s_mkfs_time = s->s_lastcheck = now;
    s->s_max_mnt_count = -1;
    s->s_errors = EXT2_ERRORS_RO;
    s->s_state |= EXT2_VALID_FS;
    s->s_want_extra_isize = s->s_min_extra_isize =
        sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
    s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
    ext2fs_init_csum_seed(w->fs);
}

/* All tables in one piece behind the data. */
static int place_tables(struct ext4_writer *w, struct err *e)
{
    ext2_filsys fs = w->fs;
    uint64_t groups = fs->group_desc_count, itable = fs->inode_blocks_per_group;
    uint64_t n = groups * (2 + itable), base;
    int r;

    r = blocks_take(w->blocks, n, &base, e);
    if (r < 0)
        return r;
    if (base + n + w->xattrs_n > ext2fs_blocks_count(fs->super))
        return err_set(e, ERR_INTERNAL, "ext4: the tables do not fit");
    for (dgrp_t g = 0; g < groups; g++) {
        ext2fs_block_bitmap_loc_set(fs, g, base + g);
        ext2fs_inode_bitmap_loc_set(fs, g, base + groups + g);
        ext2fs_inode_table_loc_set(fs, g, base + 2 * groups + g * itable);
        /* The file is sparse: unwritten means zero. */
        ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED);
        ext2fs_group_desc_csum_set(fs, g);
    }
    while (n) {
        blk_t some = n > EXT4_GROUP_BLOCKS ? EXT4_GROUP_BLOCKS : (blk_t)n;

        ext2fs_block_alloc_stats_range(fs, base, some, +1);
        base += some;
        n -= some;
    }
    for (ext2_ino_t ino = 1; ino < FIRST_INODE; ino++)
        ext2fs_inode_alloc_stats2(fs, ino, +1, ino == EXT2_ROOT_INO);
    return 0;
}

static int write_tree(struct ext4_writer *w, struct node *dir, struct err *e)
{
    int r;

    r = ext4_write_dir(w, dir, e);
    if (r == 0)
        r = ext4_write_inode(w, dir, e);
    for (struct node *n = dir->first; r == 0 && n; n = n->next)
        if (!node_is_dir(n))
            r = ext4_write_inode(w, n, e);
    for (struct node *n = dir->first; r == 0 && n; n = n->next)
        if (node_is_dir(n))
            r = write_tree(w, n, e);
    return r;
}

static int write_xattrs(struct ext4_writer *w, struct node *node, struct err *e)
{
    int r;

    r = ext4_write_xattrs(w, node, e);
    for (struct node *n = node->first; r == 0 && n; n = n->next)
        r = write_xattrs(w, n, e);
    return r;
}

static int create(struct ext4_writer *w, const char *path, uint32_t groups, struct err *e)
{
    struct ext2_super_block param;
    errcode_t code;
    int r;

    describe(w, groups, &param);
    code = ext2fs_initialize(path, EXT2_FLAG_64BITS, &param, unix_io_manager, &w->fs);
    if (code)
        return ext4_fail(e, code, "create");
    fill_super(w);
    r = place_tables(w, e);
    if (r == 0)
        r = write_tree(w, w->tree->root, e);
    if (r == 0 && w->xattrs_n)
        r = write_xattrs(w, w->tree->root, e);
    if (r == 0)
        r = blocks_flush(w->blocks, e);
    if (r < 0) {
        ext2fs_free(w->fs);
        return r;
    }
    code = ext2fs_close_free(&w->fs);
    return code ? ext4_fail(e, code, "finish") : 0;
}

int ext4_write(const char *path, struct tree *tree, struct blocks *blocks,
               const struct ext4_params *params, struct err *e)
{
    struct ext4_writer w = {
        .tree = tree, .blocks = blocks, .params = params, .inodes_n = FIRST_INODE - 1
    };
    uint32_t groups = 0;
    int r;

    initialize_ext2_error_table();
    tree->root->inode->number = EXT2_ROOT_INO;
    r = plan(&w, tree->root, e);
    if (r == 0 && w.inodes_n < FIRST_INODE)
        w.inodes_n = FIRST_INODE; /* an empty image still has a full first table block */
    if (r == 0)
        r = count_groups(&w, &groups, e);
    if (r < 0)
        return r;
    if (ftruncate(blocks->fd, (off_t)groups * EXT4_GROUP_BLOCKS * BLOCK_SIZE) < 0)
        return err_os(e, "image size");
    return create(&w, path, groups, e);
}
