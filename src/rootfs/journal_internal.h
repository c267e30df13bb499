/* journal*.c only. */
#pragma once

#include "rootfs/journal.h"
#include "util/attr.h"

/* From here on fs->io keeps what is written in memory. It goes with the file system. */
int journal_io_push(ext2_filsys fs, struct err *e) MUST_CHECK;
/* Forget all of it: fs->io is what it was. */
void journal_io_pop(ext2_filsys fs);

io_channel journal_io_below(ext2_filsys fs);
uint32_t journal_io_kept(ext2_filsys fs);
void journal_io_clear(ext2_filsys fs);

/* Every block kept, in ascending order, until one returns < 0, which is returned. */
typedef int journal_io_fn(void *ctx, uint64_t block, const void *data);
int journal_io_each(ext2_filsys fs, journal_io_fn *take, void *ctx);

/* File data into blocks that were free: past the memory. */
errcode_t journal_io_data(ext2_filsys fs, uint64_t block, int count, const void *data);

/* What the log and its reader agree on. */
#define JOURNAL_MAGIC        0xc03b3998u
#define JOURNAL_HEADER_BYTES 12u

enum journal_type { TYPE_DESCRIPTOR = 1, TYPE_COMMIT, TYPE_SUPER_1, TYPE_SUPER_2, TYPE_REVOKE };

enum journal_incompat {
    HAS_REVOKE = 0x1,
    HAS_64BIT = 0x2,
    HAS_ASYNC_COMMIT = 0x4,
    HAS_CSUM_2 = 0x8,
    HAS_CSUM_3 = 0x10,
};

enum journal_tag_flag { TAG_ESCAPE = 1, TAG_SAME_UUID = 2, TAG_LAST = 8 };

/* Byte positions in the journal's super block. */
enum {
    SUPER_BLOCKSIZE = 12,
    SUPER_SEQUENCE = 24,
    SUPER_START = 28,
    SUPER_INCOMPAT = 40,
    SUPER_UUID = 48,
    SUPER_CHECKSUM_TYPE = 80,
    SUPER_CHECKSUM = 0xfc,
    SUPER_BYTES = 1024,
};

/* The journal's file, opened. */
struct journal {
    ext2_filsys fs;
    blk64_t *map; /* owned; where the journal's blocks lie in the file system */
    uint32_t blocks_n;
    uint32_t first, last; /* the log is [first, last) and begins again at its end */
    uint32_t start, sequence, incompat, seed;
    uint32_t end;            /* the first transaction that is not whole */
    uint8_t *block, *data;   /* owned; the block of the log looked at, and one it describes */
    struct revoked *revoked; /* owned; sorted once all have been found */
    size_t revoked_n, revoked_cap;
};

int journal_open(struct journal *j, ext2_filsys fs, struct err *e) MUST_CHECK;
void journal_close(struct journal *j);
int journal_failed(struct err *e, errcode_t code, const char *what);

/* A block of the log, on the channel given. */
int journal_log_io(struct journal *j, io_channel io, uint32_t logical, bool write, void *buf,
                   struct err *e) MUST_CHECK;

/* The super block: the log starts there (0: it is empty) with that transaction. */
int journal_write_super(struct journal *j, io_channel io, uint32_t start, uint32_t sequence,
                        struct err *e) MUST_CHECK;
