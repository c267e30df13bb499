#include "rootfs/journal_internal.h"

#include "util/cur.h"
#include "util/own.h"

#include <string.h>

#define BLOCK_BYTES_MIN    1024u
#define KNOWN              (HAS_REVOKE | HAS_64BIT | HAS_ASYNC_COMMIT | HAS_CSUM_2 | HAS_CSUM_3)
#define JOURNAL_BLOCKS_MAX (1u << 20) /* 4 GiB; ours has 1024 */
struct revoked {
    uint64_t block;
    uint32_t sequence;
};

enum pass { PASS_SCAN, PASS_REVOKE, PASS_REPLAY };

static int corrupt(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "the disk's journal is damaged: %s", what);
}

int journal_failed(struct err *e, errcode_t code, const char *what)
{
    if (code > 0 && code < 4096)
        return err_os_at(e, (int)code, "journal: %s", what);
    return err_set(e, ERR_CORRUPT, "journal: %s: %s", what, error_message(code));
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool journal_needed(ext2_filsys fs)
{
    return ext2fs_has_feature_journal_needs_recovery(fs->super) != 0;
}

/* ---- the journal's file ------------------------------------------------ */

static int map_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t logical, blk64_t ref UNUSED,
                     int offset UNUSED, void *ctx)
{
    struct journal *j = ctx;

    if (logical >= 0 && logical < j->blocks_n && *block < ext2fs_blocks_count(fs->super))
        j->map[logical] = *block;
    return 0;
}

/* Reading and writing blocks of the log. A hole cannot be in it. */
int journal_log_io(struct journal *j, io_channel io, uint32_t logical, bool write, void *buf,
                   struct err *e)
{
    errcode_t code;

    if (logical >= j->blocks_n || j->map[logical] == 0)
        return corrupt(e, "a block is missing");
    code = write ? io_channel_write_blk64(io, j->map[logical], 1, buf)
                 : io_channel_read_blk64(io, j->map[logical], 1, buf);
    return code ? journal_failed(e, code, write ? "write" : "read") : 0;
}

static int open_file(struct journal *j, struct err *e)
{
    struct ext2_inode inode;
    errcode_t code;
    uint64_t blocks;

    if (j->fs->super->s_journal_inum != EXT2_JOURNAL_INO)
        return err_set(e, ERR_UNSUPPORTED, "the disk's journal is not in its usual place");
    code = ext2fs_read_inode(j->fs, EXT2_JOURNAL_INO, &inode);
    if (code)
        return journal_failed(e, code, "inode");
    blocks = EXT2_I_SIZE(&inode) / j->fs->blocksize;
    if (!LINUX_S_ISREG(inode.i_mode) || blocks < 2 || blocks > JOURNAL_BLOCKS_MAX)
        return corrupt(e, "its size");
    j->blocks_n = (uint32_t)blocks;
    j->map = calloc(blocks, sizeof(*j->map));
    j->block = malloc(j->fs->blocksize);
    j->data = malloc(j->fs->blocksize);
    if (!j->map || !j->block || !j->data)
        return err_os(e, "journal");
    code = ext2fs_block_iterate3(j->fs, EXT2_JOURNAL_INO,
                                 BLOCK_FLAG_DATA_ONLY | BLOCK_FLAG_READ_ONLY, NULL, map_block, j);
    return code ? journal_failed(e, code, "blocks") : 0;
}

