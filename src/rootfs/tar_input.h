/* A tar that libarchive reads from a struct source. What went wrong in the source, which
 * libarchive cannot carry, is the error that comes out. */
#pragma once

#include "rootfs/source.h"

#include <archive.h>
#include <archive_entry.h>

struct tar_input {
    struct archive *archive; /* owned */
    struct source *source;   /* borrowed */
    struct err source_err;   /* its kind is set when it was the source that failed */
    const char *what;        /* borrowed: "layer", for messages */
};

/* Reads nothing yet. tar_input_done() is needed after a failure, too. */
int tar_input_init(struct tar_input *t, struct source *source, const char *what,
                   struct err *e) MUST_CHECK;
void tar_input_done(struct tar_input *t);

/* Reads the beginning: CORRUPT when it is no tar; nothing at all is an empty one. */
int tar_input_open(struct tar_input *t, struct err *e) MUST_CHECK;

/* The next member, valid until the next call, and its path, which is not empty. 1, or 0 at the
 * end. */
int tar_input_next(struct tar_input *t, struct archive_entry **ret, const char **ret_path,
                   struct err *e) MUST_CHECK;

/* Bytes [*ret_offset, *ret_offset + *ret_len) of its data, valid until the next call; pieces may
 * be empty and leave holes between them. 1, or 0 at the end. */
int tar_input_data(struct tar_input *t, const void **ret, size_t *ret_len, int64_t *ret_offset,
                   struct err *e) MUST_CHECK;
