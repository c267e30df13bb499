/*
 * The journal of an ext4 whose machine was killed: what the kernel does at the next mount, done
 * without mounting.
 *
 * Format: Linux' jbd2 (kernel documentation, "ext4 Journal (jbd2)"), with or without checksums
 * (version 2 and 3) and 64-bit block numbers. Fast commits and journals on other devices, which
 * our guests never make, are UNSUPPORTED. The bytes are the guest's, thus hostile: every number
 * is checked before it is used, and nothing is written outside the file system.
 */
#pragma once

#include "util/err.h"

#include <ext2fs/ext2fs.h>
#include <stdbool.h>

/* Whether `fs` needs journal_replay() before its blocks say the truth. */
bool journal_needed(ext2_filsys fs);

/* Write every committed block to its place, through fs->io, and mark the journal empty. What `fs`
 * has in memory is wrong afterwards: close it (without flushing) and open it again, then
 * journal_done(). Can be interrupted at any point and done again. CORRUPT when a committed
 * transaction is damaged. */
int journal_replay(ext2_filsys fs, struct err *e) MUST_CHECK;

/* The same for who only reads: from here on fs->io keeps what is written to it in memory, over
 * what it reads from the disk. Super block and group descriptors stay as they were read, which
 * does for reading inodes and blocks. */
int journal_replay_in_memory(ext2_filsys fs, struct err *e) MUST_CHECK;

/* On the file system opened again: it needs no recovery any more. */
int journal_done(ext2_filsys fs, struct err *e) MUST_CHECK;