static int read_super(struct journal *j, struct err *e)
{
    const uint8_t *s = j->block;
    uint32_t max, type;
    int r = journal_log_io(j, j->fs->io, 0, false, j->block, e);

    if (r < 0)
        return r;
    type = be32(s + 4);
    max = be32(s + 16);
    if (be32(s) != JOURNAL_MAGIC || (type != TYPE_SUPER_1 && type != TYPE_SUPER_2) ||
        be32(s + SUPER_BLOCKSIZE) != j->fs->blocksize || j->fs->blocksize < BLOCK_BYTES_MIN)
        return corrupt(e, "its super block");
    j->incompat = type == TYPE_SUPER_2 ? be32(s + SUPER_INCOMPAT) : 0;
    if (j->incompat & ~(uint32_t)KNOWN)
        return err_set(e, ERR_UNSUPPORTED, "the disk's journal has unknown features (%#x)",
                       j->incompat & ~(uint32_t)KNOWN);
    j->first = be32(s + 20);
    j->sequence = be32(s + SUPER_SEQUENCE);
    j->start = be32(s + SUPER_START);
    j->last = max < j->blocks_n ? max : j->blocks_n;
    if (j->first < 1 || j->first >= j->last ||
        (j->start && (j->start < j->first || j->start >= j->last)))
        return corrupt(e, "its bounds");
    j->seed = ext2fs_crc32c_le(~0u, s + SUPER_UUID, 16);
    return 0;
}

static bool has_csum(const struct journal *j)
{
    return (j->incompat & (HAS_CSUM_2 | HAS_CSUM_3)) != 0;
}

/* ---- checksums --------------------------------------------------------- */

/* Of a block that has its own checksum at `at`, computed with zeros there. */
static bool block_sums(struct journal *j, uint8_t *block, size_t at)
{
    uint32_t want = be32(block + at), got;

    memset(block + at, 0, 4);
    got = ext2fs_crc32c_le(j->seed, block, j->fs->blocksize);
    put_u32be(block + at, want);
    return got == want;
}

struct tag {
    uint64_t block;
    uint32_t flags, csum;
};

static bool data_sums(const struct journal *j, const struct tag *tag, uint32_t sequence)
{
    uint8_t text[4];
    uint32_t got;

    if (!has_csum(j))
        return true;
    put_u32be(text, sequence);
    got = ext2fs_crc32c_le(j->seed, text, sizeof(text));
    got = ext2fs_crc32c_le(got, j->data, j->fs->blocksize);
    return (j->incompat & HAS_CSUM_3) ? got == tag->csum : (got & 0xffff) == tag->csum;
}

/* ---- descriptors and revocations --------------------------------------- */

static struct cur body(const struct journal *j)
{
    size_t tail = has_csum(j) ? 4 : 0;

    return cur_of(j->block + JOURNAL_HEADER_BYTES,
                  j->fs->blocksize - JOURNAL_HEADER_BYTES - tail);
}

/* The next tag of a descriptor; false at its end. */
static bool next_tag(const struct journal *j, struct cur *c, struct tag *ret)
{
    uint32_t low, high = 0;
    uint16_t csum = 0, flags = 0;

    *ret = (struct tag){ 0 };
    if (!cur_u32be(c, &low))
        return false;
    if (j->incompat & HAS_CSUM_3) {
        if (!cur_u32be(c, &ret->flags) || !cur_u32be(c, &high) || !cur_u32be(c, &ret->csum))
            return false;
    } else {
        if (!cur_u16be(c, &csum) || !cur_u16be(c, &flags) ||
            ((j->incompat & HAS_64BIT) && !cur_u32be(c, &high)) ||
            ((j->incompat & HAS_CSUM_2) && !cur_skip(c, 2)))
            return false;
        ret->csum = csum;
        ret->flags = flags;
    }
    ret->block = low | ((j->incompat & HAS_64BIT) ? (uint64_t)high << 32 : 0);
    if (!(ret->flags & TAG_SAME_UUID) && !cur_skip(c, 16))
        return false;
    return true;
}

static int compare_revoked(const void *a, const void *b)
{
    const struct revoked *x = a, *y = b;

    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return 0;
}

static bool is_revoked(const struct journal *j, uint64_t block, uint32_t sequence)
{
    const struct revoked key = { .block = block };
    const struct revoked *found =
        j->revoked_n ? bsearch(&key, j->revoked, j->revoked_n, sizeof(key), compare_revoked)
                     : NULL;

    return found && (int32_t)(found->sequence - sequence) >= 0;
}

