/* An I/O channel of libext2fs that keeps in memory what is written, over the channel it reads. */
#include "rootfs/journal_internal.h"
#include "util/own.h"

#include <search.h>
#include <string.h>

#define KEPT_MAX 262144u /* blocks: 1 GiB. Our journals have 1024 */

struct kept {
    uint64_t block;
    char data[];
};

struct layered {
    io_channel below; /* owned */
    void *kept;       /* struct kept by block, tsearch() */
    uint32_t kept_n;
};

static int compare(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return 0;
}

static size_t span(io_channel ch, int count)
{
    return count < 0 ? (size_t)-count : (size_t)count * (size_t)ch->block_size;
}

static errcode_t layered_read(io_channel ch, unsigned long long block, int count, void *data)
{
    struct layered *l = ch->private_data;
    errcode_t code = io_channel_read_blk64(l->below, block, count, data);
    size_t left = span(ch, count), size = (size_t)ch->block_size;

    for (char *at = data; code == 0 && left; block++) {
        struct kept key = { .block = block }, **found = tfind(&key, &l->kept, compare);
        size_t n = left < size ? left : size;

        if (found)
            memcpy(at, (*found)->data, n);
        at += n;
        left -= n;
    }
    return code;
}

static errcode_t layered_write(io_channel ch, unsigned long long block, int count,
                               const void *data)
{
    struct layered *l = ch->private_data;
    size_t size = (size_t)ch->block_size;
    struct kept *kept, **found;

    if (count != 1)
        return EXT2_ET_OP_NOT_SUPPORTED;
    kept = malloc(sizeof(*kept) + size);
    if (!kept || l->kept_n == KEPT_MAX) {
        free(kept);
        return EXT2_ET_NO_MEMORY;
    }
    kept->block = block;
    found = tsearch(kept, &l->kept, compare);
    if (!found || *found != kept)
        free(kept);
    else
        l->kept_n++;
    if (!found)
        return EXT2_ET_NO_MEMORY;
    memcpy((*found)->data, data, size);
    return 0;
}

static errcode_t layered_read_old(io_channel ch, unsigned long block, int count, void *data)
{
    return layered_read(ch, block, count, data);
}

static errcode_t layered_write_old(io_channel ch, unsigned long block, int count,
                                   const void *data)
{
    return layered_write(ch, block, count, data);
}

static errcode_t layered_flush(io_channel ch UNUSED)
{
    return 0;
}

static errcode_t layered_close(io_channel ch)
{
    struct layered *l = ch->private_data;
    errcode_t code;

    if (ch->refcount-- > 1)
        return 0;
    code = io_channel_close(l->below);
    tdestroy(l->kept, free);
    free(l);
    free(ch);
    return code;
}

static errcode_t layered_set_blksize(io_channel ch, int size)
{
    return size == ch->block_size ? 0 : EXT2_ET_OP_NOT_SUPPORTED;
}

int journal_io_push(ext2_filsys fs, struct err *e)
{
    static const struct struct_io_manager manager = {
        .magic = EXT2_ET_MAGIC_IO_MANAGER,
        .name = "in memory",
        .close = layered_close,
        .set_blksize = layered_set_blksize,
        .read_blk = layered_read_old,
        .write_blk = layered_write_old,
        .flush = layered_flush,
        .read_blk64 = layered_read,
        .write_blk64 = layered_write,
    };
    struct layered *l = calloc(1, sizeof(*l));
    io_channel ch = calloc(1, sizeof(*ch));

    if (!l || !ch) {
        free(l);
        free(ch);
        return err_os(e, "journal");
    }
    l->below = fs->io;
    *ch = *fs->io;
    ch->manager = (struct struct_io_manager *)(uintptr_t)&manager;
    ch->private_data = l;
    ch->refcount = 1;
    if (fs->image_io == fs->io)
        fs->image_io = ch;
    fs->io = ch;
    return 0;
}
