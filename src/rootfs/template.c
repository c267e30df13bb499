#include "rootfs/template.h"

#include "rootfs/ext4_internal.h"
#include "util/str.h"

#include <fcntl.h>
#include <string.h>

#define BYTES_PER_INODE 16384 /* mke2fs' default */
#define JOURNAL_BLOCKS  1024  /* 4 MiB, the smallest: every copied block costs start time */
#define FIRST_INODE     11

static void describe(uint64_t size, struct ext2_super_block *ret)
{
    uint64_t inodes = size / BYTES_PER_INODE;

    *ret = (struct ext2_super_block){
        .s_rev_level = EXT2_DYNAMIC_REV,
        .s_log_block_size = 2,
        .s_log_cluster_size = 2,
        .s_inode_size = 256,
        .s_inodes_count = inodes > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)inodes,
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
    ext2fs_blocks_count_set(ret, size / BLOCK_SIZE);
}

/* The same for all boxes: a disk is never mounted twice in one machine. */
static void fill_super(ext2_filsys fs)
{
    static const uint8_t uuid[16] = { 0xa3, 0x5b, 0x00, 0,   0,   0,   0x80,
                                      0,    0x80, 0,    'd', 'i', 's', 'k' };
    struct ext2_super_block *s = fs->super;

    fs->now = 1;
    memcpy(s->s_uuid, uuid, sizeof(uuid));
    memcpy(s->s_hash_seed, uuid, sizeof(uuid));
    s->s_checksum_type = EXT2_CRC32C_CHKSUM; /* ext2fs_initialize() does not copy it */
    s->s_def_hash_version = EXT2_HASH_HALF_MD4;
    s->s_flags |= EXT2_FLAGS_UNSIGNED_HASH;
    s->s_mkfs_time = s->s_lastcheck = 1;
    s->s_max_mnt_count = -1;
    s->s_state |= EXT2_VALID_FS;
    s->s_want_extra_isize = s->s_min_extra_isize =
        sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
    s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
    ext2fs_init_csum_seed(fs);
}

/* In the root; a NULL name is the root itself. */
static errcode_t make_dir(ext2_filsys fs, const char *name, uint16_t mode)
{
    ext2_ino_t ino = EXT2_ROOT_INO;
    struct ext2_inode inode;
    errcode_t code = ext2fs_mkdir(fs, EXT2_ROOT_INO, name ? 0 : EXT2_ROOT_INO, name);

    if (code == 0 && name)
        code = ext2fs_lookup(fs, EXT2_ROOT_INO, name, (int)strlen(name), NULL, &ino);
    if (code == 0)
        code = ext2fs_read_inode(fs, ino, &inode);
    if (code)
        return code;
    inode.i_mode = LINUX_S_IFDIR | mode;
    inode.i_uid = inode.i_gid = 0;
    return ext2fs_write_inode(fs, ino, &inode);
}

static errcode_t fill(ext2_filsys fs)
{
    errcode_t code;

    code = ext2fs_allocate_tables(fs);
    if (code)
        return code;
    for (dgrp_t g = 0; g < fs->group_desc_count; g++) {
        ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED); /* holes are zeros */
        ext2fs_group_desc_csum_set(fs, g);
    }
    code = make_dir(fs, NULL, 0755);
    if (code)
        return code;
    for (ext2_ino_t ino = 1; ino < FIRST_INODE; ino++)
        if (ino != EXT2_ROOT_INO)
            ext2fs_inode_alloc_stats2(fs, ino, +1, 0);
    /* What the guest's overlayfs works on; to make them there is half of the first mount. */
    code = make_dir(fs, "upper", 0755);
    if (code == 0)
        code = make_dir(fs, "work", 0700);
    if (code)
        return code;
    return ext2fs_add_journal_inode2(fs, JOURNAL_BLOCKS, ~0ULL, EXT2_MKJOURNAL_LAZYINIT);
}

static int create(uint64_t size, const char *path, struct err *e)
{
    struct ext2_super_block param;
    ext2_filsys fs = NULL;
    errcode_t code;

    initialize_ext2_error_table();
    describe(size, &param);
    code = ext2fs_initialize(path, EXT2_FLAG_64BITS, &param, unix_io_manager, &fs);
    if (code)
        return ext4_fail(e, code, "create");
    fill_super(fs);
    code = fill(fs);
    if (code) {
        ext2fs_free(fs);
        return ext4_fail(e, code, "fill");
    }
    code = ext2fs_close_free(&fs);
    return code ? ext4_fail(e, code, "finish") : 0;
}

int template_make(uint64_t size, const char *path, struct err *e)
{
    autofree char *tmp = str_format("%s.%d.tmp", path, (int)getpid());
    autofd int fd = -1;
    int r;

    if (!tmp)
        return err_os(e, "template");
    fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(e, "create %s", tmp);
    r = ftruncate(fd, (off_t)size) < 0 ? err_os(e, "template size") : create(size, tmp, e);
    if (r == 0 && fdatasync(fd) < 0)
        r = err_os(e, "sync %s", tmp);
    if (r == 0 && rename(tmp, path) < 0)
        r = err_os(e, "rename to %s", path);
    if (r < 0)
        (void)unlink(tmp); /* the first error is the one to report */
    return r;
}