/* One row for each block: the last revocation counts. */
static void sort_revoked(struct journal *j)
{
    size_t n = 0;

    if (j->revoked_n)
        qsort(j->revoked, j->revoked_n, sizeof(*j->revoked), compare_revoked);
    for (size_t i = 0; i < j->revoked_n; i++) {
        struct revoked *last = n ? &j->revoked[n - 1] : NULL;

        if (!last || last->block != j->revoked[i].block)
            j->revoked[n++] = j->revoked[i];
        else if ((int32_t)(j->revoked[i].sequence - last->sequence) > 0)
            last->sequence = j->revoked[i].sequence;
    }
    j->revoked_n = n;
}

static int add_revoked(struct journal *j, uint64_t block, uint32_t sequence, struct err *e)
{
    if (j->revoked_n == j->revoked_cap) {
        size_t cap = j->revoked_cap ? 2 * j->revoked_cap : 1024;
        void *more = reallocarray(j->revoked, cap, sizeof(*j->revoked));

        if (!more)
            return err_os(e, "journal");
        j->revoked = more;
        j->revoked_cap = cap;
    }
    j->revoked[j->revoked_n++] = (struct revoked){ block, sequence };
    return 0;
}

static int take_revocations(struct journal *j, uint32_t sequence, struct err *e)
{
    struct cur c = body(j), list;
    uint32_t used, low;
    uint64_t block;
    int r = 0;

    if (has_csum(j) && !block_sums(j, j->block, j->fs->blocksize - 4))
        return corrupt(e, "a revocation's checksum");
    if (!cur_u32be(&c, &used) || used < JOURNAL_HEADER_BYTES + 4 ||
        !cur_sub(&c, used - JOURNAL_HEADER_BYTES - 4, &list))
        return corrupt(e, "a revocation's length");
    while (r == 0 && list.len) {
        if (j->incompat & HAS_64BIT) {
            if (!cur_u64be(&list, &block))
                break;
        } else {
            if (!cur_u32be(&list, &low))
                break;
            block = low;
        }
        r = add_revoked(j, block, sequence, e);
    }
    return r;
}

/* ---- passes ------------------------------------------------------------ */

static uint32_t after(const struct journal *j, uint32_t at)
{
    return at + 1 < j->last ? at + 1 : j->first;
}

/* j->data, a block of the log, to where it belongs. */
static int put_block(struct journal *j, const struct tag *tag, uint32_t sequence, struct err *e)
{
    errcode_t code;

    if (is_revoked(j, tag->block, sequence))
        return 0;
    if (tag->block >= ext2fs_blocks_count(j->fs->super))
        return corrupt(e, "a block is outside of the disk");
    if (!data_sums(j, tag, sequence))
        return corrupt(e, "a block's checksum");
    if (tag->flags & TAG_ESCAPE)
        put_u32be(j->data, JOURNAL_MAGIC);
    code = io_channel_write_blk64(j->fs->io, tag->block, 1, j->data);
    return code ? journal_failed(e, code, "write") : 0;
}

/* Moves *at behind the blocks that j->block describes. */
static int take_descriptor(struct journal *j, enum pass pass, uint32_t sequence, uint32_t *at,
                           struct err *e)
{
    struct cur c = body(j);
    uint32_t n = 0;
    struct tag tag;
    int r = 0;

    while (r == 0 && next_tag(j, &c, &tag)) {
        if (++n >= j->last - j->first)
            return corrupt(e, "a transaction is larger than it");
        if (pass == PASS_REPLAY) {
            r = journal_log_io(j, j->fs->io, *at, false, j->data, e);
            if (r == 0)
                r = put_block(j, &tag, sequence, e);
        }
        *at = after(j, *at);
        if (tag.flags & TAG_LAST)
            break;
    }
    return r;
}

/* Whether j->block, of this transaction, is as it was written; only then it counts. */
static bool is_whole(struct journal *j, uint32_t type)
{
    size_t end = j->fs->blocksize - 4;

    return !has_csum(j) || type == TYPE_REVOKE ||
           block_sums(j, j->block, type == TYPE_COMMIT ? 16 : end);
}

