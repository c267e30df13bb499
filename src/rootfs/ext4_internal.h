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

int ext4_plan_dir(struct ext4_writer *w, struct node *dir, struct err *e) MUST_CHECK;
int ext4_write_dir(struct ext4_writer *w, struct node *dir, struct err *e) MUST_CHECK;
