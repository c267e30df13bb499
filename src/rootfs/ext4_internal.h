/* What ext4.c, ext4_inode.c and ext4_dir.c share. */
#pragma once

#include "rootfs/ext4.h"

#include <ext2fs/ext2fs.h>

struct ext4_writer {
    ext2_filsys fs; /* NULL while planning */
    struct tree *tree;
    struct blocks *blocks;
    const struct ext4_params *params;
    uint32_t inodes_n; /* highest number given */
    uint64_t xattrs_n; /* inodes that may need an attribute block */
};

int ext4_fail(struct err *e, errcode_t code, const char *what) NONNULL(1, 3);

/* Planning: take the blocks that an inode needs besides its data. */
int ext4_plan_inode(struct ext4_writer *w, struct node *node, struct err *e) MUST_CHECK;
/* Mark everything it uses, write its extent tree and the inode. */
int ext4_write_inode(struct ext4_writer *w, struct node *node, struct err *e) MUST_CHECK;
/* When all inodes are written: attribute blocks are taken from what is still free. */
int ext4_write_xattrs(struct ext4_writer *w, struct node *node, struct err *e) MUST_CHECK;

/* What a name in a directory says of its inode: EXT2_FT_*. overlay_write.c writes such, too. */
int ext4_file_type(uint32_t mode);

int ext4_plan_dir(struct ext4_writer *w, struct node *dir, struct err *e) MUST_CHECK;
int ext4_write_dir(struct ext4_writer *w, struct node *dir, struct err *e) MUST_CHECK;

/* Fills blocks of a directory one after the other. */
struct dir_out {
    struct ext4_writer *w;
    const struct inode *inode;
    uint32_t logical;    /* of the block in buf */
    unsigned used, last; /* bytes used in buf; where its last entry is */
    _Alignas(8) char buf[BLOCK_SIZE];
};

bool ext4_dir_fits(const struct dir_out *o, size_t name_len);
int ext4_dir_put(struct dir_out *o, const char *name, size_t name_len, const struct inode *inode,
                 struct err *e) MUST_CHECK;
int ext4_dir_flush(struct dir_out *o, struct err *e) MUST_CHECK;
int ext4_dir_write(struct dir_out *o, uint32_t logical, void *block, struct err *e) MUST_CHECK;

/* Order the children by the hash of their names. */
int ext4_htree_sort(struct ext4_writer *w, struct node *dir, struct err *e) MUST_CHECK;
/* Blocks of a directory with that many leaves. */
uint64_t ext4_htree_blocks(uint64_t leaves);
int ext4_htree_write(struct dir_out *o, struct node *dir, struct err *e) MUST_CHECK;
