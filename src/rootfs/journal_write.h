/*
 * Changing an ext4 so that a crash at any point leaves it as it was before or after a change.
 *
 * libext2fs writes in place, in no order. Here its blocks are gathered in memory; a commit writes
 * them to the file system's own journal first (the format of rootfs/journal.h), then to their
 * places. Whoever is killed in between is finished by the next journal_replay(), or by the
 * kernel's at the next mount. File data goes directly to blocks that were free before: a block
 * freed in a transaction is given out again only after its commit.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <ext2fs/ext2fs.h>
#include <stdbool.h>

struct journal_writer;

/* `fs` is open for writing with its bitmaps, and needs no recovery. UNSUPPORTED without a journal
 * or checksums of metadata, which our disks have. */
int journal_begin(ext2_filsys fs, struct journal_writer **ret, struct err *e) MUST_CHECK;

/* File data into blocks that this transaction has allocated. */
int journal_data(struct journal_writer *w, uint64_t block, int count, const void *data,
                 struct err *e) MUST_CHECK;

/* Free blocks with the next commit. */
int journal_free_later(struct journal_writer *w, uint64_t block, uint32_t count,
                       struct err *e) MUST_CHECK;

/* Whether it is time for a commit: the journal could get too small. */
bool journal_is_filling(const struct journal_writer *w);
int journal_commit(struct journal_writer *w, struct err *e) MUST_CHECK;

/* Commit, and leave an empty journal. */
int journal_end(struct journal_writer *w, struct err *e) MUST_CHECK;

/* Without journal_end(): what was not committed is forgotten, and `fs` may only be closed, with
 * ext2fs_free(). */
void journal_writer_free(struct journal_writer *w);
DEFINE_AUTOPTR(journal_writer)
