/* An I/O channel of libext2fs that keeps in memory what is written, over the channel it reads. */
#include "rootfs/journal_internal.h"
#include "util/own.h"

#include <search.h>
#include <stdbool.h>
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
    size_t size; /* of a block here, whatever libext2fs has set for the moment */
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
    errcode_t code = (size_t)ch->block_size == l->size
                         ? io_channel_read_blk64(l->below, block, count, data)
                         : EXT2_ET_OP_NOT_SUPPORTED;
    size_t left = span(ch, count), size = l->size;

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

/* The block's content in memory, to be changed; from below when it is not there yet. */
static errcode_t keep(io_channel ch, uint64_t block, bool whole, char **ret)
{
    struct layered *l = ch->private_data;
    size_t size = l->size;
    struct kept key = { .block = block }, **found = tfind(&key, &l->kept, compare), *kept;
    errcode_t code = 0;

    if (found) {
        *ret = (*found)->data;
        return 0;
    }
    kept = malloc(sizeof(*kept) + size);
    if (!kept || l->kept_n == KEPT_MAX) {
        free(kept);
        return EXT2_ET_NO_MEMORY;
    }
    kept->block = block;
    if (!whole)
        code = io_channel_read_blk64(l->below, block, 1, kept->data);
    if (code == 0 && !tsearch(kept, &l->kept, compare))
        code = EXT2_ET_NO_MEMORY;
    if (code) {
        free(kept);
        return code;
    }
    l->kept_n++;
    *ret = kept->data;
    return 0;
}

/* What is the same already need not be kept: libext2fs writes all bitmaps when one has changed.
 */
static errcode_t write_block(io_channel ch, uint64_t block, const char *data, size_t len,
                             char *scratch)
{
    size_t size = ((struct layered *)ch->private_data)->size;
    errcode_t code = layered_read(ch, block, 1, scratch);
    char *at;

    if (code || memcmp(scratch, data, len) == 0)
        return code;
    code = keep(ch, block, len == size, &at);
    if (code == 0)
        memcpy(at, data, len);
    return code;
}

/* A part of a block. */
static errcode_t write_part(io_channel ch, uint64_t offset, size_t len, const void *data)
{
    size_t size = ((struct layered *)ch->private_data)->size, at = offset % size;
    errcode_t code;
    char *block;

    if (len > size - at)
        return EXT2_ET_OP_NOT_SUPPORTED;
    code = keep(ch, offset / size, false, &block);
    if (code == 0)
        memcpy(block + at, data, len);
    return code;
}

static errcode_t layered_write(io_channel ch, unsigned long long block, int count,
                               const void *data)
{
    struct layered *l = ch->private_data;
    size_t left = span(ch, count), size = l->size;
    autofree char *scratch = malloc(size);
    errcode_t code = scratch ? 0 : EXT2_ET_NO_MEMORY;

    if ((size_t)ch->block_size != size) /* the super block */
        return write_part(ch, block * (uint64_t)ch->block_size, left, data);
    for (const char *at = data; code == 0 && left; block++) {
        size_t n = left < size ? left : size;

        code = write_block(ch, block, at, n, scratch);
        at += n;
        left -= n;
    }
    return code;
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
    ch->block_size = size;
    return 0;
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
    l->size = fs->blocksize;
    *ch = *fs->io;
    ch->manager = (struct struct_io_manager *)(uintptr_t)&manager;
    ch->private_data = l;
    ch->refcount = 1;
    if (fs->image_io == fs->io)
        fs->image_io = ch;
    fs->io = ch;
    return 0;
}

io_channel journal_io_below(ext2_filsys fs)
{
    return ((struct layered *)fs->io->private_data)->below;
}

void journal_io_pop(ext2_filsys fs)
{
    io_channel ch = fs->io;
    struct layered *l = ch->private_data;

    if (fs->image_io == ch)
        fs->image_io = l->below;
    fs->io = l->below;
    tdestroy(l->kept, free);
    free(l);
    free(ch);
}

uint32_t journal_io_kept(ext2_filsys fs)
{
    return ((struct layered *)fs->io->private_data)->kept_n;
}

struct each {
    journal_io_fn *take;
    void *ctx;
    int r;
};

static void visit(const void *node, VISIT which, void *ctx)
{
    const struct kept *kept = *(struct kept *const *)node;
    struct each *each = ctx;

    if ((which == postorder || which == leaf) && each->r == 0)
        each->r = each->take(each->ctx, kept->block, kept->data);
}

int journal_io_each(ext2_filsys fs, journal_io_fn *take, void *ctx)
{
    struct layered *l = fs->io->private_data;
    struct each each = { take, ctx, 0 };

    twalk_r(l->kept, visit, &each);
    return each.r;
}

void journal_io_clear(ext2_filsys fs)
{
    struct layered *l = fs->io->private_data;

    tdestroy(l->kept, free);
    l->kept = NULL;
    l->kept_n = 0;
}

errcode_t journal_io_data(ext2_filsys fs, uint64_t block, int count, const void *data)
{
    struct layered *l = fs->io->private_data;

    for (int i = 0; i < count; i++) {
        struct kept key = { .block = block + (uint64_t)i };
        struct kept **found = tfind(&key, &l->kept, compare), *kept;

        if (!found)
            continue;
        kept = *found; /* it was metadata's until now */
        (void)tdelete(&key, &l->kept, compare);
        free(kept);
        l->kept_n--;
    }
    return io_channel_write_blk64(l->below, block, count, data);
}