/* The log from its start to the first transaction that is not whole. */
static int walk(struct journal *j, enum pass pass, struct err *e)
{
    uint32_t at = j->start, sequence = j->sequence, left = j->last - j->first + 1, type;
    int r = 0;

    while (r == 0 && (pass == PASS_SCAN || sequence != j->end) && left-- > 0) {
        r = journal_log_io(j, j->fs->io, at, false, j->block, e);
        type = be32(j->block + 4);
        if (r < 0 || be32(j->block) != JOURNAL_MAGIC || be32(j->block + 8) != sequence ||
            (pass == PASS_SCAN && !is_whole(j, type)))
            break;
        at = after(j, at);
        if (type == TYPE_DESCRIPTOR && (r = take_descriptor(j, pass, sequence, &at, e)) < 0 &&
            pass == PASS_SCAN) {
            err_clear(e); /* written in part, so nothing was committed after it */
            r = 0;
            break;
        }
        if (type == TYPE_DESCRIPTOR)
            continue;
        if (type == TYPE_COMMIT)
            sequence++;
        else if (type == TYPE_REVOKE)
            r = pass == PASS_REVOKE ? take_revocations(j, sequence, e) : 0;
        else
            break;
    }
    if (pass == PASS_SCAN)
        j->end = sequence;
    return r;
}

static int sync_blocks(ext2_filsys fs, struct err *e)
{
    errcode_t code = io_channel_flush(fs->io);

    return code ? journal_failed(e, code, "flush") : 0;
}

int journal_write_super(struct journal *j, io_channel io, uint32_t start, uint32_t sequence,
                        struct err *e)
{
    uint8_t *s = j->block;
    int r = journal_log_io(j, io, 0, false, s, e);

    if (r < 0)
        return r;
    put_u32be(s + SUPER_SEQUENCE, sequence);
    put_u32be(s + SUPER_START, start);
    put_u32be(s + SUPER_INCOMPAT, j->incompat);
    if (has_csum(j)) {
        s[SUPER_CHECKSUM_TYPE] = 4; /* crc32c */
        memset(s + SUPER_CHECKSUM, 0, 4);
        put_u32be(s + SUPER_CHECKSUM, ext2fs_crc32c_le(~0u, s, SUPER_BYTES));
    }
    return journal_log_io(j, io, 0, true, s, e);
}

int journal_open(struct journal *j, ext2_filsys fs, struct err *e)
{
    int r;

    *j = (struct journal){ .fs = fs };
    r = open_file(j, e);
    return r < 0 ? r : read_super(j, e);
}

void journal_close(struct journal *j)
{
    free(j->map);
    free(j->block);
    free(j->data);
    free(j->revoked);
}

static int replay(struct journal *j, struct err *e)
{
    int r = walk(j, PASS_SCAN, e);

    if (r == 0)
        r = walk(j, PASS_REVOKE, e);
    if (r < 0)
        return r;
    sort_revoked(j);
    r = walk(j, PASS_REPLAY, e);
    if (r == 0)
        r = sync_blocks(j->fs, e);
    /* What is in its place needs no second time: the log is empty from here on. */
    if (r == 0)
        r = journal_write_super(j, j->fs->io, 0, j->end + 1, e);
    return r < 0 ? r : sync_blocks(j->fs, e);
}

int journal_replay(ext2_filsys fs, struct err *e)
{
    struct journal j;
    int r = journal_open(&j, fs, e);

    if (r == 0 && j.start)
        r = replay(&j, e);
    journal_close(&j);
    return r;
}

int journal_replay_in_memory(ext2_filsys fs, struct err *e)
{
    int r = journal_io_push(fs, e);

    if (r == 0)
        r = journal_replay(fs, e);
    if (r == 0 && ext2fs_flush_icache(fs))
        r = err_set(e, ERR_SYSTEM, "journal: inode cache");
    return r;
}

int journal_done(ext2_filsys fs, struct err *e)
{
    errcode_t code;

    ext2fs_clear_feature_journal_needs_recovery(fs->super);
    ext2fs_mark_super_dirty(fs);
    code = ext2fs_flush(fs);
    return code ? journal_failed(e, code, "super block") : 0;
}
