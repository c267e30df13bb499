/*
 * A tar archive into a directory, as docker unpacks what is copied.
 *
 * A member replaces what is there, a directory is merged with a directory; a directory never
 * replaces something else nor the other way round (INVALID). Missing parents are made (0755). A
 * directory "." is the destination itself and left as it is. Modes and times of directories are
 * set at the end, so that read-only ones can be filled.
 */
#pragma once

#include "util/tar.h"

struct unpack_how {
    /* Where: a descriptor, and the destination below it ("" is itself). With `root_fd` as "/" of
     * a container symbolic links are followed as there; else the destination is `root_fd`, and no
     * component of a member's path may be one. Both are borrowed. */
    int root_fd;
    bool is_root;
    const char *dest;
    const char *shown; /* the destination in messages */
    /* Only members of this name and beneath it may come, else CORRUPT: the archive is by a
     * stranger who was asked for just that. NULL: any. */
    const char *only;
    bool owner; /* set owners: those of the archive, or 0:0 without `keep_owner` */
    bool keep_owner;
    /* Keep set-user-id, set-group-id, security.* attributes, and what group and others may do
     * with a device. */
    bool special;
    bool direct; /* write big files past the page cache */
};

struct unpack;

int unpack_new(const struct unpack_how *how, struct unpack **ret, struct err *e) MUST_CHECK;
void unpack_free(struct unpack *u);
DEFINE_AUTOPTR(unpack)
/* Bytes of the archive. After an error nothing more may be fed. */
int unpack_data(struct unpack *u, const void *data, size_t len, struct err *e) MUST_CHECK;
/* That was all: check that it was, and finish the directories. */
int unpack_end(struct unpack *u, struct err *e) MUST_CHECK;
/* Has a member come? An archive without any is no answer to a GET. */
bool unpack_any(const struct unpack *u);
