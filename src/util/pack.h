/*
 * A tree of files as a tar archive.
 *
 * Works with descriptors, never with paths from above: what is moved or replaced while it is read
 * leads nowhere else. Symbolic links are not followed; what vanishes meanwhile is left out.
 */
#pragma once

#include "util/bulk.h"
#include "util/tar.h"

#include <sys/stat.h>

#define PACK_LINKS 4096 /* buckets */

enum pack_verdict {
    PACK_ADD,
    PACK_ALONE, /* a directory: without what is in it */
    PACK_SKIP,
};

struct pack_link;

struct pack {
    struct tar_writer *w;
    /* What about `name` in the directory `dirfd`? `path` is where it is below the first one, ""
     * for itself. NULL: everything is added. */
    enum pack_verdict (*judge)(void *ctx, int dirfd, const char *name, const char *path,
                               const struct stat *st);
    void *ctx;
    bool direct; /* read big files past the page cache */
    struct bulk bulk;
    struct pack_link *links[PACK_LINKS]; /* inodes with several names */
};

/* `entry` of `dirfd` ("." is itself) and all beneath it; the member is called `name`, "" leaves
 * it out and calls what is in it by its own name, "/" is the root. `entry` must be there. */
int pack_tree(struct pack *p, int dirfd, const char *entry, const char *name,
              struct err *e) MUST_CHECK;

/* One file, symbolic link, device, FIFO or the directory itself, as member `name`. A socket, and
 * what has vanished, is nothing. */
int pack_one(struct pack *p, int dirfd, const char *entry, const char *name,
             struct err *e) MUST_CHECK;
void pack_done(struct pack *p);

/* The names in a directory, sorted by their bytes. */
struct pack_names {
    char **v;
    size_t n;
    char *text;
};

int pack_list(int dirfd, const char *name, struct pack_names *ret, struct err *e) MUST_CHECK;
void pack_names_done(struct pack_names *names);

/* Attributes that archives carry: user.* and security.capability. */
bool pack_xattr_wanted(const char *name);
int pack_xattrs(int fd, struct str *ret, struct err *e) MUST_CHECK;
