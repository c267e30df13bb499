/*
 * Tar archives as streams: a writer of POSIX pax, a reader of pax, ustar, GNU and v7.
 *
 * Nothing but libc: PID 1 of the guest's children pack and unpack with it, and the CLI does, on
 * bytes that come from guests. Layers of images are not read with this but with libarchive, in
 * a3s-box-image.
 */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <stdint.h>

#define TAR_BLOCK      512
#define TAR_NAME_MAX   4095              /* of a name or link target, without the NUL */
#define TAR_EXTRA_MAX  ((size_t)1 << 20) /* one pax header or GNU long name */
#define TAR_XATTRS_MAX 256               /* of one member */

enum tar_type {
    TAR_FILE = '0',
    TAR_LINK = '1', /* hard link to `target`, a member before */
    TAR_SYMLINK = '2',
    TAR_CHAR = '3',
    TAR_BLOCK_DEVICE = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
};

/* What a member is, but for its data. Strings are borrowed from who made it. */
struct tar_member {
    enum tar_type type;
    const char *name;   /* a directory's may or may not end in "/" */
    const char *target; /* LINK, SYMLINK */
    uint64_t size;      /* FILE: bytes of data; else 0 */
    uint32_t mode;      /* 07777 */
    uint64_t uid, gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t major, minor; /* CHAR, BLOCK_DEVICE */
    struct str xattrs;     /* tar_xattr_add() */
};

/* Extended attributes as a list in one buffer. False when it is full. */
bool tar_xattr_add(struct str *list, const char *name, const void *value, size_t len);

struct tar_xattr {
    const char *name;
    const void *value;
    size_t len;
};

/* The next one: start with *at = 0. False after the last. */
bool tar_xattr_next(const struct str *list, size_t *at, struct tar_xattr *ret);

/* ---- writing --------------------------------------------------------- */

#define TAR_WRITER_BYTES ((size_t)64 << 10)

struct tar_writer {
    /* Gets at most TAR_WRITER_BYTES, and that many but at the end. */
    int (*write)(void *ctx, const void *data, size_t len, struct err *e);
    void *ctx;
    uint64_t total; /* bytes of the archive until now */
    size_t len;
    char buf[TAR_WRITER_BYTES];
};

/* A member's header; a FILE's data follows with tar_write_file() or tar_write_data(), `size`
 * bytes in all, then tar_write_pad(). */
int tar_write_member(struct tar_writer *w, const struct tar_member *m, struct err *e) MUST_CHECK;
int tar_write_data(struct tar_writer *w, const void *data, size_t len, struct err *e) MUST_CHECK;
int tar_write_pad(struct tar_writer *w, uint64_t size, struct err *e) MUST_CHECK;
/* Data and padding from a descriptor. SYSTEM when the file has become shorter than `size`. */
int tar_write_file(struct tar_writer *w, int fd, uint64_t size, struct err *e) MUST_CHECK;
/* The end of the archive, and everything out. */
int tar_write_end(struct tar_writer *w, struct err *e) MUST_CHECK;

/* ---- reading --------------------------------------------------------- */

struct tar_ops {
    /* `m` is valid during the call. */
    int (*member)(void *ctx, const struct tar_member *m, struct err *e);
    /* Data of the last member, in pieces. */
    int (*data)(void *ctx, const void *data, size_t len, struct err *e);
    /* The member is complete. */
    int (*done)(void *ctx, struct err *e);
};

struct tar_reader;

int tar_reader_new(const struct tar_ops *ops, void *ctx, struct tar_reader **ret,
                   struct err *e) MUST_CHECK;
void tar_reader_free(struct tar_reader *r);
DEFINE_AUTOPTR(tar_reader)

/* Any number of bytes; calls the ops as members get complete. What follows the end of the archive
 * is not looked at. CORRUPT: no tar; UNSUPPORTED: sparse files, compressed archives. Errors of
 * ops come back; then nothing more may be fed. */
int tar_read(struct tar_reader *r, const void *data, size_t len, struct err *e) MUST_CHECK;

/* The program that has compressed what begins like this; NULL: none that we know. */
const char *tar_compression(const void *data, size_t len);

/* There is no more. CORRUPT when that is in the middle of something; an archive without the two
 * blocks at its end is fine. */
int tar_read_end(struct tar_reader *r, struct err *e) MUST_CHECK;
