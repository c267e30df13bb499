/*
 * An image archive taken apart: its members as files in a staging directory, hashed while they
 * are written, found again by name whatever their order was.
 *
 * The first of several members with the same name counts. A member below blobs/sha256/ must have
 * the digest that is its name.
 */
#pragma once

#include "oci/digest.h"
#include "util/str.h"

#include <stdbool.h>

#define SPOOL_MEMBERS_MAX 20000 /* 512 layers with the three files old docker wrote for each */

struct member {
    char *name; /* owned; cleaned: "blobs/sha256/..." */
    char *link; /* owned; the target when it is a symbolic link, else NULL */
    struct digest digest;
    uint64_t size;
    char file[16]; /* its name in the staging directory */
};

struct spool {
    int dirfd; /* borrowed */
    struct member *v;
    size_t n;
};

/* Read a whole archive, plain or compressed with gzip or zstd. */
int spool_read(struct spool *sp, int dirfd, struct source *in, uint64_t member_max,
               struct err *e) MUST_CHECK;

/* Take the bytes of `in` as the only member, as they are. */
int spool_one(struct spool *sp, int dirfd, struct source *in, uint64_t member_max,
              struct err *e) MUST_CHECK;

/* A file that lies in the directory already, or will be there before it is opened. */
int spool_add(struct spool *sp, const char *digest, uint64_t size, const char *file,
              struct err *e) MUST_CHECK;
void spool_done(struct spool *sp);

/* By name, through symbolic links between members; NULL when there is none. */
const struct member *spool_find(const struct spool *sp, const char *name);
/* A blob by its digest, whatever its name is. */
const struct member *spool_blob(const struct spool *sp, const char *digest);

/* A small member's content. */
int spool_text(const struct spool *sp, const struct member *m, struct str *ret,
               struct err *e) MUST_CHECK;
/* Returns a descriptor. */
int spool_open(const struct spool *sp, const struct member *m, struct err *e) MUST_CHECK;
