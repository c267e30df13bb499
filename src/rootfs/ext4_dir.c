#include "rootfs/ext4_internal.h"

#include <string.h>

#define DIR_ROOM (BLOCK_SIZE - sizeof(struct ext2_dir_entry_tail)) /* of a block, for entries */

static unsigned entry_len(size_t name_len)
{
    return (unsigned)(8 + name_len + 3) & ~3u;
}

static int map_dir(struct ext4_writer *w, struct inode *inode, uint64_t n, struct err *e)
{
    uint64_t first;
    int r;

    r = blocks_take(w->blocks, n, &first, e);
    if (r < 0)
        return r;
    for (uint64_t i = 0; i < n; i++)
        if (!inode_map(inode, (uint32_t)i, first + i, UINT32_MAX))
            return err_os(e, "directory");
    inode->size = n * BLOCK_SIZE;
    return 0;
}

int ext4_plan_dir(struct ext4_writer *w, struct node *dir, struct err *e)
{
    unsigned used = entry_len(1) + entry_len(2);
    uint64_t n = 1;
    int r;

    for (struct node *c = dir->first; c; c = c->next) {
        unsigned len = entry_len(c->name_len);

        if (used + len > DIR_ROOM) {
            n++;
            used = 0;
        }
        used += len;
    }
    r = map_dir(w, dir->inode, n, e);
    return r < 0 ? r : ext4_plan_inode(w, dir, e);
}

struct dir_out {
    struct ext4_writer *w;
    const struct inode *inode;
    uint32_t logical;
    unsigned used, last; /* bytes used in buf; where its last entry is */
    _Alignas(8) char buf[BLOCK_SIZE];
};

static uint64_t physical_of(const struct inode *inode, uint32_t logical)
{
    const struct extent *x = inode->extents;

    while (logical >= x->logical + x->blocks)
        x++;
    return x->physical + (logical - x->logical);
}

static int put_block(struct dir_out *o, struct err *e)
{
    struct ext2_dir_entry *last = (void *)(o->buf + o->last);
    errcode_t code;

    last->rec_len = (uint16_t)(DIR_ROOM - o->last);
    ext2fs_initialize_dirent_tail(o->w->fs, EXT2_DIRENT_TAIL(o->buf, BLOCK_SIZE));
    code = ext2fs_write_dir_block4(o->w->fs, physical_of(o->inode, o->logical), o->buf, 0,
                                   o->inode->number);
    if (code)
        return ext4_fail(e, code, "write directory");
    memset(o->buf, 0, sizeof(o->buf));
    o->used = o->last = 0;
    o->logical++;
    return 0;
}

static int file_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return EXT2_FT_DIR;
    case S_IFLNK:
        return EXT2_FT_SYMLINK;
    case S_IFCHR:
        return EXT2_FT_CHRDEV;
    case S_IFBLK:
        return EXT2_FT_BLKDEV;
    case S_IFIFO:
        return EXT2_FT_FIFO;
    default:
        return EXT2_FT_REG_FILE;
    }
}

static int put_entry(struct dir_out *o, const char *name, size_t name_len,
                     const struct inode *inode, struct err *e)
{
    unsigned len = entry_len(name_len);
    struct ext2_dir_entry *d;
    int r;

    if (o->used + len > DIR_ROOM) {
        r = put_block(o, e);
        if (r < 0)
            return r;
    }
    d = (void *)(o->buf + o->used);
    d->inode = inode->number;
    d->rec_len = (uint16_t)len;
    d->name_len = (uint16_t)(name_len | (unsigned)file_type(inode->mode) << 8);
    memcpy(o->buf + o->used + 8, name, name_len);
    o->last = o->used;
    o->used += len;
    return 0;
}

int ext4_write_dir(struct ext4_writer *w, struct node *dir, struct err *e)
{
    struct dir_out o = { .w = w, .inode = dir->inode };
    int r;

    r = put_entry(&o, ".", 1, dir->inode, e);
    if (r == 0)
        r = put_entry(&o, "..", 2, dir->parent->inode, e);
    for (struct node *c = dir->first; r == 0 && c; c = c->next)
        r = put_entry(&o, c->name, c->name_len, c->inode, e);
    return r < 0 ? r : put_block(&o, e);
}
