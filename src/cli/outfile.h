/*
 * A file that is there whole or not at all.
 *
 * What is written has no name until outfile_finish(), where the file system can do that (else a
 * temporary one beside it): whoever dies before leaves nothing, and what was there stays. Pipes
 * and devices are written to as they are.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

struct outfile;

/* `path`, or stdout for NULL and "-". A terminal is refused in docker's words. */
int outfile_open(const char *path, struct outfile **ret, struct err *e) MUST_CHECK;

/* Borrowed. */
int outfile_fd(const struct outfile *f);

/* Give it its name, replacing what was there. */
int outfile_finish(struct outfile *f, struct err *e) MUST_CHECK;

/* Without outfile_finish() before, what was written is thrown away. */
void outfile_free(struct outfile *f);
DEFINE_AUTOPTR(outfile)
