/* journal*.c only. */
#pragma once

#include "rootfs/journal.h"
#include "util/attr.h"

/* From here on fs->io keeps what is written in memory. It goes with the file system. */
int journal_io_push(ext2_filsys fs, struct err *e) MUST_CHECK;
