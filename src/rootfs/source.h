/*
 * Where bytes come from: a pull interface that hands out borrowed buffers, so that a layer can go
 * through hashing, decompression and hashing again without being copied.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <stdint.h>
#include <sys/types.h>

struct source {
    /* The next bytes, valid until the next call: their number, 0 at the end, negative on error.
     */
    ssize_t (*read)(struct source *s, const void **ret, struct err *e);
};

/* Bytes [0, left) of a descriptor from its current position. */
struct source_fd {
    struct source source;
    int fd;        /* borrowed */
    uint64_t left; /* UINT64_MAX: to the end of file */
    char *buf;     /* owned */
};

int source_fd_init(struct source_fd *s, int fd, uint64_t left, struct err *e) MUST_CHECK;
void source_fd_done(struct source_fd *s);

struct unpack_limits {
    uint64_t bytes_max; /* uncompressed */
    uint32_t ratio_max; /* uncompressed per compressed byte, looked at after the first 256 MiB:
                           more of that is nothing but zeros (gzip makes 1030 of them one) */
};

#define UNPACK_RATIO_MAX 1000
#define UNPACK_LIMITS_DEFAULT                                                                    \
    {                                                                                            \
        .bytes_max = (uint64_t)16 << 30, .ratio_max = UNPACK_RATIO_MAX                           \
    }

/* Decompress gzip, zstd or nothing, found by looking at the first bytes. CORRUPT when truncated
 * or broken, LIMIT for bombs. `inner` is borrowed. The object is freed with unpack_free(). */
struct unpack;
int unpack_open(struct source *inner, const struct unpack_limits *limits, struct unpack **ret,
                struct err *e) MUST_CHECK;
struct source *unpack_source(struct unpack *u);
void unpack_free(struct unpack *u);
DEFINE_AUTOPTR(unpack)
