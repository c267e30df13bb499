#include "rootfs/journal_write.h"

#include "rootfs/journal_internal.h"
#include "util/cur.h"

#include <string.h>

#define TAG_BYTES  16u /* of version 3 */
#define UUID_BYTES 16u /* behind the first tag of a descriptor */

struct freed {
    uint64_t block;
    uint32_t count;
};

struct journal_writer {
    ext2_filsys fs;
    io_channel disk; /* borrowed; below the blocks in memory */
    struct journal journal;
    uint32_t at;       /* next block of the log */
    uint32_t sequence; /* of the next commit */
    bool begun, ended;
    size_t tags_n; /* in journal.block, a descriptor that is being made */
    uint32_t descriptor_at;
    struct freed *freed; /* owned */
    size_t freed_n, freed_cap;
};

static size_t tags_max(const struct journal_writer *w)
{
    return (w->fs->blocksize - JOURNAL_HEADER_BYTES - UUID_BYTES - 4) / TAG_BYTES;
}

static uint32_t room(const struct journal_writer *w)
{
    uint32_t log = w->journal.last - w->journal.first;

    return log - log / (uint32_t)tags_max(w) - 3; /* descriptors, commit */
}

static int sync_disk(struct journal_writer *w, struct err *e)
{
    errcode_t code = io_channel_flush(w->disk);

    return code ? journal_failed(e, code, "flush") : 0;
}

static int open_journal(struct journal_writer *w, struct err *e)
{
    struct ext2_super_block *s = w->fs->super;
    int r;

    if (!ext2fs_has_feature_journal(s) || !ext2fs_has_feature_metadata_csum(s) ||
        !ext2fs_has_feature_64bit(s))
        return err_set(e, ERR_UNSUPPORTED, "the disk has no journal with checksums");
    r = journal_open(&w->journal, w->fs, e);
    if (r < 0)
        return r;
    w->journal.incompat = HAS_REVOKE | HAS_64BIT | HAS_CSUM_3;
    w->sequence = w->journal.sequence;
    if (w->journal.start) /* but no recovery: what is in the log is over, and must not be found */
        w->sequence += w->journal.last - w->journal.first;
    return 0;
}

/* The log is empty but valid before the file system says that there is one. */
static int begin(struct journal_writer *w, struct err *e)
{
    errcode_t code;
    int r = open_journal(w, e);

    if (r == 0)
        r = journal_write_super(&w->journal, w->disk, w->journal.first, w->sequence, e);
    if (r == 0)
        r = sync_disk(w, e);
    if (r < 0)
        return r;
    ext2fs_set_feature_journal_needs_recovery(w->fs->super);
    ext2fs_mark_super_dirty(w->fs);
    code = ext2fs_flush(w->fs);
    if (code)
        return journal_failed(e, code, "super block");
    r = journal_io_push(w->fs, e);
    w->begun = r == 0;
    return r;
}

int journal_begin(ext2_filsys fs, struct journal_writer **ret, struct err *e)
{
    autoptr(journal_writer) w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_os(e, "journal");
    w->fs = fs;
    w->disk = fs->io;
    r = begin(w, e);
    if (r < 0)
        return r;
    *ret = take_ptr(w);
    return 0;
}

int journal_data(struct journal_writer *w, uint64_t block, int count, const void *data,
                 struct err *e)
{
    errcode_t code = journal_io_data(w->fs, block, count, data);

    return code ? journal_failed(e, code, "write data") : 0;
}

int journal_free_later(struct journal_writer *w, uint64_t block, uint32_t count, struct err *e)
{
    struct freed *last = w->freed_n ? &w->freed[w->freed_n - 1] : NULL;

    if (last && last->block + last->count == block && last->count <= UINT32_MAX - count) {
        last->count += count;
        return 0;
    }
    if (w->freed_n == w->freed_cap) {
        size_t cap = w->freed_cap ? 2 * w->freed_cap : 256;
        void *more = reallocarray(w->freed, cap, sizeof(*w->freed));

        if (!more)
            return err_os(e, "journal");
        w->freed = more;
        w->freed_cap = cap;
    }
    w->freed[w->freed_n++] = (struct freed){ block, count };
    return 0;
}

static void free_blocks(struct journal_writer *w)
{
    for (size_t i = 0; i < w->freed_n; i++)
        for (uint32_t k = 0; k < w->freed[i].count; k++)
            if (ext2fs_test_block_bitmap2(w->fs->block_map, w->freed[i].block + k))
                ext2fs_block_alloc_stats2(w->fs, w->freed[i].block + k, -1);
    w->freed_n = 0;
}

bool journal_is_filling(const struct journal_writer *w)
{
    return journal_io_kept(w->fs) > room(w) / 3;
}

/* ---- a transaction ----------------------------------------------------- */

static void put_header(uint8_t *block, uint32_t type, uint32_t sequence)
{
    put_u32be(block, JOURNAL_MAGIC);
    put_u32be(block + 4, type);
    put_u32be(block + 8, sequence);
}

static void put_sum(struct journal_writer *w, size_t at)
{
    uint8_t *block = w->journal.block;

    put_u32be(block + at, 0);
    put_u32be(block + at, ext2fs_crc32c_le(w->journal.seed, block, w->fs->blocksize));
}

static int put_log(struct journal_writer *w, uint32_t at, void *block, struct err *e)
{
    return journal_log_io(&w->journal, w->disk, at, true, block, e);
}

