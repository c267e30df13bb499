/*
 * Write a finished tree as an ext4 file system around the data blocks that are already there.
 *
 * Layout of the image file, in 4 KiB blocks:
 *
 *     0          super block
 *     1..64      room for the group descriptors of EXT4_GROUPS_MAX groups
 *     65..       file data as it streamed in, then directories, long symlinks, extent trees
 *     tail       all block bitmaps, inode bitmaps and inode tables
 *
 * flex_bg lets the tables lie at the end, where their size is known; sparse_super2 without
 * backups keeps every other block free for data. So the file system is made after its content, in
 * one pass, and exactly as large as needed (rounded up to 128 MiB of sparse file).
 */
#pragma once

#include "rootfs/blocks.h"
#include "rootfs/tree.h"

#define EXT4_FIRST_DATA_BLOCK 65u
#define EXT4_GROUPS_MAX       4096u  /* 512 GiB: what 64 descriptor blocks describe */
#define EXT4_GROUP_BLOCKS     32768u /* what one bitmap block describes */

struct ext4_params {
    uint8_t uuid[16];
    int64_t time_s; /* of its making; nothing else in the image depends on the clock */
};

/* Writes to `path`, the file behind blocks->fd. The tree gets its inode numbers. */
int ext4_write(const char *path, struct tree *tree, struct blocks *blocks,
               const struct ext4_params *params, struct err *e) MUST_CHECK;
