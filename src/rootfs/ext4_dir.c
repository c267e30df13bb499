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

/* Blocks that the entries fill from the position `used` of the first one on. */
static uint64_t count_blocks(const struct node *dir, unsigned used)
{
    uint64_t n = 1;

    for (const struct node *c = dir->first; c; c = c->next) {
        unsigned len = entry_len(c->name_len);

        if (used + len > DIR_ROOM) {
            n++;
            used = 0;
        }
        used += len;
    }
    return n;
}

/* More than one block: a hash tree, or every lookup would read half of the directory. */
int ext4_plan_dir(struct ext4_writer *w, struct node *dir, struct err *e)
{
    uint64_t n = count_blocks(dir, entry_len(1) + entry_len(2));
    int r = 0;

    if (n > 1) {
        r = ext4_htree_sort(w, dir, e);
        n = r < 0 ? 0 : ext4_htree_blocks(count_blocks(dir, 0));
        dir->inode->indexed = true;
    }
    if (r == 0)
        r = map_dir(w, dir->inode, n, e);
    return r < 0 ? r : ext4_plan_inode(w, dir, e);
}

static uint64_t physical_of(const struct inode *inode, uint32_t logical)
{
    const struct extent *x = inode->extents;

    while (logical >= x->logical + x->blocks)
        x++;
    return x->physical + (logical - x->logical);
}

int ext4_dir_write(struct dir_out *o, uint32_t logical, void *block, struct err *e)
{
    errcode_t code = ext2fs_write_dir_block4(o->w->fs, physical_of(o->inode, logical), block, 0,
                                             o->inode->number);

    return code ? ext4_fail(e, code, "write directory") : 0;
}

int ext4_dir_flush(struct dir_out *o, struct err *e)
{
    struct ext2_dir_entry *last = (void *)(o->buf + o->last);
    int r;

    last->rec_len = (uint16_t)(DIR_ROOM - o->last);
    ext2fs_initialize_dirent_tail(o->w->fs, EXT2_DIRENT_TAIL(o->buf, BLOCK_SIZE));
    r = ext4_dir_write(o, o->logical, o->buf, e);
    if (r < 0)
        return r;
    memset(o->buf, 0, sizeof(o->buf));
    o->used = o->last = 0;
    o->logical++;
    return 0;
}

int ext4_file_type(uint32_t mode)
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

bool ext4_dir_fits(const struct dir_out *o, size_t name_len)
{
    return o->used + entry_len(name_len) <= DIR_ROOM;
}

int ext4_dir_put(struct dir_out *o, const char *name, size_t name_len, const struct inode *inode,
                 struct err *e)
{
    unsigned len = entry_len(name_len);
    struct ext2_dir_entry *d;
    int r;

    if (!ext4_dir_fits(o, name_len)) {
        r = ext4_dir_flush(o, e);
        if (r < 0)
            return r;
    }
    d = (void *)(o->buf + o->used);
    d->inode = inode->number;
    d->rec_len = (uint16_t)len;
    d->name_len = (uint16_t)(name_len | (unsigned)ext4_file_type(inode->mode) << 8);
    memcpy(o->buf + o->used + 8, name, name_len);
    o->last = o->used;
    o->used += len;
    return 0;
}

int ext4_write_dir(struct ext4_writer *w, struct node *dir, struct err *e)
{
    struct dir_out o = { .w = w, .inode = dir->inode };
    int r;

    if (dir->inode->indexed)
        return ext4_htree_write(&o, dir, e);
    r = ext4_dir_put(&o, ".", 1, dir->inode, e);
    if (r == 0)
        r = ext4_dir_put(&o, "..", 2, dir->parent->inode, e);
    for (struct node *c = dir->first; r == 0 && c; c = c->next)
        r = ext4_dir_put(&o, c->name, c->name_len, c->inode, e);
    return r < 0 ? r : ext4_dir_flush(&o, e);
}