static uint8_t *tag_at(struct journal_writer *w, size_t i)
{
    return w->journal.block + JOURNAL_HEADER_BYTES + i * TAG_BYTES + (i ? UUID_BYTES : 0);
}

static int finish_descriptor(struct journal_writer *w, struct err *e)
{
    uint8_t *last;

    if (!w->tags_n)
        return 0;
    last = tag_at(w, w->tags_n - 1);
    last[7] |= TAG_LAST;
    put_sum(w, w->fs->blocksize - 4);
    w->tags_n = 0;
    return put_log(w, w->descriptor_at, w->journal.block, e);
}

struct filling {
    struct journal_writer *w;
    struct err *e;
};

/* A block of the transaction, behind its tag. A block that begins like one of ours is written
 * without that. */
static int log_block(void *ctx, uint64_t block, const void *data)
{
    struct filling *f = ctx;
    struct journal_writer *w = f->w;
    uint8_t *copy = w->journal.data, sequence[4], *tag;
    bool escape = memcmp(data, "\xc0\x3b\x39\x98", 4) == 0;
    uint32_t sum;

    if (!w->tags_n) {
        memset(w->journal.block, 0, w->fs->blocksize);
        put_header(w->journal.block, TYPE_DESCRIPTOR, w->sequence);
        w->descriptor_at = w->at++;
    }
    memcpy(copy, data, w->fs->blocksize);
    if (escape)
        memset(copy, 0, 4);
    put_u32be(sequence, w->sequence);
    sum = ext2fs_crc32c_le(w->journal.seed, sequence, 4);
    sum = ext2fs_crc32c_le(sum, copy, w->fs->blocksize);
    tag = tag_at(w, w->tags_n);
    put_u32be(tag, (uint32_t)block);
    put_u32be(tag + 4, (escape ? TAG_ESCAPE : 0u) | (w->tags_n ? TAG_SAME_UUID : 0u));
    put_u32be(tag + 8, (uint32_t)(block >> 32));
    put_u32be(tag + 12, sum);
    if (w->tags_n++ == 0)
        memcpy(tag + TAG_BYTES, w->fs->super->s_uuid, UUID_BYTES);
    if (put_log(w, w->at++, copy, f->e) < 0)
        return -1;
    return w->tags_n == tags_max(w) && finish_descriptor(w, f->e) < 0 ? -1 : 0;
}

static int log_commit(struct journal_writer *w, struct err *e)
{
    memset(w->journal.block, 0, w->fs->blocksize);
    put_header(w->journal.block, TYPE_COMMIT, w->sequence);
    put_sum(w, 16); /* h_chksum[0]; type and size are 0 in version 3 */
    return put_log(w, w->at++, w->journal.block, e);
}

static int write_log(struct journal_writer *w, struct err *e)
{
    struct filling f = { w, e };
    int r;

    w->at = w->journal.first;
    w->tags_n = 0;
    if (journal_io_each(w->fs, log_block, &f) < 0)
        return -(int)e->kind;
    r = finish_descriptor(w, e);
    if (r == 0)
        r = sync_disk(w, e); /* the data of files, too */
    if (r == 0)
        r = log_commit(w, e);
    return r < 0 ? r : sync_disk(w, e);
}

static int place_block(void *ctx, uint64_t block, const void *data)
{
    struct filling *f = ctx;
    errcode_t code = io_channel_write_blk64(f->w->disk, block, 1, data);

    return code ? journal_failed(f->e, code, "write") : 0;
}

/* The blocks to their places; then the log begins with the next transaction. */
static int write_places(struct journal_writer *w, struct err *e)
{
    struct filling f = { w, e };
    int r;

    if (journal_io_each(w->fs, place_block, &f) < 0)
        return -(int)e->kind;
    r = sync_disk(w, e);
    if (r == 0)
        r = journal_write_super(&w->journal, w->disk, w->journal.first, ++w->sequence, e);
    if (r == 0)
        r = sync_disk(w, e); /* before any of the log is written over */
    if (r == 0)
        journal_io_clear(w->fs);
    return r;
}

int journal_commit(struct journal_writer *w, struct err *e)
{
    errcode_t code;
    int r;

    free_blocks(w);
    code = ext2fs_flush(w->fs);
    if (code)
        return journal_failed(e, code, "flush");
    if (journal_io_kept(w->fs) == 0)
        return 0;
    if (journal_io_kept(w->fs) > room(w))
        return err_set(e, ERR_LIMIT, "one file changes more of the disk than its journal holds");
    r = write_log(w, e);
    return r < 0 ? r : write_places(w, e);
}

int journal_end(struct journal_writer *w, struct err *e)
{
    int r = journal_commit(w, e);

    if (r == 0)
        r = sync_disk(w, e);
    if (r < 0)
        return r;
    w->ended = true;
    journal_io_pop(w->fs);
    r = journal_write_super(&w->journal, w->disk, 0, w->sequence, e);
    if (r == 0)
        r = sync_disk(w, e);
    return r < 0 ? r : journal_done(w->fs, e);
}

void journal_writer_free(struct journal_writer *w)
{
    if (!w)
        return;
    if (w->begun && !w->ended)
        journal_io_pop(w->fs);
    journal_close(&w->journal);
    free(w->freed);
    free(w);
}
